//! The program as a shell sees it: arguments, exit codes, JSON, the home. Needs no relay: what has
//! to be sent waits in the home.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A relay that nobody runs: port 1 is closed everywhere.
const ADDRESS: &str = "restante://AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE@127.0.0.1:1";

/// A person with a home.
struct Person {
    home: PathBuf,
    passphrase: Option<&'static str>,
}

/// What a run of the program left.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Person {
    fn new(dir: &TempDir, name: &str) -> Self {
        Self { home: dir.path().join(name), passphrase: None }
    }

    /// With an account, made without a network.
    fn with_account(dir: &TempDir, name: &str) -> Self {
        let person = Self::new(dir, name);
        let ran = person.run(&["--offline", "init", "--relay", ADDRESS, "--name", name]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        person
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_restante"));
        command.args(words).env_remove("RESTANTE_HOME").env_remove("RESTANTE_PASSPHRASE");
        command.env("RESTANTE_HOME", &self.home).stdin(Stdio::null());
        if let Some(words) = self.passphrase {
            command.env("RESTANTE_PASSPHRASE", words);
        }
        command
    }

    fn run(&self, words: &[&str]) -> Ran {
        Ran::from(self.command(words).output().unwrap())
    }

    /// The same with something on stdin.
    fn typed(&self, words: &[&str], line: &str) -> (Value, i32) {
        let words = [&["--json", "--offline"], words].concat();
        let mut command = self.command(&words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
        let ran = Ran::from(child.wait_with_output().unwrap());
        (serde_json::from_str(ran.out.lines().next().unwrap_or_default()).unwrap(), ran.code)
    }

    /// The one object a command prints, and the exit code.
    fn json(&self, words: &[&str]) -> (Value, i32) {
        let ran = self.run(&[&["--json", "--offline"], words].concat());
        let mut lines = ran.out.lines();
        let object = serde_json::from_str(lines.next().unwrap_or_default());
        assert_eq!((lines.next(), ran.err.as_str()), (None, ""), "one object and no more");
        (object.unwrap(), ran.code)
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        Self { code, out: text(output.stdout), err: text(output.stderr) }
    }
}

fn fields(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// What cannot be understood is usage, 2; asking for help is not.
#[test]
fn wrong_usage_is_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let person = Person::new(&dir, "nobody");
    for words in [
        &["frobnicate"][..],
        &["send", "Bob"],
        &["init", "--relay", "not-an-address", "--name", "x"],
        &["send", "Bob", "hi", "--wait", "eternally"],
        &["invite", "--uses", "0"],
        &["completions", "tcsh-of-old"],
        &["attach", "Bob"],
        &["fetch", "Bob"],
        &["group", "add", "Tea"],
        &["group", "role", "Tea", "Bob", "king"],
        &["group", "policy", "Tea"],
        &["group", "timer", "Tea", "1y"],
        &["group", "picture", "Tea"],
    ] {
        let ran = person.run(words);
        assert_eq!(ran.code, 2, "{words:?}");
        assert!(ran.out.is_empty() && ran.err.contains("error"), "{words:?}");
    }
    for words in [&["--help"][..], &["--version"], &["send", "--help"]] {
        assert_eq!(person.run(words).code, 0, "{words:?}");
    }
    assert!(!person.home.exists(), "asking makes nothing");
}

/// A program that gets the usage wrong learns it in its own form.
#[test]
fn wrong_usage_is_an_object_with_json() {
    let dir = tempfile::tempdir().unwrap();
    let (error, code) = Person::new(&dir, "nobody").json(&["frobnicate"]);
    assert_eq!(code, 2);
    assert_eq!(error["code"], "usage");
    assert_eq!(error["retryable"], false);
}

/// An error is 1, with the reason for a person on stderr and for a program as one object.
#[test]
fn failures_are_exit_code_1_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let person = Person::new(&dir, "nobody");
    let ran = person.run(&["contacts"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.starts_with("restante: ") && ran.err.contains("restante init"), "{}", ran.err);
    let (error, code) = person.json(&["contacts"]);
    assert_eq!(code, 1);
    assert_eq!(fields(&error), ["code", "error", "retryable"]);
    assert_eq!(error["code"], "no_store");
    assert!(!person.home.exists(), "looking makes nothing");
}

/// `init` makes one account, says where its key is, and does not make another.
#[test]
fn init_says_what_its_key_means() {
    let dir = tempfile::tempdir().unwrap();
    let person = Person::new(&dir, "Alice");
    let init = ["--offline", "init", "--relay", ADDRESS, "--name", "Alice"];
    let first = person.run(&init);
    assert_eq!(first.code, 0, "{}", first.err);
    assert!(first.out.contains("`key`") && first.out.contains("--passphrase-file"));
    let key = std::fs::read_to_string(person.home.join("key")).unwrap();
    assert_eq!(key.trim().len(), 64);
    assert_private(&person.home.join("key"));
    let (error, code) = person.json(&["init", "--relay", ADDRESS, "--name", "Alice"]);
    assert_eq!((&error["code"], code), (&Value::from("store_exists"), 1));
    assert_eq!(std::fs::read_to_string(person.home.join("key")).unwrap(), key);
}

/// A name that is none leaves nothing behind that would be in the way of the next attempt.
#[test]
fn refused_init_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let person = Person::new(&dir, "Alice");
    let (error, code) = person.json(&["init", "--relay", ADDRESS, "--name", ""]);
    assert_eq!((&error["code"], code), (&Value::from("bad_nickname"), 1));
    let (account, code) = person.json(&["init", "--relay", ADDRESS, "--name", "Alice"]);
    assert_eq!(code, 0);
    assert_eq!(fields(&account), ["account", "home", "key", "name", "relay"]);
    assert_eq!(account["key"], "file");
}

