//! What may stand in a name, wherever one is shown (CNT-5).

/// Whether a text moves the cursor, breaks the line or turns the direction of writing: what is
/// shown would not be what it is. Joiners and variation selectors do not.
#[must_use]
pub fn misleads(text: &str) -> bool {
    text.chars().any(is_misleading)
}

/// Whether a sign makes the text it stands in mislead.
#[must_use]
pub fn is_misleading(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A name as it is seen: of two names that come out the same a person cannot tell which is which.
/// Joiners and variation selectors belong into names, but nobody sees them.
#[must_use]
pub fn seen_as(name: &str) -> String {
    let seen: String = name.chars().filter(|c| !is_invisible(*c)).collect();
    seen.trim().to_lowercase()
}

/// Whether a sign shows nothing by itself: what Unicode calls ignorable by default, and the blank
/// of Braille.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What nobody sees makes no other name; what is seen does.
    #[test]
    fn names_that_look_alike_are_seen_as_one() {
        for name in
            ["bob", "BOB", "Bob\u{2060}", "\u{200b}B\u{ad}ob", "Bob \u{3164}", "Bob\u{fe0f}"]
        {
            assert_eq!(seen_as(name), "bob", "{name:?}");
        }
        for other in ["Bobb", "B ob", "Bob-", "Böb"] {
            assert_ne!(seen_as(other), "bob", "{other:?}");
        }
        assert_eq!(seen_as("\u{200b} \u{2800}"), "");
    }
}
