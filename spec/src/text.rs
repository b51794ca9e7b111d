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
