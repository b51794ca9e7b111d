//! The app as people use it: the real program, a real relay, three homes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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

/// A file of an app's.
fn file(place: &Path, name: &str, size: usize) -> String {
    let path = place.join(name);
    let bytes: Vec<u8> = b"known words ".iter().copied().cycle().take(size).collect();
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

fn same(one: &str, other: &Path) -> bool {
    std::fs::read(one).unwrap() == std::fs::read(other).unwrap()
}

/// Presses Ctrl-C as soon as a command says how far it is.
fn interrupt(person: &Person, words: &[&str]) {
    let mut command = person.command(&[&["--json"], words].concat());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains("done"), "progress comes first");
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let last: Value = serde_json::from_str(&lines.last().unwrap()).unwrap();
    assert_eq!(last["code"], "interrupted");
    assert_eq!(child.wait().unwrap().code(), Some(1));
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

/// FIL-1: files go there and back by commands; one that was interrupted on its way goes on with the
/// next command that waits for it, there and here.
#[test]
fn files_are_sent_and_fetched() {
    let place = tempfile::tempdir().unwrap();
    let relay =
        Process::start(&place.path().join("data"), "127.0.0.1:0", &place.path().join("log"));
    let [alice, bob] = ["Alice", "Bob"].map(|name| Person::new(name, &relay));
    introduce(&alice, &bob, "Bob");
    let notes = file(place.path(), "notes.txt", 300_000);
    let said = alice.run(&["attach", "Bob", &notes, "--caption", "to be read"]);
    assert!(said.contains("To Bob: safe at the relay."), "{said}");
    let seen = bob.run(&["history", "Alice"]);
    assert!(seen.contains("Alice: [notes.txt, 300 kB, not fetched] to be read"), "{seen}");
    assert_eq!(bob.json(&["history", "Alice"])[0]["attachment"]["state"], "at_relay");
    let into = place.path().to_str().unwrap();
    assert_eq!(bob.refused(&["fetch", "Alice", "last", "--to", into]), "file_exists");
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().to_str().unwrap();
    let said = bob.run(&["--offline", "fetch", "Alice", "last", "--to", into]);
    assert!(said.contains("notes.txt is there now, 300 kB."), "{said}");
    assert!(same(&notes, &folder.path().join("notes.txt")));
    assert!(bob.run(&["history", "Alice"]).contains("[notes.txt, 300 kB] to be read"));

    let film = file(place.path(), "film", 40_000_000);
    interrupt(&alice, &["attach", "Bob", &film]);
    assert!(alice.run(&["--offline", "history", "Bob"]).contains("[film, 40.0 MB, on its way]"));
    std::fs::remove_file(&film).unwrap();
    alice.run(&["sync"]);
    let seen = bob.run(&["history", "Alice"]);
    assert!(seen.contains("Alice: [film, 40.0 MB, not fetched]"), "{seen}");
    let fetch = ["fetch", "Alice", "last", "--to", into];
    interrupt(&bob, &fetch);
    bob.run(&fetch);
    let film = file(place.path(), "film", 40_000_000);
    assert!(same(&film, &folder.path().join("film")));
    bob.run(&["react", "Alice", "last", "🍿"]);
    alice.run(&["delete", "Bob", "last"]);
    assert!(bob.run(&["history", "Alice"]).contains("Alice: [taken back]"));
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

    assert_eq!(laptop.refused(&["device", "relink", "--relay", &address]), "no_link");
    let number = devices.last().unwrap()["device"].to_string();
    let first = devices[0]["device"].to_string();
    assert_eq!(laptop.refused(&["device", "remove", &first]), "not_first_device");
    alice.run(&["device", "remove", &number]);
    assert_eq!(alice.json(&["device", "list"]).len(), 1);
    // It is linked anew in the same home, and what was said is still there.
    laptop.run(&["sync"]);
    let code = laptop.json(&["device", "relink", "--relay", &address]).pop().unwrap();
    alice.run(&["device", "link", code["code"].as_str().unwrap()]);
    laptop.run(&["device", "confirm", "--equal"]);
    for _ in 0..3 {
        alice.run(&["sync"]);
        laptop.run(&["sync"]);
    }
    laptop.run(&["send", "Bob", "still from my laptop"]);
    let seen = laptop.run(&["history", "Bob"]);
    assert!(seen.contains("you: from my laptop") && seen.contains("you: still from"), "{seen}");
    assert_eq!(alice.refused(&["device", "remove", "77"]), "no_such_device");
    assert_eq!(relay.terminate(), Some(0));
}

/// CNV-20: a conversation is begun anew, and moves to another relay; a group does so too, and who
/// may not is told.
#[test]
fn conversations_move_to_another_relay() {
    let place = tempfile::tempdir().unwrap();
    let start = |name: &str| {
        let (data, log) = (place.path().join(name), place.path().join(format!("{name}.log")));
        Process::start(&data, "127.0.0.1:0", &log)
    };
    let (relay, other) = (start("one"), start("two"));
    let alice = Person::new("Alice", &relay);
    let bob = Person::new("Bob", &relay);
    introduce(&alice, &bob, "Bob");
    alice.run(&["group", "new", "Tea", "Bob"]);
    bob.run(&["group", "accept", "Tea"]);
    for (at, who) in [(&alice, "Bob"), (&alice, "Tea"), (&bob, "Alice"), (&bob, "Tea")] {
        at.run(&["send", who, "before"]);
    }
    assert_eq!(bob.refused(&["reboot", "Tea"]), "not_allowed");
    assert_eq!(alice.refused(&["reboot", "Bob", "--large"]), "not_a_group");
    assert_eq!(alice.refused(&["move", "Nobody", &relay.address().to_string()]), {
        "no_such_conversation"
    });
    assert_eq!(alice.json(&["reboot", "Tea"]).last().unwrap()["standing"], "open");
    let address = other.address().to_string();
    for place in ["Bob", "Tea"] {
        assert!(alice.run(&["move", place, &address]).contains(&address));
    }
    for _ in 0..3 {
        bob.run(&["sync"]);
        alice.run(&["sync"]);
    }
    assert_eq!(alice.refused(&["readmit", "Tea", "Bob"]), "nobody_asks");
    assert_eq!(alice.json(&["readmit", "Bob"]), Vec::<Value>::new());
    for (from, to, place) in [(&alice, &bob, ["Bob", "Alice"]), (&bob, &alice, ["Tea", "Tea"])] {
        from.run(&["send", place[0], "after"]);
        let seen = to.json(&["history", place[1]]);
        let texts: Vec<_> =
            seen.iter().filter(|m| m["kind"] == "text").map(|m| m["text"].clone()).collect();
        assert_eq!(texts, ["before", "before", "after"]);
        let anew = |m: &&Value| m["changes"][0]["change"] == "restarted";
        assert!(seen.iter().any(|m| anew(&m)), "{seen:?}");
        assert!(to.json(&["gaps", place[1], "--ask"]).is_empty());
    }
    assert!(bob.run(&["gaps", "Tea"]).starts_with("Nothing is missing"));
    assert_eq!((relay.terminate(), other.terminate()), (Some(0), Some(0)));
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
    // The relay may have let go of what she would read: then she asks, and is told.
    let standing = || carol.json(&["group", "show", id]).pop().unwrap()["standing"].clone();
    let until = Instant::now() + Duration::from_secs(60);
    while standing() != "removed" {
        assert!(Instant::now() < until, "{}", standing());
        for person in [&carol, &alice, &bob] {
            person.run(&["sync"]);
        }
    }
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

/// A room from its making to its rotation, as a founder, a host and two readers type it.
#[test]
fn a_room_has_an_audience() {
    let place = tempfile::tempdir().unwrap();
    let relay =
        Process::start(&place.path().join("data"), "127.0.0.1:0", &place.path().join("log"));
    let [alice, bob, carol] = ["Alice", "Bob", "Carol"].map(|name| Person::new(name, &relay));
    introduce(&alice, &bob, "Bob");
    assert!(alice.run(&["room", "new", "Agora"]).contains("Agora is there now"));
    let link = alice.json(&["room", "link", "Agora"]).remove(0);
    let link = link["link"].as_str().unwrap();
    assert_eq!(carol.refused(&["room", "join", "restante://nothing"]), "bad_room_link");
    let joined = carol.json(&["room", "join", link]).remove(0);
    assert_eq!((&joined["kind"], &joined["name"]), (&"room".into(), &"Agora".into()));
    alice.run(&["send", "Agora", "welcome"]);
    assert!(carol.run(&["history", "Agora"]).contains("Alice: welcome"));
    assert!(carol.run(&["search", "welcome"]).contains("Alice in Agora: welcome"));
    assert_eq!(carol.refused(&["send", "Agora", "may I?"]), "not_allowed");

    // The audience is given the word, and loses it; a host keeps it.
    assert!(alice.run(&["room", "unmute", "Agora"]).contains("Everybody who reads it may write"));
    carol.run(&["sync"]);
    carol.run(&["send", "Agora", "thanks"]);
    alice.run(&["room", "hosts", "Agora", "--add", "Bob"]);
    bob.run(&["sync"]);
    let asked = bob.json(&["room", "list"]).remove(0);
    assert_eq!(asked["standing"], "invited");
    let id = asked["conversation"].as_str().unwrap();
    assert_eq!(bob.refused(&["send", id, "too early"]), "wrong_standing");
    assert!(bob.run(&["room", "accept", id]).contains("You are a host of Agora now"));
    alice.run(&["room", "mute", "Agora"]);
    bob.run(&["send", "Agora", "from a host"]);
    assert_eq!(carol.refused(&["room", "mute", "Agora"]), "not_allowed");
    let hosts = carol.json(&["room", "hosts", "Agora"]).remove(0);
    let hosts: Vec<_> =
        hosts["members"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(hosts, ["Alice", "Bob"]);
    let story = carol.run(&["history", "Agora"]);
    for line in ["you: thanks", "Bob: from a host", "[Alice took the word from the audience]"] {
        assert!(story.contains(line), "{line} in {story}");
    }

    // Another key: first for everybody, then for whom it is handed to.
    assert!(alice.run(&["room", "rotate", "Agora"]).contains("everybody who reads goes on"));
    assert!(carol.run(&["history", "Agora"]).contains("[Alice replaced the key of the room]"));
    assert_eq!(carol.refused(&["room", "join", link]), "old_room_link");
    alice.run(&["room", "rotate", "Agora", "--exclude"]);
    carol.run(&["sync"]);
    assert_eq!(carol.json(&["room", "list"])[0]["standing"], "broken");
    let next = alice.run(&["room", "link", "Agora"]);
    assert!(carol.run(&["room", "join", next.trim()]).contains("You read Agora now"));
    bob.run(&["sync"]);
    bob.run(&["send", "Agora", "among us"]);
    assert!(carol.run(&["history", "Agora"]).contains("Bob: among us"));
    assert!(carol.run(&["room", "leave", "Agora"]).contains("nobody is told"));
    assert_eq!(carol.refused(&["send", "Agora", "still here?"]), "wrong_standing");
    assert_eq!(carol.refused(&["group", "show", "Agora"]), "not_a_group");
    assert_eq!(alice.refused(&["room", "link", "Bob"]), "not_a_room");
    assert_eq!(relay.terminate(), Some(0));
}
