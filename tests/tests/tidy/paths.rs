//! Finds the paths (`a::b::c`) in Rust code and takes use-groups apart.
//!
//! Works on code without comments and strings; must not know what a path means.

/// A path as written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) segments: Vec<String>,
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) in_test: bool,
}

impl Named {
    /// Whether `part` (such as `thread::spawn`) occurs in the path, segment by segment.
    pub(crate) fn has(&self, part: &str) -> bool {
        let part: Vec<&str> = part.split("::").collect();
        self.segments.windows(part.len()).any(|window| window == part)
    }

    pub(crate) fn starts_with(&self, segment: &str) -> bool {
        self.segments.first().is_some_and(|first| first == segment)
    }

    pub(crate) fn text(&self) -> String {
        self.segments.join("::")
    }
}

/// All paths of one segment or more, in the order of the text.
pub(crate) fn named_in(code: &str) -> Vec<Named> {
    let mut reader = Reader { chars: code.chars().collect(), at: 0, line: 1, found: Vec::new() };
    while reader.at < reader.chars.len() {
        if reader.word_starts() {
            reader.path(&[]);
        } else {
            reader.step();
        }
    }
    reader.found
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    line: usize,
    found: Vec<Named>,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn step(&mut self) {
        if self.peek() == Some('\n') {
            self.line += 1;
        }
        self.at += 1;
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.step();
        }
    }

    fn word_starts(&self) -> bool {
        self.peek().is_some_and(|char| char.is_alphanumeric() || char == '_')
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while self.word_starts() {
            word.extend(self.peek());
            self.step();
        }
        word
    }

    /// Whether `::` follows; then it is passed.
    fn passes_colons(&mut self) -> bool {
        let before = (self.at, self.line);
        self.skip_space();
        if self.peek() == Some(':') && self.chars.get(self.at + 1) == Some(&':') {
            self.step();
            self.step();
            self.skip_space();
            return true;
        }
        (self.at, self.line) = before;
        false
    }

    /// Reads what follows `prefix::`, or a path of its own.
    fn path(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        let line = self.line;
        loop {
            match self.peek() {
                Some('{') if !segments.is_empty() => return self.group(&segments),
                Some('*') if !segments.is_empty() => {
                    self.step();
                    segments.push("*".into());
                    break;
                }
                _ if self.word_starts() => segments.push(self.word()),
                _ => break,
            }
            if !self.passes_colons() {
                break;
            }
        }
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        self.found.push(Named { segments, line, in_test: false });
    }

    /// Reads `{a, b::c}` behind `prefix::`.
    fn group(&mut self, prefix: &[String]) {
        self.step();
        loop {
            self.skip_space();
            match self.peek() {
                None => return,
                Some('}') => return self.step(),
                Some('*') => self.path(prefix),
                _ if self.word_starts() => self.path(prefix),
                _ => self.step(),
            }
            self.skip_alias();
        }
    }

    /// Passes `as name` in a group, so that the name is not taken for a member.
    fn skip_alias(&mut self) {
        self.skip_space();
        let rest: String = self.chars.iter().skip(self.at).take(3).collect();
        if rest == "as " {
            self.word();
            self.skip_space();
            self.word();
        }
    }
}

fn texts(code: &str) -> Vec<String> {
    named_in(code).iter().map(Named::text).collect()
}

#[test]
fn groups_are_taken_apart() {
    let found = texts("use a::{self, b::{c, d as e}, f::*};\nuse g::h;");
    assert_eq!(found, ["use", "a", "a::b::c", "a::b::d", "a::f::*", "use", "g::h"]);
}

#[test]
fn paths_in_expressions_are_found_with_their_line() {
    let found = named_in("x();\n  tokio::task::spawn(async {});");
    assert!(found.iter().any(|path| path.line == 2 && path.has("task::spawn")), "{found:?}");
    assert!(!found.iter().any(|path| path.has("tokio::spawn")));
}
