//! Everything this program says: to a person, or to a program with `--json`.
//!
//! Knows stdout, stderr and whether a person looks; must not decide what is said. Text of others
//! passes `text.rs` on the way.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use restante_client::{
    Attachment, AttachmentState, Code, Contact, ContactState, Conversation, ConversationId, Fate,
    Gap, GapState, Message, MessageKind, UnixTime, seen_as,
};
use serde::Serialize;

use crate::changes;
use crate::failure::Failure;
use crate::json::{self, ContactLine, ErrorLine, GapLine, MessageLine, NoticeLine, ProgressLine};
use crate::names::Names;
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

    /// A text as a picture, for people who show it to a camera.
    pub(crate) fn qr(self, text: &str) {
        if self.is_terminal()
            && let Ok(code) = QrCode::new(text)
        {
            self.say(&code.render::<Dense1x2>().build());
        }
    }

    /// An object for a program; people do not get it.
    pub(crate) fn object(self, object: &impl Serialize) {
        if self.json {
            print(&json::line(object));
        }
    }

    /// How far files on their way have come: a line that is written over again, for people at a
    /// terminal.
    pub(crate) fn progress(self, done: u64, size: u64, percent: u64) {
        self.object(&ProgressLine { done, size });
        self.overwrite(&format!("{percent:>3} % of {}", size_words(size)));
    }

    /// Takes the line of progress away.
    pub(crate) fn end_progress(self) {
        self.overwrite(&format!("{:24}\r", ""));
    }

    fn overwrite(self, line: &str) {
        if self.is_terminal() {
            let mut stdout = io::stdout().lock();
            // Where nobody reads there is nobody to tell.
            let _ = write!(stdout, "\r{line}").and_then(|()| stdout.flush());
        }
    }

    /// What is to be typed now, where a person types it.
    pub(crate) fn ask(self, what: &str) {
        if io::stdin().is_terminal() {
            let mut err = io::stderr().lock();
            // Where nobody reads stderr there is nobody to ask.
            let _ = write!(err, "{what}").and_then(|()| err.flush());
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

    /// A message of a conversation, with the beginning of its id if that is wished.
    pub(crate) fn message(self, message: &Message, names: &Names, with_id: bool) {
        self.object(&MessageLine::from(message));
        let id = if with_id { format!("{}  ", short_id(message.id)) } else { String::new() };
        self.say(&format!("{id}{}", message_line(message, names)));
    }

    /// Messages that are missing, where they are.
    pub(crate) fn gap(self, gap: &Gap, names: &Names) {
        self.object(&GapLine::from(gap));
        self.say(&gap_line(gap, names));
    }

    /// A message among those of other conversations, so `who` says where it stands too.
    pub(crate) fn found(self, message: &Message, who: &str) {
        self.object(&MessageLine::from(message));
        self.say(&with_fate(message, said_line(message, who)));
    }

    /// Something a person should know.
    pub(crate) fn notice(self, notice: impl fmt::Display, of: Option<ConversationId>) {
        self.object(&NoticeLine::new(notice.to_string(), of));
        self.warn(&notice.to_string());
    }
}

/// A message as a line: when, who, what, and for own ones what became of it. What people put beside
/// it stands below.
pub(crate) fn message_line(message: &Message, names: &Names) -> String {
    let mut line = with_fate(message, plain_line(message, names));
    for reaction in &message.reactions {
        let by: Vec<String> = reaction.by.iter().map(|who| names.of(*who)).collect();
        // Writing to a String cannot fail.
        let _ = write!(line, "\n    {} {}", text::one_line(&reaction.emoji), by.join(", "));
    }
    line
}

/// The same, without what became of it.
pub(crate) fn plain_line(message: &Message, names: &Names) -> String {
    if message.kind == MessageKind::Event {
        return format!("{}  [{}]", moment(message.at), changes::words(message, names));
    }
    said_line(message, &names.author(message))
}

/// What is missing, how much of it, and why.
fn gap_line(gap: &Gap, names: &Names) -> String {
    let whose =
        gap.author.map_or_else(|| "another device of yours".to_owned(), |who| names.of(who));
    let (what, are, them) = match gap.count {
        1 => ("1 message".to_owned(), "is", "it"),
        n => (format!("{n} messages"), "are", "them"),
    };
    let why = match gap.state {
        GapState::Asked => format!("others are asked for {them}"),
        GapState::Lost => format!("nobody has {them} any more, or may give {them}"),
    };
    format!("[{what} of {whose} {are} missing here: {why}]")
}

fn with_fate(message: &Message, line: String) -> String {
    match message.fate {
        Fate::Received => line,
        fate => format!("{line}  ({})", fate_words(fate)),
    }
}

fn said_line(message: &Message, who: &str) -> String {
    let head = format!("{}  {who}: ", moment(message.at));
    let indent = " ".repeat(head.chars().count());
    let answers = message
        .reply_to
        .map_or_else(String::new, |of| format!("[answers {}] ", short_id(of.message)));
    let body = match message.kind {
        MessageKind::Text => text::lines(&message.text, &indent),
        MessageKind::Attachment => {
            let file = file_words(message.attachment.as_deref());
            format!("[{file}] {}", text::lines(&message.text, &indent)).trim_end().to_owned()
        }
        MessageKind::Unknown => "[needs a newer version]".to_owned(),
        MessageKind::Unreadable => "[cannot be opened]".to_owned(),
        MessageKind::Deleted => "[taken back]".to_owned(),
        MessageKind::Disappeared => "[disappeared]".to_owned(),
        // Has no author who says it: see `plain_line`.
        MessageKind::Event => String::new(),
    };
    let edited = if message.edited { "  (edited)" } else { "" };
    let doubt = if message.is_unconfirmed { "  (given by others, not proven)" } else { "" };
    format!("{head}{answers}{body}{edited}{doubt}")
}

/// What the file of a message is, and where.
pub(crate) fn file_words(file: Option<&Attachment>) -> String {
    let Some(file) = file else { return "a file that is not here any more".to_owned() };
    let name = if file.name.is_empty() { "a file".to_owned() } else { text::one_line(&file.name) };
    let place = match file.state {
        AttachmentState::AtRelay => ", not fetched".to_owned(),
        AttachmentState::Moving(_) => ", on its way".to_owned(),
        AttachmentState::Here => String::new(),
        AttachmentState::Failed(failure) => format!(", failed: {failure}"),
        AttachmentState::Unfetchable => ", cannot be fetched".to_owned(),
    };
    format!("{name}, {}{place}", size_words(file.size))
}

/// A size as people say it.
pub(crate) fn size_words(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

/// The name of a contact, fit for a terminal.
pub(crate) fn name_of(contact: &Contact) -> String {
    called(&contact.nickname, contact.id)
}

/// The name of a group, or of the contact one talks with, fit for a terminal.
pub(crate) fn place_of(conversation: &Conversation) -> String {
    called(&conversation.name, conversation.id)
}

/// A name fit for a terminal, or the id where there is none that is seen.
pub(crate) fn called(name: &str, id: impl fmt::Display) -> String {
    if seen_as(name).is_empty() { format!("({})", short_id(id)) } else { text::one_line(name) }
}

/// A word by which a contact or group can be named on the command line.
pub(crate) fn word_for(name: &str, id: impl fmt::Display) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    if !name.is_empty() && name.chars().all(plain) { name.to_owned() } else { short_id(id) }
}

/// What became of a message, in words.
pub(crate) fn fate_words(fate: Fate) -> String {
    match fate {
        Fate::Queued => "queued on this device".to_owned(),
        Fate::Accepted => "safe at the relay".to_owned(),
        Fate::Delivered => "delivered".to_owned(),
        Fate::Read => "read".to_owned(),
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

/// Enough of an id to name a contact or group by it.
pub(crate) fn short_id(id: impl fmt::Display) -> String {
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
