//! A Rust source as the checkers see it: its lines, its lines without comments and strings, and
//! which of them are test code.
//!
//! Knows just enough of Rust's lexical rules for that; must not know any rule of ours.

use crate::paths;

/// One `.rs` file.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments and the contents of literals blanked out, line by line as before.
    pub(crate) code: String,
    /// For each line: whether it belongs to tests.
    in_test: Vec<bool>,
}

/// One line of a source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) text: &'a str,
    pub(crate) code: &'a str,
    pub(crate) in_test: bool,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = without_comments_and_strings(text);
        let in_test = if lies_among_tests(path) || code.contains("#![cfg(test)]") {
            vec![true; text.lines().count()]
        } else {
            lines_under_test(&code)
        };
        Self { path: path.into(), text: text.into(), code, in_test }
    }

    /// Marks the files of modules declared as `#[cfg(test)] mod name;`.
    pub(crate) fn mark_test_modules(sources: &mut [Self]) {
        let mut stems: Vec<String> =
            sources.iter().flat_map(|source| source.modules_under_test()).collect();
        stems.dedup();
        for source in sources {
            let inside = |stem: &String| {
                let rest = source.path.strip_prefix(stem.as_str());
                rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            };
            if stems.iter().any(inside) {
                source.in_test.fill(true);
            }
        }
    }

    /// The files, without `.rs`, of the modules declared under `#[cfg(test)]`.
    fn modules_under_test(&self) -> Vec<String> {
        let mut stems = Vec::new();
        let mut given = None;
        for line in self.lines().filter(|line| line.in_test) {
            let words: Vec<&str> = line.code.split_whitespace().collect();
            if let Some(path) = line.text.trim().strip_prefix("#[path = \"") {
                let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let file = path.split('"').next().unwrap_or(path).trim_end_matches(".rs");
                given = Some(format!("{folder}/{file}"));
            } else if let [.., "mod", name] = words[..]
                && let Some(name) = name.strip_suffix(';')
            {
                let usual = || format!("{}{name}", self.module_folder());
                stems.push(given.take().unwrap_or_else(usual));
            }
        }
        stems
    }

    /// Where the files of this file's submodules lie, with the trailing slash.
    fn module_folder(&self) -> String {
        let stem = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        let is_root = |name: &str| matches!(name, "mod" | "lib" | "main");
        match stem.rsplit_once('/') {
            Some((folder, name)) if is_root(name) => format!("{folder}/"),
            _ => format!("{stem}/"),
        }
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.text.lines().zip(self.code.lines()).zip(&self.in_test).enumerate().map(
            |(index, ((text, code), in_test))| Line {
                number: index + 1,
                text,
                code,
                in_test: *in_test,
            },
        )
    }

    /// The lines that are shipped.
    pub(crate) fn shipped_lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.lines().filter(|line| !line.in_test)
    }

    /// Every path named in the code, use-groups taken apart.
    pub(crate) fn paths(&self) -> Vec<paths::Named> {
        let mut named = paths::named_in(&self.code);
        for path in &mut named {
            path.in_test = self.in_test.get(path.line - 1).copied().unwrap_or(false);
        }
        named
    }

    /// The file name without folders.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The module doc at the head of the file.
    pub(crate) fn module_doc(&self) -> impl Iterator<Item = &str> {
        self.text.lines().map_while(|line| line.strip_prefix("//!"))
    }
}

/// Whether the whole file is test code by its place.
pub(crate) fn lies_among_tests(path: &str) -> bool {
    let starts = ["tests/", "benches/", "examples/"];
    starts.iter().any(|folder| path.starts_with(folder) || path.contains(&format!("/{folder}")))
}

/// For each line of masked code: whether an item under `#[cfg(test)]` covers it.
fn lines_under_test(code: &str) -> Vec<bool> {
    let mut lines = vec![false; code.lines().count()];
    for attribute in ["#[cfg(test)]", "#[cfg(all(test"] {
        for (start, _) in code.match_indices(attribute) {
            let end = end_of_item(code, start + 1);
            let first = code[..start].matches('\n').count();
            let last = code[..end].matches('\n').count();
            lines[first..=last.min(code.lines().count() - 1)].fill(true);
        }
    }
    lines
}

/// Where the item that begins with the attribute before `from` ends: after its block or semicolon.
fn end_of_item(code: &str, from: usize) -> usize {
    let (mut round, mut curly) = (0_usize, 0_usize);
    for (offset, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => round += 1,
            b')' | b']' => round = round.saturating_sub(1),
            b'{' => curly += 1,
            b'}' if curly == 1 && round == 0 => return offset,
            b'}' => curly = curly.saturating_sub(1),
            b';' if round == 0 && curly == 0 => return offset,
            _ => {}
        }
    }
    code.len().saturating_sub(1)
}

