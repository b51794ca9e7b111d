//! The app as people use it: the real program, a real relay, three homes.

use std::path::Path;
use std::process::{Command, Stdio};

use restante_tests::relay::{Process, client_program};
use serde_json::Value;
use tempfile::TempDir;

/// Someone with a home, who types commands.
struct Person {
    place: TempDir,
}

impl Person {
    fn new(name: &str, relay: &Process) -> Self {
        let person = Self { place: tempfile::tempdir().unwrap() };
        person.run(&["init", "--relay", &relay.address().to_string(), "--name", name]);
        person
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(client_program("restante"));
        command.args(words).env_remove("RESTANTE_PASSPHRASE").stdin(Stdio::null());
        command.env("RESTANTE_HOME", self.place.path().join("home"));
        command
    }

    /// What a command says that must succeed.
    fn run(&self, words: &[&str]) -> String {
        let output = self.command(words).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{words:?}: {err}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The code with which a command fails that must.
    fn refused(&self, words: &[&str]) -> String {
        let output = self.command(&[&["--json"], words].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        let last: Value = serde_json::from_slice(
            output.stdout.trim_ascii().rsplit(|b| *b == b'\n').next().unwrap(),
        )
        .unwrap();
        last["code"].as_str().unwrap().to_owned()
    }

    /// The objects a command prints for programs.
    fn json(&self, words: &[&str]) -> Vec<Value> {
        let out = self.run(&[&["--json"], words].concat());
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Two people get to know each other.
fn introduce(one: &Person, other: &Person, name: &str) {
    let link = one.run(&["invite"]);
    other.run(&["accept", link.trim()]);
    one.run(&["contacts", "accept", name]);
    other.run(&["sync"]);
}

fn picture(place: &Path) -> String {
    let path = place.join("picture.png");
    let png = data_encoding::BASE64
        .decode(
            b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC",
        )
        .unwrap();
    std::fs::write(&path, png).unwrap();
    path.to_str().unwrap().to_owned()
}

/// CNV-13, CNV-15: a group from its beginning to its end, by commands alone.
#[test]
fn three_people_have_a_group() {
    let place = tempfile::tempdir().unwrap();
    let relay =
        Process::start(&place.path().join("data"), "127.0.0.1:0", &place.path().join("log"));
    let [alice, bob, carol] = ["Alice", "Bob", "Carol"].map(|name| Person::new(name, &relay));
    introduce(&alice, &bob, "Bob");
    introduce(&alice, &carol, "Carol");

    let made = alice.run(&["group", "new", "Tea", "bob", "carol"]);
    assert!(made.contains("Tea is there now") && made.contains("Carol was added to Tea"), "{made}");
    for person in [&bob, &carol] {
        assert!(person.run(&["group", "list"]).contains("You were added to Tea"));
        assert_eq!(person.refused(&["send", "Tea", "too early"]), "wrong_standing");
        assert!(person.run(&["group", "accept", "tea"]).contains("You are in Tea now"));
    }

    alice.run(&["send", "Tea", "hello all"]);
    carol.run(&["send", "Tea", "hello Alice"]);
    let seen = bob.run(&["history", "Tea"]);
    assert!(seen.contains("Alice: hello all") && seen.contains("Carol: hello Alice"), "{seen}");
    assert!(bob.run(&["search", "hello"]).contains("Carol in Tea: hello Alice"));
    assert_eq!(bob.json(&["group", "list"])[0]["unread"], 0, "what was shown is read");

    // What is agreed on, and who may change it.
    assert_eq!(
        bob.refused(&["group", "policy", "Tea", "--write", "administrators"]),
        "not_allowed"
    );
    alice.run(&["group", "role", "Tea", "Bob", "administrator"]);
    bob.run(&["group", "policy", "Tea", "--write", "administrators"]);
    assert_eq!(carol.refused(&["send", "Tea", "may I?"]), "not_allowed");
    bob.run(&["group", "name", "Tea", "Tea time"]);
    alice.run(&["group", "timer", "Tea time", "7d"]);
    alice.run(&["group", "picture", "Tea time", &picture(place.path())]);
    let shown = bob.json(&["group", "show", "Tea time"]).remove(0);
    assert_eq!(
        (&shown["timer"], &shown["policy"]["write"]),
        (&604_800.into(), &"administrators".into())
    );
    assert!(shown["picture"].as_u64().unwrap() > 0);
    let members = shown["members"].as_array().unwrap();
    let roles: Vec<_> =
        members.iter().map(|one| (one["name"].as_str(), one["role"].as_str())).collect();
    let expected = [("Alice", "owner"), ("Bob", "administrator"), ("Carol", "member")];
    assert_eq!(roles, expected.map(|(name, role)| (Some(name), Some(role))));

    // Who goes, and what the others read of it.
    bob.run(&["group", "remove", "Tea time", "Carol"]);
    assert_eq!(carol.json(&["group", "list"])[0]["standing"], "removed");
    bob.run(&["group", "leave", "Tea time"]);
    let story = alice.run(&["history", "Tea time"]);
    for sentence in [
        "[you added Bob",
        "[you made Bob an administrator]",
        "[Bob changed who may do what]",
        "[Bob named the group \"Tea time\"]",
        "[you set messages to disappear 1 week after they were read]",
        "[you changed the picture of the group]",
        "[Bob removed Carol]",
    ] {
        assert!(story.contains(sentence), "{sentence} in {story}");
    }
    assert!(alice.run(&["history", "Tea time"]).contains("[Bob left]"));
    assert_eq!(
        alice.json(&["group", "show", "Tea time"])[0]["members"].as_array().unwrap().len(),
        1
    );
    assert_eq!(relay.terminate(), Some(0));
}
