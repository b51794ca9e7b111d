//! `reply`, `react`, `edit`, `delete` and `receipts`: what is done with single messages.

use restante_client::{Collected, Conversation, Message, MessageKind, Reach};

use super::send::{follow, text_of};
use super::which::{find, find_in};
use crate::args::{Delete, Edit, React, Reply, Which};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::json::{MessageLine, ReceiptLine};
use crate::limits::EXCERPT;
use crate::names::Names;
use crate::output::place_of;
use crate::text;

/// Answers a message; `last` is the last of somebody else.
pub(super) async fn reply(args: &Reply, desk: &mut Desk) -> Result<(), Failure> {
    let words = text_of(&args.text)?;
    let collected = desk.collect().await;
    let (place, answered) = find(&args.which, desk, of_others).await?;
    let message = desk.client.send_reply(place.id, answered.id, &words).await?;
    follow(&message, &place, &args.waiting, collected.map(drop), desk).await
}

/// Puts a reaction beside a message; `last` is the last of somebody else.
pub(super) async fn react(args: &React, desk: &mut Desk) -> Result<(), Failure> {
    let collected = desk.collect().await;
    let (place, message) = find(&args.which, desk, of_others).await?;
    let emoji = args.emoji.as_deref();
    let message = desk.client.react(place.id, message.id, emoji).await?;
    desk.out.object(&MessageLine::from(&message));
    tell(&place, collected, desk).await?;
    let excerpt = text::excerpt(&message.text, EXCERPT);
    desk.out.say(&match emoji {
        Some(emoji) => format!("{} stands beside: {excerpt}", text::one_line(emoji)),
        None => format!("Your reaction was taken back: {excerpt}"),
    });
    Ok(())
}

/// Gives a message other words; `last` is the last own one.
pub(super) async fn edit(args: &Edit, desk: &mut Desk) -> Result<(), Failure> {
    let words = text_of(&args.text)?;
    let collected = desk.collect().await;
    let (place, message) = find(&args.which, desk, own).await?;
    let message = desk.client.edit(place.id, message.id, &words).await?;
    desk.out.object(&MessageLine::from(&message));
    tell(&place, collected, desk).await?;
    desk.out.say(&format!("It says now: {}", text::excerpt(&message.text, EXCERPT)));
    Ok(())
}

/// Takes messages back; `last` is the last own one.
pub(super) async fn delete(args: &Delete, desk: &mut Desk) -> Result<(), Failure> {
    let collected = desk.collect().await;
    let place = desk.conversation(&args.place).await?;
    let mut ids = Vec::new();
    for word in &args.messages {
        ids.push(find_in(&place, word, desk, own).await?.id);
    }
    desk.client.delete(place.id, &ids).await?;
    for id in &ids {
        desk.out.object(&MessageLine::from(&desk.client.message(*id).await?));
    }
    tell(&place, collected, desk).await?;
    desk.out.say(&match ids.len() {
        1 => "The message was taken back.".to_owned(),
        n => format!("{n} messages were taken back."),
    });
    Ok(())
}

/// Shows how far a message has come; `last` is the last own one.
pub(super) async fn receipts(which: &Which, desk: &mut Desk) -> Result<(), Failure> {
    desk.try_collect().await;
    let (place, message) = find(which, desk, own).await?;
    let names = Names::look_up(&desk.client, &place).await?;
    for recipient in desk.client.receipts_of(place.id, message.id).await? {
        desk.out.object(&ReceiptLine::new(message.id, &recipient));
        let how = match recipient.how {
            Reach::Sent => "sent, more is not known",
            Reach::Delivered => "delivered",
            Reach::Read => "read",
        };
        desk.out.say(&format!("{}: {how}", names.of(recipient.account)));
    }
    Ok(())
}

/// Tells the relay what was done, unless it could not be reached before.
async fn tell(
    place: &Conversation,
    reached: Result<Collected, Failure>,
    desk: &mut Desk,
) -> Result<(), Failure> {
    desk.tell(reached).await.map_err(|failure| {
        failure.and(&format!("; {} hears of it after: restante sync", place_of(place)))
    })
}

/// Whether it is a message of this account that can still be changed.
fn own(message: &Message) -> bool {
    message.from_me() && !message.is_gone()
}

/// Whether it is a message of somebody else that there is something of.
fn of_others(message: &Message) -> bool {
    !message.from_me() && !message.is_gone() && message.kind != MessageKind::Event
}
