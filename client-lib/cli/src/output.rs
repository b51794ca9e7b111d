//! Everything this program says: to a person, or to a program with `--json`.
//!
//! Knows stdout, stderr and whether a person looks; must not decide what is said. Text of others
//! passes `text.rs` on the way.

use std::io::{self, IsTerminal, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use restante_client::{
    Code, Contact, ContactId, ContactState, ConversationId, Fate, Message, MessageKind, Notice,
    UnixTime,
};
use serde::Serialize;

use crate::failure::Failure;
use crate::json::{self, ContactLine, ErrorLine, MessageLine, NoticeLine};
use crate::text;

/// Where a program's words go, and in which form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    /// A person reads stdout.
    terminal: bool,
}

impl Output {
    /// For a person, or for a program.
    pub(crate) fn new(json: bool) -> Self {
        Self { json, terminal: io::stdout().is_terminal() }
    }

    /// Whether a program reads.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Whether a person reads at a terminal.
    pub(crate) const fn is_terminal(self) -> bool {
        self.terminal && !self.json
    }

    /// A line for a person; programs do not get it.
    pub(crate) fn say(self, line: &str) {
        if !self.json {
            print(line);
        }
    }

    /// An object for a program; people do not get it.
    pub(crate) fn object(self, object: &impl Serialize) {
        if self.json {
            print(&json::line(object));
        }
    }

    /// Something that went not quite as wished, beside what is printed.
    pub(crate) fn warn(self, line: &str) {
        if !self.json {
            // Where nobody reads stderr there is nobody to tell.
            let _ = writeln!(io::stderr().lock(), "restante: {line}");
        }
    }

    /// Why the command was not done.
    pub(crate) fn failure(self, failure: &Failure) {
        self.warn(&failure.text);
        self.object(&ErrorLine::from(failure));
    }

    /// A contact in a list; `width` is that of the longest name.
    pub(crate) fn contact(self, contact: &Contact, width: usize) {
        self.object(&ContactLine::from(contact));
        let (name, id) = (name_of(contact), short_id(contact.id));
        let unread = match contact.unread {
            0 => String::new(),
            1 => "1 unread message".to_owned(),
            n => format!("{n} unread messages"),
        };
        let verified = if contact.verified { "verified" } else { "" };
        let state = state_words(contact.state);
        let notes: Vec<&str> =
            [verified, &unread].into_iter().filter(|note| !note.is_empty()).collect();
        let notes =
            if notes.is_empty() { String::new() } else { format!(", {}", notes.join(", ")) };
        self.say(&format!("{name:<width$}  {id}  {state}{notes}"));
    }

    /// A message, and who is speaking.
    pub(crate) fn message(self, message: &Message, who: &str) {
        self.object(&MessageLine::from(message));
        self.say(&message_line(message, who));
    }

    /// Something a person should know.
    pub(crate) fn notice(self, notice: &Notice, of: Option<ConversationId>) {
        self.object(&NoticeLine::new(notice.to_string(), of));
        self.warn(&notice.to_string());
    }
}

/// A message as a line: when, who, what, and for own ones what became of it.
pub(crate) fn message_line(message: &Message, who: &str) -> String {
    let fate = match message.fate {
        Fate::Received => String::new(),
        fate => format!("  ({})", fate_words(fate)),
    };
    format!("{}{fate}", plain_line(message, who))
}

/// The same, without what became of it.
pub(crate) fn plain_line(message: &Message, who: &str) -> String {
    let head = format!("{}  {who}: ", moment(message.at));
    let indent = " ".repeat(head.chars().count());
    let body = text::lines(&message.text, &indent);
    let body = match message.kind {
        MessageKind::Text => body,
        MessageKind::Attachment => format!("[{}] {body}", text::one_line(file_name(message))),
        MessageKind::Unknown | MessageKind::Unreadable | MessageKind::Event => format!("[{body}]"),
    };
    format!("{head}{body}")
}

/// What the file of a message is called.
fn file_name(message: &Message) -> &str {
    match message.attachment.as_deref() {
        Some(file) if !file.name.is_empty() => &file.name,
        Some(_) | None => "file",
    }
}

/// The name of a contact, fit for a terminal.
pub(crate) fn name_of(contact: &Contact) -> String {
    if contact.nickname.is_empty() {
        format!("({})", short_id(contact.id))
    } else {
        text::one_line(&contact.nickname)
    }
}

/// A word by which the contact can be named on the command line.
pub(crate) fn word_for(contact: &Contact) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    if !contact.nickname.is_empty() && contact.nickname.chars().all(plain) {
        contact.nickname.clone()
    } else {
        short_id(contact.id)
    }
}

/// What became of a message, in words.
pub(crate) fn fate_words(fate: Fate) -> String {
    match fate {
        Fate::Queued => "queued on this device".to_owned(),
        Fate::Accepted => "safe at the relay".to_owned(),
        Fate::Delivered => "delivered".to_owned(),
        Fate::Expired => "expired before it was delivered".to_owned(),
        Fate::Refused(Code::Gone | Code::Superseded | Code::NotFound) => {
            "refused: this conversation has ended for you".to_owned()
        }
        Fate::Refused(code) => format!("refused: {}", code.name()),
        Fate::Received => "received".to_owned(),
    }
}

const fn state_words(state: ContactState) -> &'static str {
    match state {
        ContactState::Invited => "your request waits on this device",
        ContactState::Requested => "asked, not accepted yet",
        ContactState::Incoming => "asks to get in touch",
        ContactState::Active => "in touch",
        ContactState::Ended => "ended, a new invite begins anew",
        ContactState::Declined => "declined",
        ContactState::Blocked => "blocked",
    }
}

/// Enough of an id to name a contact by it.
pub(crate) fn short_id(id: ContactId) -> String {
    id.to_string().chars().take(8).collect()
}

/// A moment in the reader's time zone.
fn moment(at: UnixTime) -> String {
    let seconds = i64::try_from(at.get()).unwrap_or(i64::MAX);
    let shown = Timestamp::from_second(seconds)
        .map(|stamp| stamp.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string());
    // A clock of others may say anything.
    shown.unwrap_or_else(|_| "????-??-?? ??:??".to_owned())
}

fn print(line: &str) {
    // A reader that has seen enough may close the pipe.
    let _ = writeln!(io::stdout().lock(), "{line}");
}
