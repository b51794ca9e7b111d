//! `gaps`, `reboot`, `move` and `readmit`: what is missing in a conversation, and how one goes on
//! that cannot, or whose members have lost it.

use restante_client::{ContactId, Conversation, ConversationKind, RelayAddress};

use crate::args::{Gaps, Move, Readmit, Reboot};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::json::CallerLine;
use crate::names::Names;
use crate::output::{place_of, word_for};

/// Shows what is missing, after asking for it if that is wished.
pub(super) async fn gaps(args: &Gaps, desk: &mut Desk) -> Result<(), Failure> {
    desk.try_collect().await;
    let conversation = desk.conversation(&args.place).await?;
    if args.ask {
        desk.client.ask_again(conversation.id).await?;
        desk.try_collect().await;
    }
    let names = Names::look_up(&desk.client, &conversation).await?;
    let gaps = desk.client.gaps(conversation.id).await?;
    for gap in &gaps {
        desk.out.gap(gap, &names);
    }
    if gaps.is_empty() {
        desk.out.say(&format!("Nothing is missing: {}.", place_of(&conversation)));
    }
    Ok(())
}

/// Begins a conversation anew on the own relay.
pub(super) async fn reboot(args: &Reboot, desk: &mut Desk) -> Result<(), Failure> {
    let place = begin_anew(&args.place, None, args.large, desk).await?;
    say_anew(&format!("{} was begun anew.", place_of(&place)), desk);
    Ok(())
}

/// Begins it anew on another relay.
pub(super) async fn relocate(args: &Move, desk: &mut Desk) -> Result<(), Failure> {
    let place = begin_anew(&args.place, Some(&args.relay), false, desk).await?;
    say_anew(&format!("{} is at {} from now on.", place_of(&place), args.relay), desk);
    Ok(())
}

async fn begin_anew(
    place: &str,
    relay: Option<&RelayAddress>,
    large: bool,
    desk: &mut Desk,
) -> Result<Conversation, Failure> {
    let reached = desk.collect().await;
    let place = desk.conversation(place).await?;
    desk.client.move_conversation(place.id, relay, large).await?;
    desk.tell_of(&place, reached).await
}

fn say_anew(done: &str, desk: &Desk) {
    desk.say_done(done);
    desk.out.say("Everybody goes along by themselves; what was said stays.");
}

/// Lists whose devices ask to be let in again, or decides about them.
pub(super) async fn readmit(args: &Readmit, desk: &mut Desk) -> Result<(), Failure> {
    let reached = desk.collect().await;
    let place = desk.conversation(&args.place).await?;
    match &args.who {
        None => list(&place, desk).await,
        Some(who) => {
            let id = whose(&place, who, desk).await?;
            if !desk.client.callers(place.id).await?.contains(&id) {
                let text = format!("no device of {who} asks to be let in");
                return Err(Failure::new("nobody_asks", text));
            }
            desk.client.consent(place.id, id, !args.refuse).await?;
            desk.tell_of(&place, reached).await?;
            let names = Names::look_up(&desk.client, &place).await?;
            let let_in = if args.refuse { "stays outside" } else { "is let in again" };
            desk.say_done(&format!("The device of {} {let_in}.", names.of(id)));
            Ok(())
        }
    }
}

async fn list(place: &Conversation, desk: &Desk) -> Result<(), Failure> {
    let names = Names::look_up(&desk.client, place).await?;
    let callers = desk.client.callers(place.id).await?;
    for who in &callers {
        let name = names.of(*who);
        let (at, word) = (word_for(&place.name, place.id), word_for(&name, who));
        desk.out.object(&CallerLine::new(place.id, *who, &name));
        desk.out.say(&format!(
            "A device of {name} asks to be let in again. Ask them by another way whether it is \
             theirs. If it is: restante readmit {at} {word}\n\
             If it is not: restante readmit {at} {word} --refuse"
        ));
    }
    if callers.is_empty() {
        desk.out.say("Nobody asks to be let in again.");
    }
    Ok(())
}

async fn whose(place: &Conversation, who: &str, desk: &Desk) -> Result<ContactId, Failure> {
    Ok(match place.kind {
        ConversationKind::Group | ConversationKind::Room => {
            desk.client.find_member(place.id, who).await?.id
        }
        ConversationKind::Direct | ConversationKind::Own => desk.contact(who).await?.id,
    })
}
