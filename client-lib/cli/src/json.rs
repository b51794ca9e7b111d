//! What programs read: one object per line, with fields that stay as they are.
//!
//! Knows names of fields; must not print. Text from others stands in it as it came, escaped where a
//! terminal would obey it.

mod groups;

use std::borrow::Cow;
use std::path::Path;

use restante_client::{
    Attachment, Collected, Contact, ContactId, ConversationId, Device, Gap, GroupChange,
    HistoryProgress, Message, MessageId, MessageKind, Privacy, Reach, Reaction, Recipient,
    UnixTime,
};
use serde::Serialize;

pub(crate) use self::groups::{ConversationLine, GroupLine, who_name};
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

/// What a device shows that is to be linked.
#[derive(Serialize)]
pub(crate) struct CodeLine<'a> {
    pub(crate) code: &'a str,
}

/// The number that two devices must both show.
#[derive(Serialize)]
pub(crate) struct CheckLine<'a> {
    pub(crate) check: &'a str,
}

/// A device of this account.
#[derive(Serialize)]
pub(crate) struct DeviceLine<'a> {
    device: u32,
    label: &'a str,
    since: u64,
    /// It is this one.
    this: bool,
}

impl<'a> From<&'a Device> for DeviceLine<'a> {
    fn from(device: &'a Device) -> Self {
        Self {
            device: device.number,
            label: &device.label,
            since: device.since.get(),
            this: device.is_this,
        }
    }
}

/// How far the history is that another device gives.
#[derive(Serialize)]
pub(crate) struct HistoryLine {
    done: u64,
    total: u64,
    complete: bool,
}

impl From<HistoryProgress> for HistoryLine {
    fn from(progress: HistoryProgress) -> Self {
        let HistoryProgress { done, total, is_complete } = progress;
        Self { done, total, complete: is_complete }
    }
}

/// A recovery file that was written.
#[derive(Serialize)]
pub(crate) struct BackupLine<'a> {
    pub(crate) file: &'a str,
    pub(crate) messages: u64,
    /// The 24 words that open it; null: a passphrase does.
    pub(crate) words: Option<&'a str>,
}

/// An account that came back.
#[derive(Serialize)]
pub(crate) struct RestoredLine<'a> {
    pub(crate) account: String,
    pub(crate) name: &'a str,
    pub(crate) contacts: usize,
}

/// A contact.
#[derive(Serialize)]
pub(crate) struct ContactLine<'a> {
    contact: String,
    name: &'a str,
    state: &'static str,
    unread: u32,
    verified: bool,
    /// A group they ask to be in, or this account asked them to be let into.
    joins: Option<JoinsLine<'a>>,
}

/// A group, before one is in it.
#[derive(Serialize)]
struct JoinsLine<'a> {
    group: String,
    name: &'a str,
}

impl<'a> From<&'a Contact> for ContactLine<'a> {
    fn from(contact: &'a Contact) -> Self {
        Self {
            contact: contact.id.to_string(),
            name: &contact.nickname,
            state: contact.state.name(),
            unread: contact.unread,
            verified: contact.verified,
            joins: contact
                .joins
                .as_ref()
                .map(|joins| JoinsLine { group: joins.group.to_string(), name: &joins.name }),
        }
    }
}

/// A message, or what happened to a group.
#[derive(Serialize)]
pub(crate) struct MessageLine<'a> {
    id: String,
    conversation: String,
    /// The contact or member; null: this account.
    author: Option<String>,
    from_me: bool,
    /// `text`, `attachment`, `unknown`, `unreadable`, `event`, `deleted` or `disappeared`.
    kind: &'static str,
    text: &'a str,
    /// What happened, if it is an event.
    changes: Vec<ChangeLine<'a>>,
    /// The message it answers.
    reply_to: Option<String>,
    /// `text` is not what it said at first.
    edited: bool,
    /// It was missing and given by somebody else: nothing proves that its author wrote it.
    unconfirmed: bool,
    /// Who took it back.
    deleted_by: Option<String>,
    reactions: Vec<ReactionLine<'a>>,
    attachment: Option<AttachmentLine<'a>>,
    /// When it disappears; null: not, or not before it is read.
    expires_at: Option<u64>,
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
            kind: kind_name(message.kind),
            text: &message.text,
            changes: message.changes.iter().map(ChangeLine::from).collect(),
            reply_to: message.reply_to.map(|answered| answered.message.to_string()),
            edited: message.edited,
            unconfirmed: message.is_unconfirmed,
            deleted_by: message.deleted_by.map(|who| who.to_string()),
            reactions: message.reactions.iter().map(ReactionLine::from).collect(),
            attachment: message.attachment.as_deref().map(AttachmentLine::from),
            expires_at: message.expires_at.map(UnixTime::get),
            seq: message.seq.map(restante_client::Seq::get),
            at: message.at.get(),
            fate: message.fate.name(),
        }
    }
}

/// The file in a message; all but `state` is what its sender says.
#[derive(Serialize)]
struct AttachmentLine<'a> {
    name: &'a str,
    media_type: &'a str,
    /// Bytes.
    size: u64,
    /// Pixels; 0: unknown.
    width: u32,
    height: u32,
    /// 0: unknown.
    duration_ms: u64,
    /// `at_relay`, `moving`, `here`, `failed` or `unfetchable`.
    state: &'static str,
}

impl<'a> From<&'a Attachment> for AttachmentLine<'a> {
    fn from(file: &'a Attachment) -> Self {
        Self {
            name: &file.name,
            media_type: &file.media_type,
            size: file.size,
            width: file.width,
            height: file.height,
            duration_ms: file.duration_ms,
            state: file.state.name(),
        }
    }
}

