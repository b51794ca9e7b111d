//! Test vectors: one file is one case. Read by our own tests and by other implementations'.
//!
//! ```text
//!  rule: LET-2
//!  expect: ok                  (or the class of failure)
//!  comment: what the case shows
//!
//!  name: hex
//! ```
//!
//! Knows the form of the file; must not know files, or what a case means.

use data_encoding::HEXLOWER;

/// One case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// The file's name without its ending.
    pub name: String,
    /// The rule it shows.
    pub rule: String,
    /// `ok`, or the class of failure.
    pub expect: String,
    /// What the case shows, in words.
    pub comment: String,
    fields: Vec<(String, Vec<u8>)>,
}

/// The text is not a vector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// A line of the head is missing.
    #[error("{name}: the head has no line {missing:?}")]
    Head {
        /// Of the case.
        name: String,
        /// Which line.
        missing: &'static str,
    },
    /// A line is not `name: hex`.
    #[error("{name}: line {line} is not a name with lower-case hex")]
    Field {
        /// Of the case.
        name: String,
        /// Counted from 1.
        line: usize,
    },
}

impl Vector {
    /// Reads a case from the text of its file.
    ///
    /// # Errors
    /// [`VectorError`].
    pub fn parse(name: &str, text: &str) -> Result<Self, VectorError> {
        let head = |missing: &'static str| {
            let line = text.lines().take_while(|line| !line.is_empty());
            let mut found = line.filter_map(|line| line.strip_prefix(missing)?.strip_prefix(": "));
            let value = found.next().map(str::to_owned);
            value.ok_or(VectorError::Head { name: name.to_owned(), missing })
        };
        let (rule, expect, comment) = (head("rule")?, head("expect")?, head("comment")?);
        let mut fields = Vec::new();
        let body = text.lines().enumerate().skip_while(|(_, line)| !line.is_empty()).skip(1);
        for (index, line) in body.filter(|(_, line)| !line.is_empty()) {
            let bad = || VectorError::Field { name: name.to_owned(), line: index + 1 };
            let (field, hex) = line.split_once(':').ok_or_else(bad)?;
            let bytes = HEXLOWER.decode(hex.trim().as_bytes()).map_err(|_| bad())?;
            fields.push((field.to_owned(), bytes));
        }
        Ok(Self { name: name.to_owned(), rule, expect, comment, fields })
    }

    /// The bytes of a field, if the case has it.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let mut found = self.fields.iter().filter(|(field, _)| field == name);
        found.next().map(|(_, bytes)| bytes.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_read() {
        let text = "rule: FRM-1\nexpect: ok\ncomment: a case\n\nframe: 00ff\nempty:\n";
        let vector = Vector::parse("case", text).unwrap();
        assert_eq!((vector.rule.as_str(), vector.expect.as_str()), ("FRM-1", "ok"));
        assert_eq!(vector.field("frame"), Some(&[0x00, 0xff][..]));
        assert_eq!(vector.field("empty"), Some(&[][..]));
        assert_eq!(vector.field("other"), None);
    }

    #[test]
    fn texts_that_are_no_case_are_refused() {
        let no_rule = Vector::parse("case", "expect: ok\ncomment: x\n\n");
        assert!(matches!(no_rule, Err(VectorError::Head { missing: "rule", .. })));
        let bad = Vector::parse("case", "rule: FRM-1\nexpect: ok\ncomment: x\n\nframe: 0G\n");
        assert!(matches!(bad, Err(VectorError::Field { line: 5, .. })));
    }
}
