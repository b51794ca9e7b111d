//! Full-text search: FTS5, with Chinese, Japanese and Korean text findable inside sentences.
//!
//! These scripts put no spaces between words, and FTS5 splits at spaces. So each of their
//! characters is indexed as a word of its own, and a run of them is asked for as a phrase.

use rusqlite::OptionalExtension;

use super::Db;
use super::messages::{MESSAGES, read_message};
use crate::error::Error;
use crate::types::{ConversationId, Message, MessageId};

impl Db<'_> {
    /// Makes the text of a row of `messages` findable.
    pub(super) fn index_text(self, row: i64, text: &str) -> Result<(), Error> {
        if text.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO search (rowid, words) VALUES (?1, ?2)";
        self.sql.prepare_cached(sql)?.execute((row, spaced(text)))?;
        Ok(())
    }

    /// The words of a message that stand in the index are wiped, before its text is.
    pub(super) fn unindex_text(self, of: ConversationId, id: &MessageId) -> Result<(), Error> {
        // The index does not know the words of a row: it is told.
        let sql =
            "SELECT row, text FROM messages WHERE conversation = ?1 AND id = ?2 AND text <> ''";
        let mut query = self.sql.prepare_cached(sql)?;
        let of = (of.as_bytes(), id.as_bytes());
        let found = query.query_row(of, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((row, text)) = found else { return Ok(()) };
        let (row, text): (i64, String) = (row, text);
        let sql = "INSERT INTO search (search, rowid, words) VALUES ('delete', ?1, ?2)";
        self.sql.prepare_cached(sql)?.execute((row, spaced(&text)))?;
        Ok(())
    }

    /// Messages that hold all the words, newest first.
    pub(crate) fn search(self, words: &str, limit: u32) -> Result<Vec<Message>, Error> {
        let query = match_expression(words).ok_or(Error::EmptySearch)?;
        let sql = format!(
            "{MESSAGES} JOIN search ON messages.row = search.rowid
            WHERE search MATCH ?1 ORDER BY search.rowid DESC LIMIT ?2"
        );
        let mut statement = self.sql.prepare_cached(&sql)?;
        let rows = statement.query_map((query, limit), read_message)?;
        let mut found = rows.collect::<Result<Vec<_>, _>>()?;
        self.dress(&mut found)?;
        Ok(found)
    }
}

/// The text with spaces around every character of a script that has none.
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if stands_alone(c) {
            out.push(' ');
            out.push(c);
            out.push(' ');
        } else {
            out.push(c);
        }
    }
    out
}

/// What FTS5 is asked for: each word as a phrase, all of them, the beginnings of words too.
/// `None` if there is nothing to look for.
fn match_expression(words: &str) -> Option<String> {
    let mut phrases = Vec::new();
    for word in words.split_whitespace() {
        if !word.chars().any(char::is_alphanumeric) {
            continue;
        }
        let quoted = spaced(word).replace('"', " ");
        // A word may go on; a character that is a word may not.
        let open =
            word.chars().next_back().is_some_and(|c| c.is_alphanumeric() && !stands_alone(c));
        phrases.push(format!("\"{}\"{}", quoted.trim(), if open { "*" } else { "" }));
    }
    (!phrases.is_empty()).then(|| phrases.join(" AND "))
}

/// Whether a character belongs to a script without spaces between words (Unicode blocks).
const fn stands_alone(c: char) -> bool {
    matches!(c,
        '\u{1100}'..='\u{11FF}'      // Hangul jamo
        | '\u{3005}'..='\u{3007}'    // repetition marks
        | '\u{3040}'..='\u{30FF}'    // hiragana, katakana
        | '\u{3105}'..='\u{318F}'    // bopomofo, Hangul compatibility jamo
        | '\u{31A0}'..='\u{31FF}'    // bopomofo and katakana extensions
        | '\u{3400}'..='\u{4DBF}'    // Han, extension A
        | '\u{4E00}'..='\u{9FFF}'    // Han
        | '\u{AC00}'..='\u{D7A3}'    // Hangul
        | '\u{F900}'..='\u{FAFF}'    // Han, compatibility
        | '\u{FF66}'..='\u{FF9F}'    // katakana, half width
        | '\u{20000}'..='\u{323AF}'  // Han, further extensions
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each character of Chinese, Japanese and Korean becomes a word; other words stay whole.
    #[test]
    fn scripts_without_spaces_are_split() {
        let words =
            |text: &str| spaced(text).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words("明天见"), ["明", "天", "见"]);
        assert_eq!(words("カレーを食べる"), ["カ", "レ", "ー", "を", "食", "べ", "る"]);
        assert_eq!(words("안녕 ok"), ["안", "녕", "ok"]);
        assert_eq!(words("see you明天at 8"), ["see", "you", "明", "天", "at", "8"]);
    }

    /// What has no letter or digit asks for nothing; quotes cannot leave their phrase.
    #[test]
    fn queries_are_quoted() {
        assert_eq!(match_expression("  -- \"\" "), None);
        assert_eq!(match_expression("a\"b 明天").unwrap(), "\"a b\"* AND \"明  天\"");
        assert_eq!(match_expression("NOT x").unwrap(), "\"NOT\"* AND \"x\"*");
    }
}
