//! The line a person is typing.
//!
//! Sans-IO: keys in, text and a place for the cursor out; must not know the terminal.

use unicode_width::UnicodeWidthChar;

/// A key that changes the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A character is put in.
    Char(char),
    /// The character before the cursor goes.
    Backspace,
    /// The character at the cursor goes.
    Delete,
    /// The word before the cursor goes.
    DeleteWord,
    /// The whole line goes.
    DeleteLine,
    /// One character back.
    Left,
    /// One character on.
    Right,
    /// To the beginning.
    Home,
    /// To the end.
    End,
}

/// Text and cursor. Invariant: `cursor` is at most the number of characters.
#[derive(Debug, Default)]
pub(super) struct Editor {
    chars: Vec<char>,
    cursor: usize,
}

impl Editor {
    /// Changes the line.
    pub(super) fn handle(&mut self, key: Key) {
        match key {
            Key::Char(c) => {
                self.chars.insert(self.cursor, c);
                self.cursor += 1;
            }
            Key::Backspace if self.cursor > 0 => self.cut_from(self.cursor - 1),
            Key::Delete if self.cursor < self.chars.len() => {
                self.chars.remove(self.cursor);
            }
            Key::DeleteWord => self.cut_from(self.word_start()),
            Key::DeleteLine => self.cut_from(0),
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(self.chars.len()),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.chars.len(),
            Key::Backspace | Key::Delete => {}
        }
    }

    /// The line is said: takes it and begins a new one.
    pub(super) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.chars).into_iter().collect()
    }

    /// Whether nothing is typed.
    pub(super) fn is_empty(&self) -> bool {
        self.chars.is_empty()
    }

    /// What fits into so many columns around the cursor, and the cursor's column in it.
    pub(super) fn view(&self, columns: usize) -> (String, usize) {
        let (before, behind) = self.chars.split_at(self.cursor.min(self.chars.len()));
        let mut room = columns.saturating_sub(1);
        let mut shown: Vec<char> = Vec::new();
        for &c in before.iter().rev() {
            let Some(left) = room.checked_sub(width(c)) else { break };
            room = left;
            shown.push(c);
        }
        shown.reverse();
        let column = shown.iter().copied().map(width).sum();
        for &c in behind {
            let Some(left) = room.checked_sub(width(c)) else { break };
            room = left;
            shown.push(c);
        }
        (shown.into_iter().collect(), column)
    }

    /// Removes what stands between `start` and the cursor.
    fn cut_from(&mut self, start: usize) {
        self.chars.drain(start.min(self.cursor)..self.cursor);
        self.cursor = start.min(self.cursor);
    }

    fn word_start(&self) -> usize {
        let before: Vec<char> = self.chars.iter().take(self.cursor).copied().collect();
        let word = before.iter().rposition(|c| !c.is_whitespace()).unwrap_or(0);
        let gap = before.iter().take(word).rposition(|c| c.is_whitespace());
        gap.map_or(0, |gap| gap + 1)
    }
}

/// Columns a character takes.
fn width(c: char) -> usize {
    c.width().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Editor {
        let mut editor = Editor::default();
        text.chars().for_each(|c| editor.handle(Key::Char(c)));
        editor
    }

    /// Text is put in and taken out where the cursor stands.
    #[test]
    fn keys_work_at_the_cursor() {
        let mut editor = typed("helo");
        editor.handle(Key::Left);
        editor.handle(Key::Char('l'));
        editor.handle(Key::End);
        editor.handle(Key::Char('!'));
        assert_eq!(editor.view(80), ("hello!".to_owned(), 6));
        editor.handle(Key::Backspace);
        editor.handle(Key::Home);
        editor.handle(Key::Delete);
        assert_eq!(editor.take(), "ello");
        assert!(editor.is_empty());
    }

    /// At the ends of the line nothing happens.
    #[test]
    fn ends_of_the_line_hold() {
        let mut editor = Editor::default();
        for key in [Key::Backspace, Key::Delete, Key::Left, Key::Right, Key::DeleteWord] {
            editor.handle(key);
        }
        assert_eq!(editor.view(80), (String::new(), 0));
    }

    /// A word goes with the space behind it, the words before it stay.
    #[test]
    fn words_are_deleted_one_by_one() {
        let mut editor = typed("one two  ");
        editor.handle(Key::DeleteWord);
        assert_eq!(editor.view(80).0, "one ");
        editor.handle(Key::DeleteWord);
        assert_eq!(editor.view(80).0, "");
        let mut editor = typed("all of it");
        editor.handle(Key::DeleteLine);
        assert!(editor.is_empty());
    }

    /// A long line shows the part around the cursor; wide characters take two columns.
    #[test]
    fn long_line_shows_what_is_around_the_cursor() {
        let mut editor = typed("0123456789");
        assert_eq!(editor.view(6), ("56789".to_owned(), 5));
        editor.handle(Key::Home);
        assert_eq!(editor.view(6), ("01234".to_owned(), 0));
        assert_eq!(typed("你好世界").view(6), ("世界".to_owned(), 4));
    }
}