/// Once a full disk left half a key file, which was in the way of every next attempt.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_no_half_key() {
    let dir = tempfile::tempdir().unwrap();
    let person = Person::new(&dir, "Alice");
    let words = ["--offline", "init", "--relay", ADDRESS, "--name", "Alice"];
    let full = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";
    let mut init = Command::new("sh");
    init.args(["-c", full, "sh", env!("CARGO_BIN_EXE_restante")]).args(words);
    init.env("RESTANTE_HOME", &person.home).env_remove("RESTANTE_PASSPHRASE");
    assert_eq!(Ran::from(init.output().unwrap()).code, 1);
    assert_eq!(person.run(&words).code, 0);
}

/// A relay that is away does not keep an account from being made.
#[test]
fn init_works_while_the_relay_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let ran = Person::new(&dir, "Alice").run(&["init", "--relay", ADDRESS, "--name", "Alice"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("restante sync"), "{}", ran.err);
}

/// A passphrase opens the home; without it, or with another, the reason is said.
#[test]
fn passphrase_opens_its_home_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut person = Person::new(&dir, "Alice");
    person.passphrase = Some("correct horse");
    let (account, _) = person.json(&["init", "--relay", ADDRESS, "--name", "Alice"]);
    assert_eq!(account["key"], "passphrase");
    assert!(!person.home.join("key").exists());
    assert_eq!(person.run(&["--offline", "contacts"]).code, 0);

    person.passphrase = Some("wrong horse");
    let (error, code) = person.json(&["contacts"]);
    assert_eq!((&error["code"], code), (&Value::from("wrong_key"), 1));
    person.passphrase = None;
    let (error, code) = person.json(&["contacts"]);
    assert_eq!((&error["code"], code), (&Value::from("passphrase_needed"), 1));

    let file = dir.path().join("passphrase");
    std::fs::write(&file, "correct horse\nanything\n").unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(person.run(&["--offline", "--passphrase-file", file, "contacts"]).code, 0);
    let ran = person.run(&["--offline", "--passphrase-file", "/nowhere/at/all", "contacts"]);
    assert_eq!(ran.code, 1);
}

/// Another key file is a wrong key, said so, and nothing is changed by it.
#[test]
fn wrong_key_file_fails_clearly() {
    let dir = tempfile::tempdir().unwrap();
    let person = Person::with_account(&dir, "Alice");
    let key = person.home.join("key");
    let right = std::fs::read(&key).unwrap();
    std::fs::write(&key, "00".repeat(32)).unwrap();
    let (error, _) = person.json(&["contacts"]);
    assert_eq!(error["code"], "wrong_key");
    std::fs::write(&key, "not a key").unwrap();
    let (error, _) = person.json(&["contacts"]);
    assert_eq!(error["code"], "bad_key_file");
    std::fs::write(&key, right).unwrap();
    assert_eq!(person.run(&["--offline", "contacts"]).code, 0);
}

