//! A case before it is a file.

use data_encoding::HEXLOWER;

/// One case with its fields.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) group: &'static str,
    pub(crate) name: &'static str,
    rule: &'static str,
    expect: &'static str,
    comment: &'static str,
    fields: Vec<(&'static str, Vec<u8>)>,
}

impl Case {
    /// A good case.
    pub(crate) fn new(
        group: &'static str,
        name: &'static str,
        rule: &'static str,
        comment: &'static str,
    ) -> Self {
        Self { group, name, rule, expect: "ok", comment, fields: Vec::new() }
    }

    /// Adds a field.
    pub(crate) fn with(mut self, field: &'static str, bytes: &[u8]) -> Self {
        self.fields.push((field, bytes.to_vec()));
        self
    }

    /// The same case, failing, still with all its fields.
    pub(crate) fn failing(
        &self,
        name: &'static str,
        expect: &'static str,
        comment: &'static str,
    ) -> Self {
        Self { name, expect, comment, ..self.clone() }
    }

    /// The same, as another good case.
    pub(crate) fn rename(self, name: &'static str, comment: &'static str) -> Self {
        Self { name, comment, ..self }
    }

    /// Replaces a field.
    pub(crate) fn set(mut self, field: &'static str, bytes: &[u8]) -> Self {
        for (name, value) in &mut self.fields {
            if *name == field {
                *value = bytes.to_vec();
            }
        }
        self
    }

    /// Changes one bit of a field.
    pub(crate) fn flip(mut self, field: &'static str, at: usize) -> Self {
        for (name, value) in &mut self.fields {
            if let (true, Some(byte)) = (*name == field, value.get_mut(at)) {
                *byte ^= 1;
            }
        }
        self
    }

    /// Drops what only a good case says.
    pub(crate) fn without(mut self, fields: &[&str]) -> Self {
        self.fields.retain(|(name, _)| !fields.contains(name));
        self
    }

    /// Shows another rule.
    pub(crate) fn rule(mut self, rule: &'static str) -> Self {
        self.rule = rule;
        self
    }

    /// The file's text.
    pub(crate) fn text(&self) -> String {
        let Self { rule, expect, comment, .. } = self;
        let mut text = format!("rule: {rule}\nexpect: {expect}\ncomment: {comment}\n\n");
        for (name, bytes) in &self.fields {
            let hex = HEXLOWER.encode(bytes);
            text.push_str(name);
            text.push(':');
            if !hex.is_empty() {
                text.push(' ');
                text.push_str(&hex);
            }
            text.push('\n');
        }
        text
    }
}
