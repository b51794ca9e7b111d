//! A real disk that is full, or cannot be written: under a running relay and at its start, and
//! under the files of a client.

use std::path::{Path, PathBuf};

use restante_client::{TransferFailure, TransferId, TransferState};
use restante_spec::codes::Code;
use restante_spec::ids::{ChainNumber, EnvelopeId, Epoch, Handle, Seq};
use restante_spec::message::{Append, Command, MailboxClass, Push, Reply, Subscribe};
use restante_tests::mount::{Mount, fill};
use restante_tests::people::{Person, introduce};
use restante_tests::relay::{InProcess, Process, run, stats};
use restante_tests::wire::{Owner, PATIENCE, PLENTY, Wire, envelope};
use tempfile::TempDir;

/// A relay on a small file system of its own, and a conversation.
struct Small {
    relay: Process,
    owner: Owner,
    epoch: Option<Epoch>,
    chains: u32,
    sent: Vec<EnvelopeId>,
    accepted: Vec<(EnvelopeId, Seq)>,
    data: PathBuf,
    ballast: PathBuf,
    log: PathBuf,
    /// Unmounted before its place goes.
    _mount: Mount,
    _home: TempDir,
}

/// Why an append was not accepted: both say that it may be tried again with the same id.
fn is_later(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::Unknown)
}

/// A relay for so small a disk: it takes what comes until that is full.
fn start(data: &Path, log: &Path) -> Result<Process, (Option<i32>, String)> {
    Process::try_start_with(data, log, |command| {
        command.args(["--listen", "127.0.0.1:0", "--cache-mib", "1", "--disk-reserve-mib", "0"]);
    })
}

