//! `history`: a conversation, oldest message first.

use restante_client::{ContactId, Message, Position};

use crate::args::History;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::limits::PAGE;
use crate::output::name_of;

/// Shows it; what was shown counts as read.
pub(super) async fn run(args: &History, desk: &mut Desk) -> Result<(), Failure> {
    desk.try_collect().await;
    let contact = desk.contact(&args.who).await?;
    let messages = if args.all {
        whole(contact.id, desk).await?
    } else {
        desk.client.history(contact.id, None, args.limit).await?
    };
    let name = name_of(&contact);
    for message in &messages {
        desk.out.message(message, if message.from_me() { "you" } else { &name });
    }
    if messages.is_empty() {
        desk.out.say(&format!("Nothing yet between you and {name}."));
    }
    desk.client.mark_read(contact.id).await?;
    Ok(())
}

/// All of it, page by page from the end.
async fn whole(contact: ContactId, desk: &Desk) -> Result<Vec<Message>, Failure> {
    let mut pages: Vec<Vec<Message>> = Vec::new();
    let mut before: Option<Position> = None;
    loop {
        let page = desk.client.history(contact, before, PAGE).await?;
        let Some(first) = page.first() else { break };
        before = Some(first.position);
        pages.push(page);
    }
    Ok(pages.into_iter().rev().flatten().collect())
}
