//! `invite`: tokens that admit accounts, made, listed and revoked by the operator of a running
//! relay (ADM-4).
//!
//! Knows words, both of the command line and of the admin socket; what a token is, and where it is
//! kept, is known by whoever does what is asked.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;

use clap::{Args, Subcommand};
use restante_spec::ids::{Seconds, UnixTime};

use super::admin;
use super::config::Serve;
use crate::error::Error;
use crate::limits::{NOTE_BYTES, TOKEN_USES};

/// What to do with tokens.
#[derive(Clone, Debug, Subcommand)]
pub enum Invite {
    /// Makes a token, and prints it with the relay's address: for `restante init --relay`.
    New(Box<New>),
    /// Lists the tokens: what is left of each, never the token itself.
    List(Box<Serve>),
    /// Revokes a token: it admits nobody and pays for nothing more; mailboxes stay.
    Revoke(Box<Revoke>),
}

/// What a new token is good for.
#[derive(Args, Clone, Debug)]
pub struct New {
    /// How many accounts it admits.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(TOKEN_USES)))]
    pub uses: u32,
    /// For how long it admits them, in minutes, hours or days: 30m, 12h, 7d.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = time)]
    pub expires: Seconds,
    /// What you want to know it by; it is kept, and nobody else sees it.
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = note)]
    pub note: String,
    /// The relay's settings.
    #[command(flatten)]
    pub serve: Serve,
}

/// Which token to revoke.
#[derive(Args, Clone, Debug)]
pub struct Revoke {
    /// Its id, from the list.
    pub id: String,
    /// The relay's settings.
    #[command(flatten)]
    pub serve: Serve,
}

/// What is asked of the running relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    New { uses: u32, ttl: Seconds, note: String },
    List,
    Revoke { id: String },
}

/// Does what is asked, elsewhere; gives what is to be printed, or why it was not done.
pub(crate) type Tokens = Arc<dyn Fn(Ask) -> Answer + Send + Sync>;
/// The answer, when it is there.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// A token as it stands in the list.
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) uses: u32,
    pub(crate) mailboxes: u32,
    pub(crate) expires_at: UnixTime,
    pub(crate) note: String,
}

impl Invite {
    /// The settings of the relay that is asked.
    pub(super) const fn serve(&self) -> &Serve {
        match self {
            Self::New(new) => &new.serve,
            Self::List(serve) => serve,
            Self::Revoke(revoke) => &revoke.serve,
        }
    }
}

impl Ask {
    /// The words of a request.
    pub(super) fn words(&self) -> String {
        match self {
            Self::New { uses, ttl, note } => format!("new {uses} {ttl} {note}"),
            Self::List => "list".to_owned(),
            Self::Revoke { id } => format!("revoke {id}"),
        }
    }

    /// What the words of a request ask for.
    pub(super) fn read(words: &str) -> Option<Self> {
        let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
        match first {
            "new" => {
                let mut parts = rest.splitn(3, ' ');
                let uses = parts.next()?.parse().ok()?;
                let ttl = Seconds::new(parts.next()?.parse().ok()?);
                Some(Self::New { uses, ttl, note: parts.next()?.to_owned() })
            }
            "list" if rest.is_empty() => Some(Self::List),
            "revoke" => Some(Self::Revoke { id: rest.to_owned() }),
            _ => None,
        }
    }
}

/// Asks the relay that runs with these settings; gives what it says.
///
/// # Errors
/// [`Error::NoRelay`], [`Error::Admin`], [`Error::Declined`], [`Error::NoDataDir`].
pub fn invite(what: &Invite) -> Result<String, Error> {
    let ask = match what {
        Invite::New(new) => Ask::New { uses: new.uses, ttl: new.expires, note: new.note.clone() },
        Invite::List(_) => Ask::List,
        Invite::Revoke(revoke) => Ask::Revoke { id: revoke.id.clone() },
    };
    admin::ask_for_tokens(&what.serve().data_dir()?, ask)
}