impl Small {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let disk = home.path().join("disk");
        let mount = Mount::tmpfs(&disk, 24);
        let (data, log) = (disk.join("data"), home.path().join("log"));
        let relay = start(&data, &log).expect("it starts");
        let owner = Owner::new();
        let mut wire = Wire::connect(relay.address()).await;
        let epoch = wire.create(MailboxClass::Conversation, &owner).await.epoch;
        let ballast = disk.join("ballast");
        Self {
            relay,
            owner,
            epoch,
            chains: 0,
            sent: Vec::new(),
            accepted: Vec::new(),
            data,
            ballast,
            log,
            _mount: mount,
            _home: home,
        }
    }

    async fn open(&self) -> Wire {
        let opening = async {
            loop {
                let mut wire = Wire::connect(self.relay.address()).await;
                match wire.try_open(1, self.owner.mailbox, &self.owner.key).await {
                    Ok(_) => return wire,
                    Err(refusal) => assert!(is_later(refusal.code), "{refusal:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, opening).await.expect("it can be opened in time")
    }

    /// Tries once, with a chain of its own; the code if it was refused.
    async fn append(&mut self, wire: &mut Wire, id: EnvelopeId) -> Result<(), Code> {
        if !self.sent.contains(&id) {
            self.sent.push(id);
        }
        self.chains += 1;
        let chain = ChainNumber::new(self.chains);
        let append = Append { id, chain, ..envelope(1, self.epoch) };
        let body = id.as_bytes().repeat(4_000);
        let answer = wire.append(append, &body).await;
        match answer {
            Ok(appended) => {
                self.accepted.push((id, appended.seq));
                Ok(())
            }
            Err(refusal) => Err(refusal.code),
        }
    }

    /// Appends new envelopes until one is refused.
    async fn append_until_refused(&mut self, wire: &mut Wire) -> Code {
        loop {
            let id = envelope(1, None).id;
            if let Err(code) = self.append(wire, id).await {
                return code;
            }
        }
    }

    /// What was sent and not accepted is accepted in the end, without a restart.
    async fn append_the_rest(&mut self, wire: &mut Wire) {
        let known = |it: &Self, id: &EnvelopeId| it.accepted.iter().any(|(known, _)| known == id);
        for id in self.sent.clone() {
            while !known(self, &id) {
                if let Err(code) = self.append(wire, id).await {
                    assert!(is_later(code), "{code:?}");
                }
            }
        }
    }

    /// Everything that was accepted is there, once; and maybe what was answered with `unknown`.
    async fn check(&self) {
        let found = self.read().await;
        assert!(found.windows(2).all(|pair| pair[0].1 < pair[1].1), "numbers rise");
        for told in &self.accepted {
            assert_eq!(found.iter().filter(|(id, _)| *id == told.0).count(), 1, "once");
            assert!(found.contains(told), "under its number");
        }
        assert!(found.iter().all(|(id, _)| self.sent.contains(id)));
    }

    /// The whole backlog, read while the store may be opened anew again and again.
    async fn read(&self) -> Vec<(EnvelopeId, Seq)> {
        let mut wire = self.open().await;
        let subscribe = Subscribe {
            handle: Handle::new(1),
            reader: self.owner.reader.clone(),
            after: Seq::START,
            credit: PLENTY,
        };
        let subscribing = async {
            loop {
                let subscribe = Command::Subscribe(subscribe.clone());
                match wire.ask(subscribe, b"").await.0 {
                    Reply::Done => return,
                    Reply::Error(refusal) => assert!(is_later(refusal.code), "{refusal:?}"),
                    other => panic!("{other:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, subscribing).await.expect("subscribed in time");
        let mut found = Vec::new();
        loop {
            match wire.push().await {
                (Push::Deliver(deliver), body) => {
                    assert_eq!(body, deliver.id.as_bytes().repeat(4_000));
                    found.push((deliver.id, deliver.seq));
                    let credit = Command::Credit { handle: Handle::new(1), credit: PLENTY };
                    wire.send(credit, b"").await;
                }
                (Push::CaughtUp { .. }, _) => return found,
                (other, _) => panic!("unexpected push: {other:?}"),
            }
        }
    }

    fn failures(&self) -> u64 {
        stats(&self.data)["restante_store_failures_total"]
    }
}

/// MBX-4, MBX-5: on a full disk appends are refused for the moment, what was accepted is read on,
/// and when there is room again the relay goes on by itself; nothing is lost, nothing doubled.
#[tokio::test]
async fn a_full_disk_loses_nothing_and_recovers() {
    let mut small = Small::new().await;
    let mut wire = small.open().await;
    for _ in 0..20 {
        small.append(&mut wire, envelope(1, None).id).await.unwrap();
    }
    for round in 1..=3_u64 {
        fill(&small.ballast);
        let code = small.append_until_refused(&mut wire).await;
        assert!(is_later(code), "{code:?}");
        for id in small.sent.clone().into_iter().rev().take(5) {
            if let Err(code) = small.append(&mut wire, id).await {
                assert!(is_later(code), "{code:?}");
            } else {
                small.accepted.pop();
            }
        }
        assert!(small.failures() >= round, "the store has failed");
        small.check().await;
        wire.done(Command::Ping, b"").await.expect("connections live");
        std::fs::remove_file(&small.ballast).unwrap();
        small.append_the_rest(&mut wire).await;
        small.check().await;
    }
    let said = std::fs::read_to_string(&small.log).unwrap();
    assert!(said.contains("make room"), "the operator is told what to do");
    assert_eq!(small.relay.terminate(), Some(0));
}

/// The place has become read-only when the store, which has failed, is to be opened anew: nothing
/// is accepted, the log says why, and once it can be written the relay goes on by itself.
#[tokio::test]
async fn a_disk_that_becomes_read_only_is_told_and_recovered_from() {
    let mut small = Small::new().await;
    let mut wire = small.open().await;
    small.append(&mut wire, envelope(1, None).id).await.unwrap();
    let above = Mount::read_only_above(&small.data);
    fill(&small.ballast);
    assert!(is_later(small.append_until_refused(&mut wire).await));
    let told = |small: &Small| {
        let said = std::fs::read_to_string(&small.log).unwrap();
        said.contains("cannot open the store again yet") && said.contains("mount it writable")
    };
    std::fs::remove_file(&small.ballast).unwrap();
    let refused = async {
        while !told(&small) {
            let id = envelope(1, None).id;
            assert_eq!(small.append(&mut wire, id).await, Err(Code::Unavailable));
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("told in time");
    let open = wire.open_command(9, small.owner.mailbox, &small.owner.key);
    assert_eq!(wire.refused(open, b"").await, Code::Unavailable);
    drop(above);
    small.append_the_rest(&mut wire).await;
    small.check().await;
    assert_eq!(small.relay.terminate(), Some(0));
}

/// Once what was written of a backup stayed there, identity key and all, and took the room.
#[tokio::test]
async fn a_backup_without_room_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (data, disk) = (home.path().join("data"), home.path().join("disk"));
    let _mount = Mount::tmpfs(&disk, 1);
    fill(&disk.join("ballast"));
    let ballast = std::fs::File::options().write(true).open(disk.join("ballast")).unwrap();
    ballast.set_len(900_000).unwrap();
    drop(ballast);
    let relay = start(&data, &home.path().join("log")).expect("it starts");
    let file = disk.join("backup");
    let (well, said) = run(&["backup", file.to_str().unwrap(), "--data", data.to_str().unwrap()]);
    assert!(!well && said.contains("make room on the disk"), "{said}");
    assert!(!file.exists());
    std::fs::remove_file(disk.join("ballast")).unwrap();
    let (well, said) = run(&["backup", file.to_str().unwrap(), "--data", data.to_str().unwrap()]);
    assert!(well, "{said}");
    assert_eq!(relay.terminate(), Some(0));
}

/// Neither a relay nor `check` takes a read-only place, or one without room, for one to run on;
/// both say what to do. Afterwards it starts.
#[tokio::test]
async fn a_relay_does_not_start_where_it_cannot_write() {
    let mut small = Small::new().await;
    let mut wire = small.open().await;
    small.append(&mut wire, envelope(1, None).id).await.unwrap();
    let Small { relay, data, ballast, log, .. } = &small;
    relay.signal("KILL");
    wire.closed().await;
    let refused = || start(data, log).map(drop).unwrap_err();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let above = Mount::read_only_above(data);
    let (code, said) = refused();
    assert!(code == Some(1) && said.contains("mount it writable"), "{said}");
    let (well, said) = run(&["check", "--data", &text(data), "--listen", "127.0.0.1:0"]);
    assert!(!well && said.contains("mount it writable"), "{said}");
    drop(above);
    let (other, full) = (data.with_file_name("other"), log.with_file_name("full.log"));
    fill(ballast);
    let (code, said) = start(&other, &full).map(drop).unwrap_err();
    assert!(code == Some(1) && said.contains("make room"), "{said}");
    std::fs::remove_file(ballast).unwrap();
    small.relay = start(&small.data, &small.log).expect("it starts");
    small.check().await;
    assert_eq!(small.relay.terminate(), Some(0));
}

/// A download that finds no room on its own device fails as such and leaves nothing; with room it
/// succeeds when it is asked for again, and messages were not held up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_tell_of_a_full_disk() {
    let relay = InProcess::start(&[]).await;
    let (alice, bob) = (Person::new("Alice", relay.address()), Person::new("Bob", relay.address()));
    let (of_bob, of_alice) = introduce(&alice, &bob).await;
    let folder = bob.home().join("files");
    let small = Mount::tmpfs(&folder, 1);
    std::fs::create_dir(alice.home().join("files")).unwrap();
    std::fs::write(alice.home().join("files/f"), vec![7; 3 * 1024 * 1024]).unwrap();
    let (up, address) = alice.client.upload_file(of_bob, "f").await.unwrap();
    assert_eq!(ended(&alice, up).await, TransferState::Done);
    let down = bob.client.download_file(&address, "copy").await.unwrap();
    let full = TransferState::Failed(TransferFailure::DiskFull);
    assert_eq!(ended(&bob, down).await, full);
    assert!(std::fs::read_dir(&folder).unwrap().next().is_none());
    alice.client.send(of_bob, "is it there?").await.unwrap();
    bob.until_received(of_alice, 1).await;
    drop(small);
    let down = bob.client.download_file(&address, "copy").await.unwrap();
    assert_eq!(ended(&bob, down).await, TransferState::Done);
    relay.stop().await;
}

async fn ended(person: &Person, id: TransferId) -> TransferState {
    person.until_transfer(id, |transfer| transfer.state.is_final()).await.state
}
