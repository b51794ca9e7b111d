//! Numbers (limits, times, sizes) live in the files made for them.
//!
//! Knows where that is; must not judge the numbers. What is no limit may stand elsewhere: zero and
//! one, tags of one byte, and what its doc comment excuses (see `EXCUSES`).

use crate::source::{Line, Source, lies_among_tests};

/// Types whose constants count as numbers; arrays and slices of them too, bytes excepted.
const NUMERIC: [&str; 16] = [
    "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32", "f64",
    "Duration", "Seconds", "Millis",
];

/// Files beside the homes whose numbers are no limits of ours: the layout of bytes.
const CODECS: [(&str, &str); 6] = [
    ("spec/src/frame.rs", "the places of a frame's fields"),
    ("spec/src/ids.rs", "the sizes of ids, which are part of their types"),
    ("crypto/src/aead.rs", "the algorithm fixes its sizes"),
    ("crypto/src/xwing.rs", "the algorithm fixes its sizes"),
    ("crypto/src/padding.rs", "the size of the length inside the padding"),
    ("relay/src/buffer/chunk.rs", "the format of chunks on disk"),
];

/// Words of a doc comment that say why a number is no limit: bytes on the wire or on disk, a number
/// that a standard fixes, the ratio of two units.
const EXCUSES: [&str; 6] = ["layout", "rfc ", "fips ", "unit", "of a second", "of a day"];

/// Files that are made of numbers.
fn is_home(path: &str) -> bool {
    let home = path.ends_with("/limits.rs") || path == "relay/src/ops/config.rs";
    home || CODECS.iter().any(|(codec, _)| path == *codec)
}

/// Numeric constants of shipped code that stand elsewhere.
pub(crate) fn outside_their_homes(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    let elsewhere = |source: &&Source| !is_home(&source.path) && !lies_among_tests(&source.path);
    for source in sources.iter().filter(elsewhere) {
        let lines: Vec<Line<'_>> = source.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.in_test) {
            let Some((name, kind)) = constant(line.code) else { continue };
            let value = initializer(&lines[index..]);
            if is_numeric(kind) && is_a_limit(kind, &value) && !is_excused(&lines[..=index]) {
                let at = format!("{}:{}", source.path, line.number);
                findings.push(format!("{at}: {name} = {value} belongs into a file of limits"));
            }
        }
    }
    findings
}

/// Name and type of the constant or static that begins on the line.
fn constant(code: &str) -> Option<(&str, &str)> {
    let words = code.trim_start();
    let rest = words.find("const ").map(|at| (at, &words[at + 6..]));
    let rest = rest.or_else(|| words.find("static ").map(|at| (at, &words[at + 7..])));
    let (_, item) =
        rest.filter(|(at, _)| words[..*at].trim().is_empty() || words.starts_with("pub"))?;
    let (name, typed) = item.split_once(':')?;
    let is_name = |name: &str| name.chars().all(|char| char.is_alphanumeric() || char == '_');
    is_name(name).then(|| (name, typed.split('=').next().unwrap_or(typed).trim()))
}

/// What stands between `=` and the semicolon, on one line or several.
fn initializer(lines: &[Line<'_>]) -> String {
    let code: Vec<&str> = lines.iter().take(32).map(|line| line.code.trim()).collect();
    let code = code.join(" ");
    let value = code.split_once('=').map_or("", |(_, value)| value);
    value.split(';').next().unwrap_or(value).trim().to_owned()
}

fn is_numeric(kind: &str) -> bool {
    let words = || kind.split(|char: char| !char.is_alphanumeric() && char != '_');
    let bytes = kind.contains("[u8");
    !bytes && words().any(|word| NUMERIC.contains(&word))
}

/// Whether the value holds a literal that says how much. Of plain numbers zero and one do not, and
/// what is reckoned from a limit follows it.
fn is_a_limit(kind: &str, value: &str) -> bool {
    let is_time = ["Duration", "Seconds", "Millis"].iter().any(|time| kind.contains(time));
    let words = value.split(|char: char| !char.is_alphanumeric() && char != '_');
    let mut literals = words.filter(|word| word.starts_with(|char: char| char.is_ascii_digit()));
    !value.contains("limits::") && literals.any(|literal| is_time || !matches!(literal, "0" | "1"))
}

/// Whether the comment above the last line, or on it, says why the number is no limit.
fn is_excused(lines: &[Line<'_>]) -> bool {
    let Some((own, above)) = lines.split_last() else { return false };
    let comments = above.iter().rev().take_while(|line| {
        let text = line.text.trim_start();
        text.starts_with("//") || text.starts_with("#[")
    });
    std::iter::once(own).chain(comments).any(|line| {
        let text = line.text.to_lowercase();
        text.contains("//") && EXCUSES.iter().any(|excuse| text.contains(excuse))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        outside_their_homes(&[Source::new("relay/src/gateway/session.rs", text)]).len()
    }

    #[test]
    fn a_limit_away_from_home_is_reported() {
        assert_eq!(found("const BACKLOG: usize = 64;"), 1);
        assert_eq!(found("pub(crate) const WAIT: Duration = Duration::from_secs(1);"), 1);
        assert_eq!(found("fn f() {\n    const SIZES: [usize; 2] =\n        [16, 32];\n}"), 1);
        assert_eq!(found("static MOST: u64 = 1 << 20;"), 1);
    }

    #[test]
    fn what_is_no_limit_is_not_reported() {
        assert_eq!(found("const LABEL: [u8; 4] = *b\"abcd\";"), 0);
        assert_eq!(found("const FIRST: u64 = 1;"), 0);
        assert_eq!(found("const TAG: u8 = 7;"), 0);
        assert_eq!(found("/// Longest name (RFC 1035).\nconst NAME: usize = 253;"), 0);
        assert_eq!(found("const HALF: usize = limits::BODY_BYTES / 2;"), 0);
        assert_eq!(found("/// Wire layout: the length's place.\nconst AT: usize = 4;"), 0);
        assert_eq!(found("const fn twice(n: u64) -> u64 { n * 2 }"), 0);
        assert_eq!(found("#[cfg(test)]\nmod tests {\n    const MANY: u64 = 900;\n}"), 0);
        let home = Source::new("spec/src/limits.rs", "pub const BODY_BYTES: usize = 64_800;");
        assert!(outside_their_homes(&[home]).is_empty());
    }
}
