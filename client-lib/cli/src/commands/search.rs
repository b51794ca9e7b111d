//! `search`: messages of all conversations that hold all the words.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use restante_client::{Conversation, ConversationId, ConversationKind, Message};

use crate::args::Search;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::names::Names;
use crate::output::place_of;

/// Shows them, newest first. Needs no network: the relay could not help anyway.
pub(super) async fn run(args: &Search, desk: &mut Desk) -> Result<(), Failure> {
    let found = desk.client.search(&args.words.join(" "), args.limit).await?;
    let mut places: BTreeMap<ConversationId, (Conversation, Names)> = BTreeMap::new();
    for message in &found {
        let place = match places.entry(message.conversation) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let conversation = desk.client.conversation(message.conversation).await?;
                let names = Names::look_up(&desk.client, &conversation).await?;
                new.insert((conversation, names))
            }
        };
        desk.out.found(message, &whose(message, place));
    }
    if found.is_empty() {
        desk.out.say("Nothing found.");
    }
    Ok(())
}

/// Who wrote it, and where if that is not said with it.
fn whose(message: &Message, (conversation, names): &(Conversation, Names)) -> String {
    let (author, place) = (names.author(message), place_of(conversation));
    match conversation.kind {
        ConversationKind::Direct if message.from_me() => format!("{author} to {place}"),
        ConversationKind::Direct => author,
        ConversationKind::Group | ConversationKind::Own => format!("{author} in {place}"),
    }
}
