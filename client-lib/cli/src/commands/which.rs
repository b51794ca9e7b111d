//! Which message a word means: `last`, or the beginning of an id.
//!
//! Knows pages of a history; must not know what is done with what is found.

use restante_client::{Conversation, Message, MessageId};

use crate::args::Which;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::limits::PAGE;

/// The newest message that can be meant.
const LAST: &str = "last";
/// Layout: digits of an id that are enough to ask for it.
const ID_PREFIX: usize = 4;

/// The conversation and the message that are meant; `last` is the newest that `fits`.
pub(super) async fn find(
    which: &Which,
    desk: &Desk,
    fits: impl Fn(&Message) -> bool,
) -> Result<(Conversation, Message), Failure> {
    let place = desk.conversation(&which.place).await?;
    let message = find_in(&place, &which.message, desk, fits).await?;
    Ok((place, message))
}

/// The message of a conversation that is meant.
pub(super) async fn find_in(
    place: &Conversation,
    word: &str,
    desk: &Desk,
    fits: impl Fn(&Message) -> bool,
) -> Result<Message, Failure> {
    if let Ok(id) = word.parse::<MessageId>() {
        let found = desk.client.message(id).await?;
        return if found.conversation == place.id { Ok(found) } else { Err(none()) };
    }
    let word = word.to_ascii_lowercase();
    if word != LAST && word.len() < ID_PREFIX {
        return Err(Failure::new("bad_id", "a message is `last`, or at least 4 digits of its id"));
    }
    let mut found: Option<Message> = None;
    let mut before = None;
    loop {
        let page = desk.client.history(place.id, before, PAGE).await?;
        let Some(first) = page.first() else { return found.ok_or_else(none) };
        before = Some(first.position);
        for message in page.into_iter().rev() {
            if word == LAST && fits(&message) {
                return Ok(message);
            }
            if message.id.to_string().starts_with(&word) && found.replace(message).is_some() {
                let text = format!("several messages begin with {word}; say more digits");
                return Err(Failure::new("ambiguous", text));
            }
        }
    }
}

fn none() -> Failure {
    Failure::new("no_such_message", "no such message here; restante history --ids lists them")
}