/// Messages that are missing.
#[derive(Serialize)]
pub(crate) struct GapLine {
    conversation: String,
    /// How many.
    gap: u64,
    /// Who wrote them; null: another device of this account.
    author: Option<String>,
    /// They stand before this place of the log.
    before: u64,
    /// `asked`: the others are asked for them; `lost`: nobody has them any more, or may give them.
    state: &'static str,
}

impl From<&Gap> for GapLine {
    fn from(gap: &Gap) -> Self {
        Self {
            conversation: gap.conversation.to_string(),
            gap: gap.count,
            author: gap.author.map(|author| author.to_string()),
            before: gap.seq.get(),
            state: gap.state.name(),
        }
    }
}

/// How far files on their way have come.
#[derive(Serialize)]
pub(crate) struct ProgressLine {
    /// Bytes, sealed.
    pub(crate) done: u64,
    pub(crate) size: u64,
}

/// A file that was written.
#[derive(Serialize)]
pub(crate) struct FileLine {
    message: String,
    path: String,
}

impl FileLine {
    pub(crate) fn new(message: MessageId, path: &Path) -> Self {
        Self { message: message.to_string(), path: path.display().to_string() }
    }
}

/// Somebody whose device asks to be let in again.
#[derive(Serialize)]
pub(crate) struct CallerLine<'a> {
    conversation: String,
    contact: String,
    name: &'a str,
}

impl<'a> CallerLine<'a> {
    pub(crate) fn new(of: ConversationId, who: ContactId, name: &'a str) -> Self {
        Self { conversation: of.to_string(), contact: who.to_string(), name }
    }
}

/// What people put beside a message.
#[derive(Serialize)]
struct ReactionLine<'a> {
    emoji: &'a str,
    by: Vec<String>,
}

impl<'a> From<&'a Reaction> for ReactionLine<'a> {
    fn from(reaction: &'a Reaction) -> Self {
        let by = reaction.by.iter().map(ToString::to_string).collect();
        Self { emoji: &reaction.emoji, by }
    }
}

const fn kind_name(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Text => "text",
        MessageKind::Attachment => "attachment",
        MessageKind::Unknown => "unknown",
        MessageKind::Unreadable => "unreadable",
        MessageKind::Event => "event",
        MessageKind::Deleted => "deleted",
        MessageKind::Disappeared => "disappeared",
    }
}

/// One of the things that happened to a group.
#[derive(Serialize)]
struct ChangeLine<'a> {
    /// `added`, `removed`, `left`, `named`, `picture`, `timer`, `policy`, `role`, `verified`,
    /// `unverified`, `muted`, `unmuted`, `host`, `no_host`, `key`, `improper`, `restarted` or
    /// `unknown`.
    change: &'static str,
    /// To whom.
    who: Option<String>,
    /// The name, the role, or the seconds of the timer, 0: without end.
    value: Option<Cow<'a, str>>,
}

impl<'a> From<&'a GroupChange> for ChangeLine<'a> {
    fn from(change: &'a GroupChange) -> Self {
        let (change, who, value) = match change {
            GroupChange::Added(who) => ("added", Some(who), None),
            GroupChange::Removed(who) => ("removed", Some(who), None),
            GroupChange::Left(who) => ("left", Some(who), None),
            GroupChange::Named(name) => ("named", None, Some(Cow::from(name))),
            GroupChange::Picture => ("picture", None, None),
            GroupChange::Timer(seconds) => ("timer", None, Some(seconds.to_string().into())),
            GroupChange::Policy => ("policy", None, None),
            GroupChange::Role(who, role) => ("role", Some(who), Some(Cow::from(role))),
            GroupChange::Verified(who, true) => ("verified", Some(who), None),
            GroupChange::Verified(who, false) => ("unverified", Some(who), None),
            GroupChange::Audience(true) => ("unmuted", None, None),
            GroupChange::Audience(false) => ("muted", None, None),
            GroupChange::Host(who, true) => ("host", Some(who), None),
            GroupChange::Host(who, false) => ("no_host", Some(who), None),
            GroupChange::Key => ("key", None, None),
            GroupChange::Improper => ("improper", None, None),
            GroupChange::Restarted => ("restarted", None, None),
            _ => ("unknown", None, None),
        };
        Self { change, who: who.map(ToString::to_string), value }
    }
}

/// How far a message has come with one account.
#[derive(Serialize)]
pub(crate) struct ReceiptLine {
    message: String,
    contact: String,
    /// `sent`, `delivered` or `read`.
    state: &'static str,
    /// When this device heard of it.
    at: Option<u64>,
}

impl ReceiptLine {
    pub(crate) fn new(of: MessageId, recipient: &Recipient) -> Self {
        Self {
            message: of.to_string(),
            contact: recipient.account.to_string(),
            state: reach_name(recipient.how),
            at: recipient.at.map(UnixTime::get),
        }
    }
}

/// The stable name of how far a message has come.
pub(crate) const fn reach_name(reach: Reach) -> &'static str {
    match reach {
        Reach::Sent => "sent",
        Reach::Delivered => "delivered",
        Reach::Read => "read",
    }
}

/// What others are told without being written to.
#[derive(Serialize)]
pub(crate) struct PrivacyLine {
    read_receipts: bool,
    typing: bool,
    presence: bool,
}

impl From<Privacy> for PrivacyLine {
    fn from(privacy: Privacy) -> Self {
        let Privacy { read_receipts, typing, presence } = privacy;
        Self { read_receipts, typing, presence }
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
            joins: None,
        };
        assert_eq!(
            line(&ContactLine::from(&contact)),
            concat!(
                r#"{"contact":"abababababababababababababababab","name":"Bob","#,
                r#""state":"active","unread":2,"verified":false,"joins":null}"#
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
