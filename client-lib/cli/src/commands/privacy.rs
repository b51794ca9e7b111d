//! `privacy`: what others are told without being written to.

use restante_client::Privacy;

use crate::args::{Privacy as Args, Switch};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::json::PrivacyLine;

/// Shows it, after setting what was named.
pub(super) async fn run(args: &Args, desk: &mut Desk) -> Result<(), Failure> {
    let before = desk.client.privacy().await?;
    let set = |wish: Option<Switch>, now: bool| wish.map_or(now, |wish| wish == Switch::On);
    let after = Privacy {
        read_receipts: set(args.read_receipts, before.read_receipts),
        typing: set(args.typing, before.typing),
        presence: set(args.presence, before.presence),
    };
    if after != before {
        desk.client.set_privacy(after).await?;
    }
    desk.out.object(&PrivacyLine::from(after));
    for (told, what) in [
        (after.read_receipts, "that you have read their messages"),
        (after.typing, "that you are writing"),
        (after.presence, "that you are there"),
    ] {
        desk.out.say(&format!("Others are {}told {what}.", if told { "" } else { "not " }));
    }
    desk.out.say("That a message has arrived on your device they are always told.");
    Ok(())
}
