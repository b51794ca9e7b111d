//! `history`: a conversation, oldest message first; or how far it has come from another device.

use restante_client::{ConversationId, ConversationKind, HistoryProgress, Message, Position};

use crate::args::History;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::json::ProgressLine;
use crate::limits::PAGE;
use crate::names::Names;
use crate::output::place_of;

/// Shows it; what was shown counts as read.
pub(super) async fn run(args: &History, desk: &mut Desk) -> Result<(), Failure> {
    desk.try_collect().await;
    let Some(who) = &args.who else { return progress(desk).await };
    let conversation = desk.conversation(who).await?;
    let id = conversation.id;
    let messages = if args.all {
        whole(id, desk).await?
    } else {
        desk.client.history(id, None, args.limit).await?
    };
    let names = Names::look_up(&desk.client, &conversation).await?;
    for message in &messages {
        desk.out.message(message, &names, args.ids);
    }
    if messages.is_empty() {
        let name = place_of(&conversation);
        desk.out.say(&match conversation.kind {
            ConversationKind::Direct => format!("Nothing yet between you and {name}."),
            ConversationKind::Group | ConversationKind::Own => format!("Nothing yet in {name}."),
        });
    }
    desk.client.mark_read(id).await?;
    Ok(())
}

/// How far the history is that the account's first device gives to this one.
async fn progress(desk: &Desk) -> Result<(), Failure> {
    let Some(progress) = desk.client.history_progress().await? else {
        desk.out.say("No other device gives history to this one.");
        return Ok(());
    };
    desk.out.object(&ProgressLine::from(progress));
    let HistoryProgress { done, total, is_complete } = progress;
    desk.out.say(&if is_complete {
        format!("All history is here: {done} messages.")
    } else {
        format!(
            "{done} of {total} messages are here, the newest first. More come with restante sync,\n\
             on your first device and here in turn."
        )
    });
    Ok(())
}

/// All of it, page by page from the end.
async fn whole(of: ConversationId, desk: &Desk) -> Result<Vec<Message>, Failure> {
    let mut pages: Vec<Vec<Message>> = Vec::new();
    let mut before: Option<Position> = None;
    loop {
        let page = desk.client.history(of, before, PAGE).await?;
        let Some(first) = page.first() else { break };
        before = Some(first.position);
        pages.push(page);
    }
    Ok(pages.into_iter().rev().flatten().collect())
}
