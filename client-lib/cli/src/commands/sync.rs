//! `sync`: collects what is waiting and sends what is queued.

use restante_client::Collected;

use super::files;
use crate::args::Sync;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::json::SyncLine;

/// Does it and counts.
pub(super) async fn run(args: &Sync, desk: &mut Desk) -> Result<(), Failure> {
    if desk.offline {
        return Err(Failure::new("offline", "sync is about the network; leave out --offline"));
    }
    if let Some(token) = &args.token {
        desk.client.set_token(token.clone()).await?;
    }
    let mut collected = desk.collect().await?;
    if files::go_on(desk).await? {
        // Messages leave behind their files.
        let then = desk.collect().await?;
        collected = Collected {
            messages: collected.messages + then.messages,
            requests: collected.requests + then.requests,
            sent: collected.sent + then.sent,
            queued: then.queued,
        };
    }
    desk.out.object(&SyncLine::from(collected));
    let mut parts = Vec::new();
    parts.extend(count(collected.messages, "new message", "new messages"));
    parts.extend(count(collected.requests, "new contact request", "new contact requests"));
    parts.extend(count(collected.sent, "message sent", "messages sent"));
    parts.extend(count(collected.queued, "message still queued", "messages still queued"));
    desk.out.say(&if parts.is_empty() {
        "Nothing new, nothing queued.".to_owned()
    } else {
        format!("{}.", parts.join(", "))
    });
    Ok(())
}

fn count(number: u32, one: &str, many: &str) -> Option<String> {
    match number {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    }
}