/// The same text, each character of a comment or of a literal's content replaced by a space.
fn without_comments_and_strings(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let (end, keep) = token(&chars, at);
        for (offset, char) in chars[at..end].iter().enumerate() {
            let edge = offset < keep || (keep > 0 && offset + 1 == end - at);
            out.push(if *char == '\n' || edge { *char } else { ' ' });
        }
        at = end;
    }
    out
}

/// Where the token at `at` ends, and how many of its first characters stay visible. A literal
/// shows its quotes, a comment nothing, anything else is one visible character.
fn token(chars: &[char], at: usize) -> (usize, usize) {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => (find(chars, at, |char| char == '\n'), 0),
        '/' if next == Some('*') => (end_of_block_comment(chars, at), 0),
        '"' => (end_of_string(chars, at), 1),
        'r' | 'b' | 'c' if !follows_a_word(chars, at) => {
            raw_string(chars, at).unwrap_or((at + 1, 1))
        }
        '\'' => (end_of_char(chars, at), 1),
        _ => (at + 1, 1),
    }
}

fn follows_a_word(chars: &[char], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| chars[before].is_alphanumeric() || chars[before] == '_')
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|char| wanted(*char)).map_or(chars.len(), |found| from + found)
}

fn end_of_block_comment(chars: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut here = at;
    while here < chars.len() {
        let pair = (chars[here], chars.get(here + 1).copied());
        if pair == ('/', Some('*')) {
            depth += 1;
            here += 2;
        } else if pair == ('*', Some('/')) {
            depth -= 1;
            here += 2;
            if depth == 0 {
                return here;
            }
        } else {
            here += 1;
        }
    }
    chars.len()
}

fn end_of_string(chars: &[char], at: usize) -> usize {
    let mut here = at + 1;
    while here < chars.len() {
        match chars[here] {
            '\\' => here += 2,
            '"' => return here + 1,
            _ => here += 1,
        }
    }
    chars.len()
}

/// `r"..."`, `br##"..."##`; `None` if it is a name or an ordinary literal that starts here.
fn raw_string(chars: &[char], at: usize) -> Option<(usize, usize)> {
    let raw = find(chars, at, |char| !matches!(char, 'b' | 'c' | 'r'));
    let quote = find(chars, raw, |char| char != '#');
    if chars.get(quote) != Some(&'"') || !chars[at..raw].contains(&'r') || raw - at > 2 {
        return None;
    }
    let closing: Vec<char> =
        std::iter::once('"').chain(chars[raw..quote].iter().copied()).collect();
    let mut end = quote + 1;
    while end < chars.len() && !chars[end..].starts_with(&closing) {
        end += 1;
    }
    Some(((end + closing.len()).min(chars.len()), quote + 1 - at))
}

/// A character literal's end, or one character on if it is a lifetime.
fn end_of_char(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => (find(chars, at + 3, |char| char == '\'') + 1).min(chars.len()),
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

#[test]
fn comments_and_literals_are_blanked_and_lines_stay() {
    let text =
        "a(\"b // c\"); // d\nlet e = r#\"f \" g\"#; /* h\n /* i */ j */ k('\\'', '\"', b\"l\");";
    let code = without_comments_and_strings(text);
    assert_eq!(code.lines().count(), 3);
    let gone = ["c", "d", "f", "g", "h", "i", "j", "l\""];
    let words: Vec<&str> = code.split(|char: char| !char.is_alphanumeric()).collect();
    assert!(gone.iter().all(|word| !words.contains(word)), "{code}");
    assert!(code.contains("k(") && code.contains("let e = r#\""), "{code}");
}

#[test]
fn lifetimes_are_not_literals() {
    let code = without_comments_and_strings("fn f<'a>(x: &'a str) -> &'a str { g('x') }");
    assert_eq!(code, "fn f<'a>(x: &'a str) -> &'a str { g(' ') }");
}

#[test]
fn only_items_under_cfg_test_are_tests() {
    let text =
        "fn a() {}\n#[cfg(test)]\nuse x::{y, z};\nfn b() {}\n#[cfg(test)]\nmod t {\n}\nfn c() {}";
    let source = Source::new("relay/src/a.rs", text);
    let tested: Vec<usize> =
        source.lines().filter(|line| line.in_test).map(|line| line.number).collect();
    assert_eq!(tested, [2, 3, 5, 6, 7]);
}

#[test]
fn the_file_of_a_test_module_is_a_test() {
    let mut sources = vec![
        Source::new("relay/src/lib.rs", "#[cfg(test)]\nmod world;\nmod real;"),
        Source::new("relay/src/a/b.rs", "#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;"),
        Source::new("relay/src/a/b_tests.rs", "fn a() {}"),
        Source::new("relay/src/world.rs", "fn a() {}"),
        Source::new("relay/src/world/inner.rs", "fn a() {}"),
        Source::new("relay/src/real.rs", "fn a() {}"),
    ];
    Source::mark_test_modules(&mut sources);
    let shipped: Vec<bool> = sources.iter().map(|one| one.shipped_lines().count() > 0).collect();
    assert_eq!(shipped, [true, false, false, false, false, true]);
}