/// Invite, contact and message have their fields, also before anything was sent.
#[test]
fn objects_have_their_fields() {
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob) = (Person::with_account(&dir, "Alice"), Person::with_account(&dir, "Bob"));
    let (invite, code) = alice.json(&["invite"]);
    assert_eq!((fields(&invite), code), (vec!["link"], 0));
    let link = invite["link"].as_str().unwrap();

    let (contact, code) = bob.json(&["accept", link, "--message", "hello\tAlice"]);
    assert_eq!((&contact["state"], code), (&Value::from("invited"), 0));
    assert_eq!(fields(&contact), ["contact", "joins", "name", "state", "unread", "verified"]);
    let who = contact["contact"].as_str().unwrap();
    assert_eq!(who.len(), 32);

    let (message, _) = bob.json(&["history", who]);
    let expected = concat!(
        "at attachment author changes conversation deleted_by edited expires_at fate from_me id ",
        "kind reactions reply_to seq text unconfirmed"
    );
    assert_eq!(fields(&message).join(" "), expected);
    assert_eq!((&message["kind"], &message["changes"]), (&"text".into(), &Value::Array(vec![])));
    assert_eq!(message["text"], "hello\tAlice");
    assert_eq!(message["from_me"], true);
    assert_eq!(message["fate"], "queued");

    let (found, _) = bob.json(&["search", "alice"]);
    assert_eq!(found["id"], message["id"]);
}

