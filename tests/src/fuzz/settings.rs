//! What an operator writes: the relay's configuration file.

use restante_relay::{Cli, Error, template};

use super::Target;

pub(super) const CONFIG: Target = Target { name: "config", run, seeds, changes: 100 };

/// A file is taken, or refused with a line and a word that say where and why.
fn run(data: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), data).expect("written");
    let path = file.path().to_str().expect("a path");
    let words = ["restante-relay", "serve", "--config", path];
    match Cli::read(words.map(Into::into)) {
        Ok(_) => {}
        Err(Error::Config { line, what, .. }) => {
            let lines = data.iter().filter(|byte| **byte == b'\n').count() + 1;
            assert!((1..=lines).contains(&line), "line {line} of {lines}");
            assert!(!what.is_empty(), "without a word");
        }
        Err(Error::File { error, .. }) => {
            let is_text = std::str::from_utf8(data).is_ok();
            assert!(!is_text, "a text cannot be read: {error}");
        }
        Err(other) => panic!("another error: {other}"),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let template = template();
    let set: Vec<&str> = template.lines().map(|line| line.trim_start_matches('#')).collect();
    let set = set.into_iter().filter(|line| line.contains(" = ")).collect::<Vec<_>>().join("\n");
    vec![
        template.into_bytes(),
        set.into_bytes(),
        b"log = 'info'\nmailbox_bytes = 0x20_0000".to_vec(),
    ]
}
