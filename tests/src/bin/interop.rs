//! Our side of a conversation with a member whose MLS is another implementation: two devices of
//! ours and the program named on the command line, which answers JSON lines, one to a command
//! (`tests/interop/member.mjs`).
//!
//! `interop PROGRAM [ARGUMENT..]` fails loudly at the first thing that differs. Here stands what
//! the relay would do: places are named, records handed on. Knows the crypto crate's public side.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use data_encoding::HEXLOWER;
use restante_crypto::{
    AccountKey, Conversation, DeviceCertificate, DeviceKey, DeviceNumber, Error,
    GeneratedKeyPackage, KeyPackage, LeafNumber, OwnDevice, PendingCommit, Processed, RecordPlace,
    Suite, generate_reader, reader_hash,
};
use restante_spec::content::{GroupKind, GroupState};
use restante_spec::ids::{EnvelopeId, Epoch, MailboxId, UnixTime};
use restante_spec::limits::PADDING_LADDER;
use restante_spec::message::EnvelopeClass;
use restante_tests::groups::{prepare, provider};
use restante_tests::wire::random;
use rusqlite::Connection;
use serde_json::{Value, json};

const MAILBOX: MailboxId = MailboxId::new([7; 16]);

fn main() {
    let mut words = std::env::args().skip(1);
    let program = words.next().expect("the other implementation's program");
    let mut talk = Talk::begin(Them::start(&program, words));
    talk.messages();
    talk.our_commit();
    talk.their_commit();
    talk.their_welcome();
    talk.refusals();
    talk.removal();
    println!("{} records exchanged, all as they should be", talk.records);
}

/// The other implementation.
struct Them {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Them {
    fn start(program: &str, words: impl Iterator<Item = String>) -> Self {
        let mut child = Command::new(program)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the other implementation starts");
        let to = child.stdin.take().expect("piped");
        let from = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, to, from }
    }

    fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.to, "{command}").expect("it listens");
        let mut line = String::new();
        self.from.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).expect("one line of JSON")
    }

    /// What it says to something that must work.
    fn told(&mut self, command: &Value) -> Value {
        let answer = self.ask(command);
        assert_eq!(answer["refused"], Value::Null, "to {}", command["do"]);
        answer
    }

    /// Why it refuses something that must not work.
    fn refuses(&mut self, command: &Value) -> String {
        let answer = self.ask(command);
        let why = answer["refused"].as_str();
        why.unwrap_or_else(|| panic!("{answer} to {}", command["do"])).to_owned()
    }
}

impl Drop for Them {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A device of ours.
struct Device {
    key: DeviceKey,
    certificate: DeviceCertificate,
    store: Connection,
}

impl Device {
    fn new(seed: u8) -> Self {
        let key = DeviceKey::from_seed(&[seed; 32]);
        let account = AccountKey::from_seed(&[seed; 32]);
        let (number, at) = (DeviceNumber::new(1), UnixTime::new(1));
        let certificate = account.certify(&key.public(), number, at, "ours").expect("certified");
        let mut store = Connection::open_in_memory().expect("a store");
        prepare(&mut store);
        Self { key, certificate, store }
    }

    fn own(&self) -> OwnDevice<'_> {
        OwnDevice { key: &self.key, certificate: &self.certificate }
    }
}

/// A member of ours in the conversation.
struct Us {
    device: Device,
    conversation: Conversation,
}

impl Us {
    fn say(&mut self, place: &RecordPlace, content: &[u8]) -> Vec<u8> {
        let (storage, own) = (provider(&self.device.store), self.device.own());
        self.conversation.encrypt(&storage, &own, place, content).expect("encrypted")
    }

    fn read(&mut self, place: &RecordPlace, record: &[u8]) -> Processed {
        let storage = provider(&self.device.store);
        self.conversation.process(&storage, place, record).expect("processed")
    }

    fn merge(&mut self) {
        self.conversation.merge_pending(&provider(&self.device.store)).expect("merged");
    }

    /// What the other side must say of the epoch this member is in (CNV-6).
    fn epoch(&self) -> (String, String) {
        let key = self.conversation.epoch_key().expect("a member").public();
        (hex(key.as_bytes()), hex(&self.conversation.authenticator()))
    }

    fn assert_same_epoch(&self, answer: &Value) {
        let (key, authenticator) = self.epoch();
        assert_eq!(
            (&answer["epoch_key"], &answer["authenticator"]),
            (&key.into(), &authenticator.into())
        );
    }
}

/// The conversation: a member of ours, theirs, and how often a commit was accepted.
struct Talk {
    alice: Us,
    them: Them,
    their_leaf: LeafNumber,
    epoch: u64,
    records: usize,
}

