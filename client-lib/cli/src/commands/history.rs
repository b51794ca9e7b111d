//! `history`: a conversation, oldest message first; or how far it has come from another device.

use restante_client::{ConversationId, ConversationKind, Gap, HistoryProgress, Message, Position};

use crate::args::History;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::json::HistoryLine;
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
    let gaps = gaps_in(id, &messages, desk).await?;
    let nothing = messages.is_empty() && gaps.is_empty();
    let mut gaps = gaps.into_iter().peekable();
    for message in &messages {
        while let Some(gap) = gaps.next_if(|gap| gap.before <= message.position) {
            desk.out.gap(&gap, &names);
        }
        desk.out.message(message, &names, args.ids);
    }
    for gap in gaps {
        desk.out.gap(&gap, &names);
    }
    if nothing {
        let name = place_of(&conversation);
        desk.out.say(&match conversation.kind {
            ConversationKind::Direct => format!("Nothing yet between you and {name}."),
            ConversationKind::Group | ConversationKind::Own | ConversationKind::Room => {
                format!("Nothing yet in {name}.")
            }
        });
    }
    desk.client.mark_read(id).await?;
    Ok(())
}

/// What is missing between these messages, right before the first, and behind the last.
async fn gaps_in(
    of: ConversationId,
    messages: &[Message],
    desk: &Desk,
) -> Result<Vec<Gap>, Failure> {
    let mut gaps = desk.client.gaps(of).await?;
    if let Some(first) = messages.first() {
        let earlier = desk.client.history(of, Some(first.position), 1).await?;
        gaps.retain(|gap| earlier.first().is_none_or(|earlier| gap.before > earlier.position));
    }
    Ok(gaps)
}

/// How far the history is that the account's first device gives to this one.
async fn progress(desk: &Desk) -> Result<(), Failure> {
    let Some(progress) = desk.client.history_progress().await? else {
        desk.out.say("No other device gives history to this one.");
        return Ok(());
    };
    desk.out.object(&HistoryLine::from(progress));
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