/// What is printed of a token that was made: first its entrance, for programs.
pub(crate) fn made(id: &str, entrance: &str, uses: u32, ttl: Seconds, needed: bool) -> String {
    let accounts = if uses == 1 { "1 account".to_owned() } else { format!("{uses} accounts") };
    let expires = in_words(u64::from(ttl.get()));
    let mut text = format!(
        "{entrance}\n\n\
         Whoever has this line is admitted: {accounts}, within {expires}. It is shown only now.\n\
         It is taken by: restante init --relay LINE --name NICK\n\
         To revoke it: restante-relay invite revoke {id}\n"
    );
    if !needed {
        text.push_str("This relay admits everybody: set admission = \"token\" to change that.\n");
    }
    text
}

/// The list as it is printed.
pub(crate) fn list(lines: &[Line], now: UnixTime) -> String {
    if lines.is_empty() {
        return "no tokens\n".to_owned();
    }
    let mut text = "ID            ACCOUNTS  MAILBOXES  EXPIRES  NOTE\n".to_owned();
    for Line { id, uses, mailboxes, expires_at, note } in lines {
        let left = expires_at.get().saturating_sub(now.get());
        let expires = if left == 0 { "over".to_owned() } else { in_words(left) };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{id}  {uses:>8}  {mailboxes:>9}  {expires:>7}  {note}");
    }
    text
}

/// A time in its two largest units, rounded down: nobody is promised more than there is. What is
/// less than a minute is called one.
pub(crate) fn in_words(seconds: u64) -> String {
    let (mut left, mut text) = (seconds.max(60), String::new());
    let units = UNITS.into_iter().skip_while(|(_, unit)| *unit > seconds.max(60));
    for (letter, unit) in units.take(2) {
        if left >= unit {
            // Writing to a string cannot fail.
            let _ = write!(text, "{}{letter}", left / unit);
            left %= unit;
        }
    }
    text
}

/// Unit: days, hours and minutes in seconds.
const UNITS: [(char, u64); 3] = [('d', 86_400), ('h', 3_600), ('m', 60)];

/// A number with its unit.
fn time(text: &str) -> Result<Seconds, String> {
    let wrong = || "a time is a number with its unit: 30m, 12h, 7d".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let (_, unit_seconds) =
        UNITS.into_iter().find(|(letter, _)| *letter == unit).ok_or_else(wrong)?;
    let number = text.strip_suffix(unit).ok_or_else(wrong)?;
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let seconds = u32::try_from(u64::from(number) * unit_seconds).map_err(|_| wrong())?;
    if seconds == 0 { Err(wrong()) } else { Ok(Seconds::new(seconds)) }
}

/// One line, not long.
fn note(text: &str) -> Result<String, String> {
    if text.len() > NOTE_BYTES || text.chars().any(char::is_control) {
        return Err(format!("a note is one line of at most {NOTE_BYTES} bytes"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_read_as_it_was_said() {
        let new = |note: &str| Ask::New { uses: 3, ttl: Seconds::new(60), note: note.to_owned() };
        let revoke = Ask::Revoke { id: "00112233aabb".to_owned() };
        for ask in [new(""), new("for  the reading circle"), Ask::List, revoke] {
            assert_eq!(Ask::read(&ask.words()), Some(ask));
        }
        for words in ["", "new", "new 1", "new x 1 ", "list all", "other"] {
            assert_eq!(Ask::read(words), None, "{words}");
        }
    }

    #[test]
    fn times_have_a_unit_and_are_told_in_it() {
        for (text, seconds) in [("30m", 1_800), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(time(text), Ok(Seconds::new(seconds)));
            assert_eq!(in_words(u64::from(seconds)), text);
        }
        for text in ["", "7", "d", "0d", "-1d", "7w", "7dd", "99999999d"] {
            assert!(time(text).is_err(), "{text}");
        }
        // Once 25 hours were called two days.
        let told = [1, 60, 3_599, 5_400, 86_401, 90_000, 172_799].map(in_words);
        assert_eq!(told, ["1m", "1m", "59m", "1h30m", "1d", "1d1h", "1d23h"]);
    }

    /// At the bound, and one past it.
    #[test]
    fn a_note_is_one_line() {
        assert!(note(&"x".repeat(NOTE_BYTES)).is_ok());
        assert!(note(&"x".repeat(NOTE_BYTES + 1)).is_err());
        assert!(note("two\nlines").is_err());
    }
}