impl Talk {
    /// We make the group and add their key package; they join from the Welcome, but not when it is
    /// to another group than they were told (CNV-1 to CNV-4).
    fn begin(mut them: Them) -> Self {
        let device = Device::new(1);
        let reader = reader_hash(&generate_reader().expect("randomness"));
        let (storage, suite) = (provider(&device.store), Suite::Classical);
        let state = GroupState::new(GroupKind::Direct, 1).encode().expect("a state");
        let conversation =
            Conversation::create(&storage, &device.own(), MAILBOX, suite, &reader, &state);
        let mut alice = Us { conversation: conversation.expect("created"), device };

        let offered = them.told(&json!({ "do": "package" }));
        let package = KeyPackage::parse(&bytes(&offered["package"])).expect("a key package");
        assert_eq!(hex(package.reader().as_bytes()), offered["reader"], "CNV-4");
        assert_eq!(hex(package.device().account().key().as_bytes()), offered["account"], "CNV-3");

        let (storage, own) = (provider(&alice.device.store), alice.device.own());
        let pending = alice.conversation.add(&storage, &own, &at(0), &[package]).expect("added");
        alice.merge();
        let welcome = hex(&pending.welcome.expect("a welcome"));
        let other = hex(&[8; 16]);
        let why = them.refuses(&json!({ "do": "join", "mailbox": other, "welcome": welcome }));
        assert_eq!(why, "another group", "CNV-1");
        let mailbox = hex(MAILBOX.as_bytes());
        let joined = them.told(&json!({ "do": "join", "mailbox": mailbox, "welcome": welcome }));
        alice.assert_same_epoch(&joined);
        let their_leaf = LeafNumber::new(number(&joined["leaf"]));
        Self { alice, them, their_leaf, epoch: 1, records: 0 }
    }

    /// Messages of every step of the ladder, both ways (REC-1 to REC-5).
    fn messages(&mut self) {
        for step in PADDING_LADDER.into_iter().skip(1) {
            let content = vec![0x5a; step - 500];
            assert_eq!(self.we_say(&content), step, "REC-3");
            assert_eq!(self.they_say(&content), step, "REC-3");
        }
    }

    fn we_say(&mut self, content: &[u8]) -> usize {
        let place = at(self.epoch);
        let record = self.alice.say(&place, content);
        let read = self.them.told(&reading(&place, &record));
        assert_eq!(bytes(&read["content"]), content);
        assert_eq!(number(&read["sender"]), self.alice.conversation.own_leaf().get());
        self.records += 1;
        record.len()
    }

    fn they_say(&mut self, content: &[u8]) -> usize {
        let (place, record) = self.they_seal(json!({ "do": "say", "content": hex(content) }));
        let Processed::Application { sender, content: read } = self.alice.read(&place, &record)
        else {
            panic!("not a message");
        };
        assert_eq!((sender.leaf, read.as_slice()), (self.their_leaf, content));
        assert!(sender.device.is_some(), "CNV-3");
        self.records += 1;
        record.len()
    }

    /// A record of theirs, and where it stands.
    fn they_seal(&mut self, mut command: Value) -> (RecordPlace, Vec<u8>) {
        let place = at(self.epoch);
        command["place"] = written(&place);
        let answer = self.them.told(&command);
        (place, bytes(&answer["record"]))
    }

    /// We commit, they merge; all keys are new and equal (CNV-6, CNV-11).
    fn our_commit(&mut self) {
        let before = self.alice.epoch();
        let place = at(self.epoch);
        let pending = self.update(&place);
        let read = self.them.told(&reading(&place, &pending.record));
        self.alice.merge();
        self.next(&read, &before);
    }

    fn update(&mut self, place: &RecordPlace) -> PendingCommit {
        let (storage, own) = (provider(&self.alice.device.store), self.alice.device.own());
        self.alice.conversation.update(&storage, &own, place).expect("committed")
    }

    /// They commit, we merge; their leaf says what it said (CNV-4, CNV-11).
    fn their_commit(&mut self) {
        let (before, members) = (self.alice.epoch(), self.alice.conversation.members());
        let place = at(self.epoch);
        let answer = self.them.told(&json!({ "do": "commit", "place": written(&place) }));
        self.we_merge(&place, &answer);
        assert_eq!(self.alice.conversation.members(), members);
        self.next(&answer, &before);
    }

    fn we_merge(&mut self, place: &RecordPlace, answer: &Value) {
        let read = self.alice.read(place, &bytes(&answer["record"]));
        let Processed::Commit { next_key, committer, .. } = read else { panic!("{read:?}") };
        assert_eq!(committer.leaf, self.their_leaf);
        assert_eq!(hex(next_key.as_bytes()), answer["epoch_key"], "CNV-12");
        let merged = self.them.told(&json!({ "do": "merge" }));
        self.alice.assert_same_epoch(&merged);
    }

    /// The epoch behind a commit: other keys than before, equal ones, and records both ways.
    fn next(&mut self, answer: &Value, before: &(String, String)) {
        assert_ne!(&self.alice.epoch(), before, "CNV-6");
        self.alice.assert_same_epoch(answer);
        self.epoch += 1;
        self.records += 1;
        self.we_say(b"behind the commit");
        self.they_say(b"and back");
    }

