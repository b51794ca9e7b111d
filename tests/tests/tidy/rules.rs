//! Rule ids: each is defined once in the spec's prose, enforced by a line of code, shown by a test.
//!
//! Knows the form of ids and where code, tests and vectors lie; must not know what a rule says.

use std::collections::{BTreeMap, BTreeSet};

use crate::repo::Repo;

/// The families of ids. A definition outside of them is reported, so that a new family is added
/// here and a slip of the pen in code is found.
const FAMILIES: [&str; 25] = [
    "FRM", "TRN", "ADM", "MBX", "BLB", "CMD", "DLV", "ERR", "LIM", "IDN", "INV", "LET", "CNV",
    "REC", "LIV", "CNT", "ROM", "SAF", "THR", "STO", "OUT", "FIL", "ARC", "REV", "DEV",
];

/// Where the ids of the repository were found.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Id to the places that define it.
    defined: BTreeMap<String, Vec<String>>,
    enforced: BTreeSet<String>,
    tested: BTreeSet<String>,
    /// Every mention in code, tests and vectors, with its place.
    named: Vec<(String, String)>,
}

impl Rules {
    pub(crate) fn read(repo: &Repo) -> Self {
        let mut rules = Self::default();
        for file in &repo.files {
            if file.path.starts_with("spec/") && file.path.ends_with(".md") {
                rules.read_prose(&file.path, &file.text);
            } else if file.path.starts_with("spec/vectors/") && !file.path.ends_with(".py") {
                rules.read_lines(&file.path, &file.text, true);
            } else if file.path.ends_with(".proto") {
                rules.read_lines(&file.path, &file.text, false);
            }
        }
        // The samples of tidy's own tests are not about rules of the spec.
        let ours = |path: &str| path.starts_with("tests/tests/tidy");
        for source in repo.sources.iter().filter(|source| !ours(&source.path)) {
            for line in source.lines() {
                let at = format!("{}:{}", source.path, line.number);
                rules.note(&at, line.text, line.in_test);
            }
        }
        rules
    }

    /// Collects the definitions: ids in bold, with or without a stop behind them.
    fn read_prose(&mut self, path: &str, text: &str) {
        for (index, line) in text.lines().enumerate() {
            for bold in line.split("**").skip(1).step_by(2) {
                let id = bold.trim_end_matches(['.', ':']);
                if is_id(id) {
                    let at = format!("{path}:{}", index + 1);
                    self.defined.entry(id.to_owned()).or_default().push(at);
                }
            }
        }
    }

    fn read_lines(&mut self, path: &str, text: &str, in_test: bool) {
        for (index, line) in text.lines().enumerate() {
            self.note(&format!("{path}:{}", index + 1), line, in_test);
        }
    }

    fn note(&mut self, at: &str, line: &str, in_test: bool) {
        for id in ids_in(line) {
            self.named.push((id.clone(), at.to_owned()));
            if in_test { &mut self.tested } else { &mut self.enforced }.insert(id);
        }
    }

    /// Ids defined twice, or in a family nobody knows.
    pub(crate) fn defined_badly(&self) -> Vec<String> {
        let mut findings = Vec::new();
        if self.defined.is_empty() {
            findings.push("the spec defines no rule".into());
        }
        for (id, places) in &self.defined {
            if places.len() > 1 {
                findings.push(format!("{id} is defined at {}", places.join(" and ")));
            }
            if !FAMILIES.contains(&&id[..3]) {
                findings.push(format!("{id} ({}) is of no known family", places.join(", ")));
            }
        }
        findings
    }

    pub(crate) fn without_enforcement(&self) -> Vec<String> {
        self.missing_from(&self.enforced, "no line of code outside tests names it")
    }

    pub(crate) fn without_test(&self) -> Vec<String> {
        self.missing_from(&self.tested, "no test and no vector names it")
    }

    fn missing_from(&self, mentions: &BTreeSet<String>, why: &str) -> Vec<String> {
        let missing = self.defined.iter().filter(|(id, _)| !mentions.contains(*id));
        missing.map(|(id, places)| format!("{id} ({}): {why}", places.join(", "))).collect()
    }

    /// Ids that code or a vector names and the spec does not define.
    pub(crate) fn unknown(&self) -> Vec<String> {
        let ours = |id: &str| FAMILIES.contains(&&id[..3]) && !self.defined.contains_key(id);
        let unknown = self.named.iter().filter(|(id, _)| ours(id));
        unknown.map(|(id, at)| format!("{at}: {id} is not defined")).collect()
    }
}

/// Three capitals, a dash, a number without leading zero.
fn is_id(word: &str) -> bool {
    let Some((family, number)) = word.split_once('-') else { return false };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    family.len() == 3
        && family.bytes().all(|byte| byte.is_ascii_uppercase())
        && !number.is_empty()
        && digits
        && !number.starts_with('0')
}

/// The ids a line mentions.
fn ids_in(line: &str) -> impl Iterator<Item = String> {
    let words = line.split(|char: char| !char.is_alphanumeric() && !matches!(char, '-' | '_'));
    words.filter(|word| is_id(word)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::File;
    use crate::source::Source;

    fn rules(prose: &str, code: &str, vector: &str) -> Rules {
        Rules::read(&Repo {
            files: vec![
                File::sample("spec/05-delivery.md", prose),
                File::sample("spec/vectors/frames/short.txt", vector),
            ],
            sources: vec![Source::new("relay/src/delivery/window.rs", code)],
        })
    }

    #[test]
    fn a_rule_with_code_and_test_is_clean() {
        let code = "fn f() {} // DLV-3\n#[cfg(test)]\nmod tests {\n    /// DLV-3: holds.\n}";
        let rules = rules("**DLV-3** A reader MUST not.", code, "");
        assert!(rules.defined_badly().is_empty());
        assert!(rules.without_enforcement().is_empty());
        assert!(rules.without_test().is_empty());
        assert!(rules.unknown().is_empty());
    }

    #[test]
    fn a_rule_without_code_or_test_is_reported() {
        let rules = rules("**DLV-3.** MUST.\n**DLV-4:** MUST.", "// DLV-4", "rule: DLV-3");
        assert_eq!(rules.without_enforcement().len(), 1);
        assert_eq!(rules.without_test().len(), 1);
    }

    #[test]
    fn a_rule_defined_twice_or_of_no_family_is_reported() {
        assert_eq!(rules("**DLV-3** a\n\n**DLV-3** b", "", "").defined_badly().len(), 1);
        assert_eq!(rules("**QQQ-1** a", "", "").defined_badly().len(), 1);
        assert_eq!(rules("no rule at all, see DLV-1", "", "").defined_badly().len(), 1);
    }

    #[test]
    fn an_unknown_rule_is_reported_and_other_names_are_not() {
        let rules = rules("**DLV-3** a", "// DLV-33, SHA-256, DLV-3, ADLV-4", "rule: FRM-1");
        assert_eq!(rules.unknown().len(), 2, "{:?}", rules.unknown());
    }
}
