//! What programs read: one object per line, with fields that stay as they are.
//!
//! Knows names of fields; must not print. Text from others stands in it as it came, escaped where a
//! terminal would obey it.

use restante_client::{Collected, Contact, ConversationId, Message};
use serde::Serialize;

use crate::failure::Failure;
use crate::text;

/// An account that was made.
#[derive(Serialize)]
pub(crate) struct AccountLine<'a> {
    pub(crate) account: String,
    pub(crate) name: &'a str,
    pub(crate) relay: String,
    pub(crate) home: String,
    /// `passphrase` or `file`.
    pub(crate) key: &'static str,
}

/// An invite.
#[derive(Serialize)]
pub(crate) struct InviteLine<'a> {
    pub(crate) link: &'a str,
}

/// A contact.
#[derive(Serialize)]
pub(crate) struct ContactLine<'a> {
    contact: String,
    name: &'a str,
    state: &'static str,
    unread: u32,
    verified: bool,
}

impl<'a> From<&'a Contact> for ContactLine<'a> {
    fn from(contact: &'a Contact) -> Self {
        Self {
            contact: contact.id.to_string(),
            name: &contact.nickname,
            state: contact.state.name(),
            unread: contact.unread,
            verified: contact.verified,
        }
    }
}

/// A message.
#[derive(Serialize)]
pub(crate) struct MessageLine<'a> {
    id: String,
    conversation: String,
    author: Option<String>,
    from_me: bool,
    text: &'a str,
    seq: Option<u64>,
    at: u64,
    fate: &'static str,
}

impl<'a> From<&'a Message> for MessageLine<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            id: message.id.to_string(),
            conversation: message.conversation.to_string(),
            author: message.author.map(|author| author.to_string()),
            from_me: message.from_me(),
            text: &message.text,
            seq: message.seq.map(restante_client::Seq::get),
            at: message.at.get(),
            fate: message.fate.name(),
        }
    }
}

/// A safety number.
#[derive(Serialize)]
pub(crate) struct VerifyLine<'a> {
    pub(crate) contact: String,
    pub(crate) safety_number: &'a str,
    pub(crate) verified: bool,
}

/// What `sync` found and left.
#[derive(Serialize)]
pub(crate) struct SyncLine {
    messages: u32,
    requests: u32,
    sent: u32,
    queued: u32,
}

impl From<Collected> for SyncLine {
    fn from(collected: Collected) -> Self {
        let Collected { messages, requests, sent, queued } = collected;
        Self { messages, requests, sent, queued }
    }
}

/// Something a person should know.
#[derive(Serialize)]
pub(crate) struct NoticeLine {
    pub(crate) notice: String,
    pub(crate) conversation: Option<String>,
}

impl NoticeLine {
    pub(crate) fn new(notice: String, of: Option<ConversationId>) -> Self {
        Self { notice, conversation: of.map(|id| id.to_string()) }
    }
}

/// A command that was not done.
#[derive(Serialize)]
pub(crate) struct ErrorLine<'a> {
    error: &'a str,
    code: &'a str,
    retryable: bool,
}

impl<'a> From<&'a Failure> for ErrorLine<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self { error: &failure.text, code: failure.code, retryable: failure.retryable }
    }
}

/// The line of an object.
pub(crate) fn line(object: &impl Serialize) -> String {
    // These objects hold strings, numbers and booleans only, which all have a text.
    text::harmless_json(&serde_json::to_string(object).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use restante_client::{Contact, ContactState};

    use super::*;

    /// The fields programs rely on.
    #[test]
    fn objects_have_their_fields() {
        let contact = Contact {
            id: restante_client::ContactId::new([0xab; 16]),
            nickname: "Bob".to_owned(),
            state: ContactState::Active,
            unread: 2,
            verified: false,
        };
        assert_eq!(
            line(&ContactLine::from(&contact)),
            concat!(
                r#"{"contact":"abababababababababababababababab","name":"Bob","#,
                r#""state":"active","unread":2,"verified":false}"#
            )
        );
        assert_eq!(line(&InviteLine { link: "x" }), r#"{"link":"x"}"#);
        assert_eq!(
            line(&ErrorLine::from(&Failure::new("locked", "in use"))),
            r#"{"error":"in use","code":"locked","retryable":false}"#
        );
    }

    /// A name that would command a terminal stays the same name to a program.
    #[test]
    fn text_of_others_is_escaped() {
        let shown = line(&InviteLine { link: "\u{9b}2J\u{1b}" });
        assert_eq!(shown, r#"{"link":"\u009b2J\u001b"}"#);
    }
}