    /// They add a second device of ours, which joins from their Welcome; three talk, and a commit
    /// of one is merged by the others.
    fn their_welcome(&mut self) {
        let before = self.alice.epoch();
        let device = Device::new(2);
        let (storage, suite) = (provider(&device.store), Suite::Classical);
        let made = GeneratedKeyPackage::make(&storage, &device.own(), suite, false).expect("made");
        let place = at(self.epoch);
        let add = json!({ "do": "add", "place": written(&place), "package": hex(&made.bytes) });
        let answer = self.them.told(&add);
        self.we_merge(&place, &answer);
        let welcome = bytes(&answer["welcome"]);
        let conversation = Conversation::join(&storage, MAILBOX, &welcome).expect("joined");
        assert_eq!(conversation.own_reader(), Some(reader_hash(&made.reader)), "CNV-4");
        let mut bob = Us { device, conversation };
        bob.assert_same_epoch(&answer);
        self.next(&answer, &before);

        let place = at(self.epoch);
        let record = bob.say(&place, b"a third");
        let read = self.them.told(&reading(&place, &record));
        assert_eq!(number(&read["sender"]), bob.conversation.own_leaf().get());
        let pending = self.update(&place);
        let read = self.them.told(&reading(&place, &pending.record));
        self.alice.merge();
        let applied = bob.read(&place, &pending.record);
        assert!(matches!(applied, Processed::Commit { .. }), "{applied:?}");
        bob.assert_same_epoch(&read);
        self.epoch += 1;
        self.records += 2;
        self.we_say(b"three leaves");
    }

    /// Each side refuses what the other must not say, and hears it afterwards as before.
    fn refusals(&mut self) {
        let (place, elsewhere) = (at(self.epoch), at(self.epoch));
        let honest = self.alice.say(&place, b"honest");
        let why = self.them.refuses(&reading(&elsewhere, &honest));
        assert!(why.contains("tag"), "REC-2: {why}");
        let key = self.alice.conversation.record_key().expect("a member");
        let message = key.open(&place, &honest).expect("opened").message().to_vec();
        let device = &self.alice.device.key;
        let forged = key.seal(&place, self.their_leaf, device, &message).expect("sealed");
        let why = self.them.refuses(&reading(&place, &forged));
        assert_eq!(why, "bad signature: record", "REC-4");
        let read = self.them.told(&reading(&place, &honest));
        assert_eq!(bytes(&read["content"]), b"honest");

        let leaf = self.alice.conversation.own_leaf().get();
        let (place, record) = self.they_seal(json!({ "do": "forge", "leaf": leaf }));
        let read = self.alice.read(&place, &record);
        assert!(matches!(read, Processed::Refused(Error::BadSignature)), "REC-4: {read:?}");
        let (place, record) = self.they_seal(json!({ "do": "propose", "leaf": leaf }));
        let read = self.alice.read(&place, &record);
        assert!(matches!(read, Processed::Refused(Error::Unsupported { .. })), "CNV-5: {read:?}");
        self.they_say(b"still heard");
    }

    /// We remove them: they read that, and then neither hear nor speak.
    fn removal(&mut self) {
        let place = at(self.epoch);
        let device = self.alice.conversation.member(self.their_leaf).and_then(|them| them.device);
        let account = device.expect("a device").account();
        let (storage, own) = (provider(&self.alice.device.store), self.alice.device.own());
        let pending = self.alice.conversation.remove_account(&storage, &own, &place, account);
        let pending = pending.expect("removed");
        assert_eq!(pending.strike_readers.len(), 1, "CNV-9");
        self.alice.merge();
        let read = self.them.told(&reading(&place, &pending.record));
        assert_eq!(read["removed"], true);
        self.epoch += 1;
        self.records += 1;
        let place = at(self.epoch);
        let record = self.alice.say(&place, b"without them");
        self.them.refuses(&reading(&place, &record));
        let saying = json!({ "do": "say", "place": written(&place), "content": "00" });
        self.them.refuses(&saying);
    }
}

/// A fresh place in an epoch; the relay's name of the epoch is its own, here a count of commits.
fn at(epoch: u64) -> RecordPlace {
    RecordPlace {
        mailbox: MAILBOX,
        epoch: Epoch::new(epoch.to_be_bytes()),
        envelope: EnvelopeId::new(random()),
        class: EnvelopeClass::Normal,
    }
}

fn written(place: &RecordPlace) -> Value {
    json!({
        "mailbox": hex(place.mailbox.as_bytes()),
        "epoch": hex(place.epoch.as_bytes()),
        "envelope": hex(place.envelope.as_bytes()),
        "class": "normal",
    })
}

fn reading(place: &RecordPlace, record: &[u8]) -> Value {
    json!({ "do": "read", "place": written(place), "record": hex(record) })
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_else(|| panic!("no bytes: {value}"));
    HEXLOWER.decode(text.as_bytes()).expect("hexadecimal")
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|number| number.try_into().ok()).expect("a number")
}
