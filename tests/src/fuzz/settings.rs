//! What an operator writes: the relay's configuration file, and the lines of its socket.

use restante_relay::simulation::admin;
use restante_relay::{Cli, Error, template};

use super::Target;

pub(super) const CONFIG: Target = Target { name: "config", run, seeds, changes: 100 };
pub(super) const ADMIN: Target =
    Target { name: "admin", run: asked, seeds: admin_seeds, changes: 3000 };

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

/// A line asks for something, or for nothing; what it asks for is said in no more bytes.
fn asked(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').map_or(data.len(), |end| end + 1);
    let Ok(line) = std::str::from_utf8(&data[..end]) else { return };
    if let Some(again) = admin(line) {
        assert!(line.ends_with('\n'), "half a line was taken");
        assert!(again.len() <= line.len(), "longer than it was");
    }
}

fn admin_seeds() -> Vec<Vec<u8>> {
    let lines = [
        "stats\n",
        "drain\n",
        "backup\n",
        "invite list\n",
        "invite new 3 604800 for a friend\n",
        "invite revoke 00112233aabb\n",
    ];
    lines.map(|line| line.as_bytes().to_vec()).to_vec()
}
