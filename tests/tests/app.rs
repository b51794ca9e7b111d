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

/// A picture of one pixel.
fn picture(place: &Path) -> String {
    let path = place.join("picture.png");
    let png = concat!(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLv",
        "AAAAAElFTkSuQmCC"
    );
    std::fs::write(&path, data_encoding::BASE64.decode(png.as_bytes()).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What is done with a message is seen by the others: an answer, a reaction, other words, none.
#[test]
fn messages_are_answered_edited_and_taken_back() {
    let place = tempfile::tempdir().unwrap();
    let relay =
        Process::start(&place.path().join("data"), "127.0.0.1:0", &place.path().join("log"));
    let [alice, bob] = ["Alice", "Bob"].map(|name| Person::new(name, &relay));
    introduce(&alice, &bob, "Bob");
    alice.run(&["send", "Bob", "Tea at for?"]);
    alice.run(&["edit", "Bob", "last", "Tea at four?"]);
    bob.run(&["reply", "Alice", "last", "Gladly"]);
    bob.run(&["react", "Alice", "last", "🍰"]);

    let seen = alice.json(&["history", "Bob"]);
    let [question, answer] = seen.as_slice() else { panic!("two messages: {seen:?}") };
    assert_eq!((&question["text"], &question["edited"]), (&"Tea at four?".into(), &true.into()));
    assert_eq!(question["reactions"][0]["emoji"], "🍰");
    assert_eq!((&answer["text"], &answer["reply_to"]), (&"Gladly".into(), &question["id"]));
    let shown = alice.run(&["history", "Bob", "--ids"]);
    let [id, answered] = [answer, question].map(|one| &one["id"].as_str().unwrap()[..8]);
    assert!(shown.contains(&format!("Bob: [answers {answered}] Gladly")), "{shown}");
    assert!(shown.contains("Tea at four?  (edited)") && shown.contains("    🍰 Bob"), "{shown}");

    bob.run(&["sync"]);
    assert!(bob.run(&["receipts", "Alice", id]).contains("Alice: read"));
    assert_eq!(alice.refused(&["delete", "Bob", id]), "not_allowed");
    assert_eq!(alice.refused(&["edit", "Bob", "ffffffff", "x"]), "no_such_message");
    bob.run(&["delete", "Alice", id]);
    assert!(alice.run(&["history", "Bob"]).contains("Bob: [taken back]"));
    assert_eq!(bob.json(&["privacy", "--read-receipts", "off"])[0]["read_receipts"], false);
    assert_eq!(bob.json(&["privacy"])[0]["read_receipts"], false, "it is kept");
    assert_eq!(relay.terminate(), Some(0));
}

/// A second device is linked by a code and a number, has the contacts, and is removed again.
#[test]
fn a_second_device_is_linked() {
    let place = tempfile::tempdir().unwrap();
    let relay =
        Process::start(&place.path().join("data"), "127.0.0.1:0", &place.path().join("log"));
    let [alice, bob] = ["Alice", "Bob"].map(|name| Person::new(name, &relay));
    introduce(&alice, &bob, "Bob");
    alice.run(&["send", "Bob", "said before"]);
    let laptop = Person { place: tempfile::tempdir().unwrap() };
    let address = relay.address().to_string();
    let code = laptop.json(&["device", "new", "--relay", &address]).remove(0);
    assert_eq!(laptop.refused(&["send", "Bob", "too early"]), "no_such_conversation");
    assert_eq!(laptop.refused(&["device", "confirm", "--equal"]), "no_link");
    let code = code["code"].as_str().unwrap();
    let check = alice.json(&["device", "link", code, "--label", "laptop"]).remove(0);
    let shown = laptop.run(&["device", "confirm"]);
    assert!(shown.contains(check["check"].as_str().unwrap()), "{shown}");
    laptop.run(&["device", "confirm", "--equal"]);

    // Each in turn does what the other waits for.
    for _ in 0..3 {
        alice.run(&["sync"]);
        laptop.run(&["sync"]);
    }
    let progress = laptop.json(&["history"]).remove(0);
    assert_eq!((&progress["complete"], &progress["done"]), (&true.into(), &1.into()));
    assert!(laptop.run(&["history", "Bob"]).contains("you: said before"));
    laptop.run(&["send", "Bob", "from my laptop"]);
    assert!(bob.run(&["history", "Alice"]).contains("Alice: from my laptop"));
    assert!(alice.run(&["history", "Bob"]).contains("you: from my laptop"));
    let devices = alice.json(&["device", "list"]);
    let labels: Vec<_> =
        devices.iter().map(|one| (one["label"].as_str(), one["this"].as_bool())).collect();
    assert_eq!(labels.last(), Some(&(Some("laptop"), Some(false))));

    let number = devices.last().unwrap()["device"].to_string();
    let first = devices[0]["device"].to_string();
    assert_eq!(laptop.refused(&["device", "remove", &first]), "not_first_device");
    alice.run(&["device", "remove", &number]);
    assert_eq!(alice.json(&["device", "list"]).len(), 1);
    assert_eq!(alice.refused(&["device", "remove", "77"]), "no_such_device");
    assert_eq!(relay.terminate(), Some(0));
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
    let id = shown["conversation"].as_str().unwrap();
    carol.run(&["sync"]);
    assert_eq!(carol.refused(&["send", id, "still here?"]), "wrong_standing");
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
