//! `search`: messages of all conversations that hold all the words.

use std::collections::BTreeMap;

use crate::args::Search;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::text;

/// Shows them, newest first. Needs no network: the relay could not help anyway.
pub(super) async fn run(args: &Search, desk: &mut Desk) -> Result<(), Failure> {
    let found = desk.client.search(&args.words.join(" "), args.limit).await?;
    let all = desk.client.conversations().await?;
    let names: BTreeMap<_, _> = all.iter().map(|one| (one.id, text::one_line(&one.name))).collect();
    for message in &found {
        let name = names.get(&message.conversation).map_or("?", String::as_str);
        let shown = if message.from_me() { format!("you to {name}") } else { name.to_owned() };
        desk.out.message(message, &shown);
    }
    if found.is_empty() {
        desk.out.say("Nothing found.");
    }
    Ok(())
}