/// What is wrong with an invite or a name is said in stable codes.
#[test]
fn refusals_have_stable_codes() {
    let dir = tempfile::tempdir().unwrap();
    let alice = Person::with_account(&dir, "Alice");
    let code = |words: &[&str]| {
        let (error, code) = alice.json(words);
        assert_eq!(code, 1);
        error["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code(&["accept", "restante://nonsense"]), "bad_invite");
    let (invite, _) = alice.json(&["invite"]);
    assert_eq!(code(&["accept", invite["link"].as_str().unwrap()]), "own_invite");
    assert_eq!(code(&["send", "Nobody", "hi"]), "no_such_conversation");
    assert_eq!(code(&["verify", "Nobody"]), "no_such_contact");
    assert_eq!(code(&["search", "!"]), "empty_search");
    assert_eq!(code(&["sync"]), "offline");
}

/// A group is there at once, also without the network, and has its fields.
#[test]
fn groups_have_their_fields() {
    let dir = tempfile::tempdir().unwrap();
    let alice = Person::with_account(&dir, "Alice");
    let (made, code) = alice.json(&["group", "new", "Tea time"]);
    assert_eq!((&made["name"], &made["standing"], code), (&"Tea time".into(), &"open".into(), 0));
    let expected = [
        "conversation",
        "kind",
        "name",
        "picture",
        "policy",
        "role",
        "standing",
        "timer",
        "unread",
    ];
    assert_eq!(fields(&made), expected);
    assert_eq!(alice.json(&["group", "list"]).0, made);

    let (shown, _) = alice.json(&["group", "show", "TEA TIME"]);
    assert_eq!(fields(&shown), [&expected[..2], &["members"], &expected[2..]].concat());
    assert_eq!(fields(&shown["policy"]), ["add", "edit", "write"]);
    let member = &shown["members"][0];
    assert_eq!(fields(member), ["contact", "devices", "me", "name", "role"]);
    assert_eq!((&member["name"], &member["role"]), (&"Alice".into(), &"owner".into()));

    let id = made["conversation"].as_str().unwrap();
    let (sent, _) = alice.json(&["send", &id[..8], "anybody here?"]);
    assert_eq!((&sent["conversation"], &sent["fate"]), (&id.into(), &"queued".into()));
    let found = alice.run(&["--offline", "search", "anybody"]);
    assert!(found.out.contains("you in Tea time: anybody here?"), "{}", found.out);
}

/// A file waits with its message until there is a network, and is read back from where it waits;
/// what cannot be sent or written is said in stable codes.
#[test]
fn files_wait_with_their_messages() {
    let dir = tempfile::tempdir().unwrap();
    let alice = Person::with_account(&dir, "Alice");
    alice.json(&["group", "new", "Tea"]);
    let path = dir.path().join(".notes");
    std::fs::write(&path, "bread, butter").unwrap();
    let path = path.to_str().unwrap();
    let (sent, code) = alice.json(&["attach", "Tea", path, "--caption", "to bring"]);
    let expected = ["duration_ms", "height", "media_type", "name", "size", "state", "width"];
    let file = &sent["attachment"];
    assert_eq!((fields(file), code), (expected.to_vec(), 0));
    assert_eq!((&sent["kind"], &sent["fate"]), (&"attachment".into(), &"queued".into()));
    assert_eq!((&file["name"], &file["state"]), (&".notes".into(), &"moving".into()));
    assert_eq!(file["size"], 13);
    let shown = alice.run(&["--offline", "history", "Tea"]);
    assert!(shown.out.contains("you: [.notes, 13 bytes, on its way] to bring"), "{}", shown.out);

    let id = sent["id"].as_str().unwrap();
    let folder = dir.path().to_str().unwrap();
    for (words, code) in [
        (&["attach", "Tea", "/nowhere/at/all"][..], "no_such_file"),
        (&["attach", "Nobody", path], "no_such_conversation"),
        (&["fetch", "Tea", "last", "--to", folder], "no_such_message"),
        (&["fetch", "Tea", id, "--to", "/nowhere/at/all"], "no_such_folder"),
    ] {
        let (error, exit) = alice.json(words);
        assert_eq!((&error["code"], exit), (&code.into(), 1), "{words:?}");
    }
    let (written, code) = alice.json(&["fetch", "Tea", id, "--to", folder]);
    assert_eq!((fields(&written), code), (vec!["message", "path"], 0));
    let out = dir.path().join("notes");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "bread, butter", "and it is not hidden");
    assert_private(&out);
    let (error, _) = alice.json(&["fetch", "Tea", id, "--to", folder]);
    assert_eq!(error["code"], "file_exists");
    alice.json(&["delete", "Tea", id]);
    let (error, _) = alice.json(&["fetch", "Tea", id]);
    assert_eq!(error["code"], "no_such_file");
}

/// What cannot be done with a group is said in stable codes, with words that say how to go on.
#[test]
fn refusals_of_groups_have_stable_codes() {
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob) = (Person::with_account(&dir, "Alice"), Person::with_account(&dir, "Bob"));
    let (invite, _) = alice.json(&["invite"]);
    let (contact, _) = bob.json(&["accept", invite["link"].as_str().unwrap()]);
    let alice = contact["contact"].as_str().unwrap();
    bob.json(&["group", "new", "Tea"]);
    for (words, code, advice) in [
        (&["show", "Coffee"][..], "no_such_conversation", "restante group list"),
        (&["show", alice], "not_a_group", "restante group list"),
        (&["new", "Cake", "Nobody"], "no_such_contact", "restante contacts"),
        (&["add", "Tea", alice], "wrong_state", "has not left this device"),
        (&["remove", "Tea", alice], "not_a_member", "restante group show"),
        (&["remove", "Tea", "Bob"], "not_allowed", "restante group leave Tea"),
        (&["accept", "Tea"], "wrong_standing", "take part in this conversation already"),
        (&["picture", "Tea", "/nowhere/at/all"], "storage", "cannot be read"),
        (&["picture", "Tea", "Cargo.toml"], "bad_picture", "no JPEG, PNG, WebP or GIF"),
        (&["name", "Tea", " "], "empty_text", "empty"),
    ] {
        let (error, exit) = bob.json(&[&["group"], words].concat());
        assert_eq!((&error["code"], exit), (&code.into(), 1), "{words:?}");
        assert!(error["error"].as_str().unwrap().contains(advice), "{error}");
    }
    let list = bob.run(&["--offline", "group", "list"]);
    assert_eq!(list.out.lines().count(), 1, "nothing was made by halves: {}", list.out);

    bob.json(&["group", "new", "tea"]);
    let (error, _) = bob.json(&["group", "show", "Tea"]);
    assert_eq!(error["code"], "ambiguous");
    assert_eq!(error["error"].as_str().unwrap().lines().count(), 3, "both are listed");
}

