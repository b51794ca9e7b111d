//! `send`: a message, and how far it has come.

use std::io::Read;
use std::time::Duration;

use restante_client::{Conversation, Error, Fate, Goal, Message};

use crate::args::{Send, Wait, Waiting};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::json::MessageLine;
use crate::output::{fate_words, place_of};

/// Queues the message, then waits until it has come as far as wished.
pub(super) async fn run(args: &Send, desk: &mut Desk) -> Result<(), Failure> {
    let text = text_of(&args.text)?;
    let collected = desk.collect().await;
    let place = desk.conversation(&args.who).await?;
    // What cannot be sent now is kept all the same: nobody should have to write it twice.
    let message = desk.client.send(place.id, &text).await?;
    follow(&message, &place, &args.waiting, collected.map(drop), desk).await
}

/// Waits until a message that was queued has come as far as wished, and says how far it is.
pub(super) async fn follow(
    message: &Message,
    place: &Conversation,
    waiting: &Waiting,
    reached: Result<(), Failure>,
    desk: &Desk,
) -> Result<(), Failure> {
    let waited = match (reached, desk.offline) {
        (Err(failure), _) => Err(failure),
        (Ok(()), true) => Ok(()),
        (Ok(()), false) => wait(waiting, message, desk).await,
    };
    let message = desk.client.message(message.id).await?;
    desk.out.object(&MessageLine::from(&message));
    match message.fate {
        Fate::Queued => waited.map_err(|failure| {
            failure.and("; the message is kept on this device and goes out with: restante sync")
        })?,
        Fate::Expired | Fate::Refused(_) => {
            let text = format!("the message was not delivered: {}", fate_words(message.fate));
            return Err(Failure::new(refusal_code(message.fate), text));
        }
        Fate::Accepted | Fate::Delivered | Fate::Read | Fate::Received => {
            waited.map_err(|failure| {
                failure.saying("not delivered within that time; the message is safe at the relay")
            })?
        }
    }
    desk.out.say(&format!("To {}: {}.", place_of(place), fate_words(message.fate)));
    Ok(())
}

async fn wait(waiting: &Waiting, message: &Message, desk: &Desk) -> Result<(), Failure> {
    let goal = match waiting.wait {
        Wait::Accepted => Goal::Accepted,
        Wait::Delivered => Goal::Delivered,
    };
    let within = Duration::from_secs(waiting.timeout);
    match desk.client.wait_fate(message.id, goal, within).await {
        Ok(_) => Ok(()),
        Err(error @ Error::Deadline) => {
            Err(Failure::from(error).saying("the relay has not accepted it within that time"))
        }
        Err(error) => Err(error.into()),
    }
}

/// The words of a command line as one text, or what stdin holds.
pub(super) fn text_of(words: &[String]) -> Result<String, Failure> {
    if words != ["-"] {
        return Ok(words.join(" "));
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::new("stdin", format!("stdin cannot be read: {error}")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

const fn refusal_code(fate: Fate) -> &'static str {
    match fate {
        Fate::Refused(code) => code.name(),
        Fate::Queued
        | Fate::Accepted
        | Fate::Delivered
        | Fate::Read
        | Fate::Expired
        | Fate::Received => fate.name(),
    }
}
