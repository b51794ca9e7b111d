//! Text from others made fit for a terminal.
//!
//! Knows characters; must not know what they say. A message or a nickname may hold anything: bytes
//! that move the cursor, rename the window, or turn the direction of writing, so that one line
//! looks like another. Here they lose that power and stay visible.

use std::fmt::Write;

/// What stands where a character without a picture stood.
const REPLACEMENT: char = '\u{fffd}';

/// A nickname or another piece of one line.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if has_power(c) { REPLACEMENT } else { c }).collect()
}

/// A message: its lines stay lines, each behind `indent` except for the first.
pub(crate) fn lines(text: &str, indent: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\n' => {
                shown.push('\n');
                shown.push_str(indent);
            }
            '\t' => shown.push_str("    "),
            c if has_power(c) => shown.push(REPLACEMENT),
            c => shown.push(c),
        }
    }
    shown
}

/// The beginning of a message on one line.
pub(crate) fn excerpt(text: &str, chars: usize) -> String {
    let line = one_line(text.lines().next().unwrap_or_default());
    if line.chars().count() == text.chars().count() && line.chars().count() <= chars {
        return line;
    }
    let mut short: String = line.chars().take(chars).collect();
    short.push('…');
    short
}

/// JSON text in which the characters above stand as escapes: the same to a program, harmless to a
/// terminal. JSON itself escapes only those below the space.
pub(crate) fn harmless_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if has_power(c) {
            // Writing to a String cannot fail; all of these lie in the basic plane.
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Whether a character does something to a terminal instead of standing in it: control characters,
/// separators of lines, and marks that turn the direction of writing.
const fn has_power(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{61c}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that a terminal would obey are shown as something that does nothing.
    #[test]
    fn terminal_commands_lose_their_power() {
        for evil in ["\x1b[2J", "\u{9b}31m", "\x07", "a\rb", "\x1b]0;title\x07", "\u{202e}txt"] {
            let shown = [one_line(evil), lines(evil, "  "), excerpt(evil, 40)];
            for text in shown {
                assert!(!text.chars().any(has_power), "{evil:?} became {text:?}");
                assert!(text.contains(REPLACEMENT));
            }
        }
    }

    /// What people write is not touched: letters of all scripts, emoji, line breaks.
    #[test]
    fn plain_text_is_kept() {
        let text = "Grüße, 你好, שלום, 👩‍👩‍👧";
        assert_eq!(one_line(text), text);
        assert_eq!(lines("one\ntwo", "  "), "one\n  two");
    }

    /// A second line cannot pretend to be another person's message.
    #[test]
    fn further_lines_are_indented() {
        assert_eq!(lines("hi\r\nBob: forged", "      "), "hi\n      Bob: forged");
        assert_eq!(one_line("Bob\nAlice"), "Bob\u{fffd}Alice");
    }

    /// JSON stays the same JSON.
    #[test]
    fn json_is_harmless_and_unchanged_in_meaning() {
        let text = "\u{9b}31m \u{202e} \x1b é";
        let json = harmless_json(&serde_json::to_string(text).unwrap());
        assert!(!json.chars().any(has_power));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    /// A short message is repeated whole, a long one is cut.
    #[test]
    fn excerpt_is_short() {
        assert_eq!(excerpt("hello", 5), "hello");
        assert_eq!(excerpt("hello!", 5), "hello…");
        assert_eq!(excerpt("one\ntwo", 10), "one…");
    }
}