/// A home is used by one process; another one waits a little, then says which.
#[test]
fn home_is_locked_by_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob) = (Person::with_account(&dir, "Alice"), Person::with_account(&dir, "Bob"));
    let (invite, _) = alice.json(&["invite"]);
    let (contact, _) = bob.json(&["accept", invite["link"].as_str().unwrap()]);
    let mut chat = bob.command(&["chat", contact["contact"].as_str().unwrap()]);
    chat.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = chat.spawn().unwrap();
    let pid = first.id().to_string();
    while std::fs::read_to_string(bob.home.join("lock")).unwrap() != pid {
        assert_eq!(first.try_wait().unwrap(), None, "the chat holds the home");
        std::thread::yield_now();
    }
    let (error, code) = bob.json(&["contacts"]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!((&error["code"], code), (&Value::from("locked"), 1));
    assert_eq!(error["retryable"], true);
    assert!(error["error"].as_str().unwrap().contains(&format!("process {pid}")), "{error}");
    assert_eq!(bob.run(&["--offline", "contacts"]).code, 0, "free again, however it ended");
}

/// The completions of a shell name the commands.
#[test]
fn completions_name_the_commands() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let ran = Person::new(&dir, "nobody").run(&["completions", shell]);
        assert_eq!(ran.code, 0);
        assert!(ran.out.contains("restante") && ran.out.contains("history"), "{shell}");
        assert!(ran.out.contains("group") && ran.out.contains("policy"), "{shell}");
    }
}

#[cfg(unix)]
fn assert_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[cfg(not(unix))]
fn assert_private(_: &Path) {}

/// ADM-2: a token comes behind the relay's address or by itself, and is shown nowhere.
#[test]
fn a_token_is_taken_with_the_address_or_apart() {
    let dir = TempDir::new().unwrap();
    let token = "onuxq5dfmvxcaidmmv2hizlsom";
    let entrance = format!("{ADDRESS}/{token}");
    let behind = ["init", "--relay", &entrance, "--name", "Alice"];
    let apart = ["init", "--relay", ADDRESS, "--token", token, "--name", "Bob"];
    for (name, words) in [("alice", &behind[..]), ("bob", &apart[..])] {
        let (account, code) = Person::new(&dir, name).json(words);
        assert_eq!((code, account["relay"].as_str()), (0, Some(ADDRESS)));
        assert!(!account.to_string().contains(token));
    }
    let short = format!("{ADDRESS}/short");
    let refused = Person::new(&dir, "carol").run(&["init", "--relay", &short, "--name", "Carol"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("26 characters"), "{}", refused.err);
}

/// The words of a recovery file are shown once, and open it in an empty home; others do not, and
/// leave nothing; a passphrase is read from stdin.
#[test]
fn a_backup_makes_a_home() {
    let dir = tempfile::tempdir().unwrap();
    let alice = Person::with_account(&dir, "alice");
    let file = dir.path().join("drawer");
    let path = file.to_str().unwrap();
    let (made, code) = alice.json(&["backup", "create", path]);
    assert_eq!((code, fields(&made)), (0, vec!["file", "messages", "words"]));
    let words = made["words"].as_str().unwrap();
    assert_eq!(words.split(' ').count(), 24);
    assert_eq!(alice.json(&["backup", "create", path]).0["code"], "file_exists");

    let again = Person::new(&dir, "again");
    let other = "abandon ".repeat(23) + "art";
    assert_eq!(again.typed(&["backup", "restore", path], &other).0["code"], "crypto");
    assert_eq!(again.typed(&["backup", "restore", path], "").0["code"], "no_secret");
    assert!(!again.home.join("store").exists());
    let (restored, code) = again.typed(&["backup", "restore", path], words);
    assert_eq!((code, fields(&restored)), (0, vec!["account", "contacts", "name"]));
    assert_eq!(restored["name"], "alice");
    assert_eq!(again.typed(&["backup", "restore", path], words).0["code"], "store_exists");
    assert_eq!(again.run(&["--json", "--offline", "device", "list"]).out.lines().count(), 2);
    let none = again.run(&["--offline", "history"]);
    assert!(none.code == 0 && none.out.contains("No other device"), "{}", none.out);

    let secret = dir.path().join("secret");
    let create = ["backup", "create", secret.to_str().unwrap(), "--passphrase"];
    let (made, _) = alice.typed(&create, "correct horse\n");
    assert!(made["words"].is_null());
    let third = Person::new(&dir, "third");
    let restore = ["backup", "restore", secret.to_str().unwrap()];
    assert_eq!(third.typed(&restore, "correct horse").1, 0);
}
