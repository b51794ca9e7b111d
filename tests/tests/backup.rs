//! A backup taken while the relay works, looked through, restored elsewhere, compared.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use restante_crypto::SigningKey;
use restante_spec::codes::Code;
use restante_spec::ids::{EnvelopeId, Epoch, Seq};
use restante_spec::message::{Append, Command as Ask, EnvelopeClass, MailboxClass};
use restante_tests::relay::{Process, run};
use restante_tests::wire::{Owner, PLENTY, Wire, commit, envelope, random};

/// A conversation with what was accepted in it, all but the first acknowledged.
struct Talk {
    owner: Owner,
    epoch: Option<Epoch>,
    kept: Vec<EnvelopeId>,
}

async fn talk(wire: &mut Wire, handle: u32) -> Talk {
    let owner = Owner::new();
    let epoch = wire.create(MailboxClass::Conversation, &owner).await.epoch;
    wire.open(handle, owner.mailbox, &owner.key).await;
    let mut ids = Vec::new();
    let mut first = Seq::START;
    for n in 0..10_u8 {
        let append = envelope(handle, epoch);
        ids.push(append.id);
        let appended = wire.append(append, &[n; 300]).await.unwrap();
        first = if n == 0 { appended.seq } else { first };
    }
    wire.subscribe(handle, &owner.reader, Seq::START, PLENTY).await.unwrap();
    wire.backlog().await;
    wire.ack(handle, first).await;
    // Behind an act of the same mailbox the acknowledgement is durable.
    let last = envelope(handle, epoch);
    ids.push(last.id);
    wire.append(last, b"the last").await.unwrap();
    Talk { owner, epoch, kept: ids.split_off(1) }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// MBX-20, MBX-3, CMD-1: what was accepted is there, what was acknowledged is not, conversations
/// of before can be read and not written, everything else goes on above all numbers of before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_relay_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let (data, log) = (place.path().join("data"), place.path().join("log"));
    let (file, again) = (place.path().join("backup"), place.path().join("again"));
    let relay = Process::start(&data, "127.0.0.1:0", &log);
    let mut wire = Wire::connect(relay.address()).await;
    let before = talk(&mut wire, 1).await;
    let inbox = Owner::new();
    wire.create(MailboxClass::Inbox, &inbox).await;

    // Taken while others write.
    let address = relay.address().clone();
    let busy = tokio::spawn(async move {
        let mut wire = Wire::connect(&address).await;
        let owner = Owner::new();
        let epoch = wire.create(MailboxClass::Conversation, &owner).await.epoch;
        wire.open(1, owner.mailbox, &owner.key).await;
        let mut count = 0;
        while let Some(number) = wire.try_send(Ask::Append(envelope(1, epoch)), &[7; 500]).await {
            if wire.try_reply(number).await.is_none() {
                break;
            }
            count += 1;
        }
        count
    });
    let words = ["backup", path(&file), "--data", path(&data)].map(str::to_owned);
    let taken = tokio::task::spawn_blocking(move || run(&words.each_ref().map(String::as_str)));
    let (well, said) = taken.await.unwrap();
    assert!(well && said.starts_with("whole: "), "{said}");
    let (well, said) = run(&["backup", path(&file), "--data", path(&data)]);
    assert!(!well && said.contains("cannot use"), "a file that is there: {said}");
    let last = wire.append(envelope(1, before.epoch), b"behind the backup").await.unwrap().seq;
    let incarnation = wire.welcome.incarnation;
    relay.kill();
    assert!(busy.await.unwrap() > 0, "it worked meanwhile");

    let (well, said) = run(&["verify", path(&file)]);
    assert!(well && said.contains("mailboxes"), "{said}");
    let (well, said) = run(&["restore", path(&file), "--data", path(&data)]);
    assert!(!well && said.contains("it is there already, and not empty"), "{said}");
    let (well, said) = run(&["restore", path(&file), "--data", path(&again)]);
    assert!(well, "{said}");
    let relay = Process::start(&again, "127.0.0.1:0", &log);
    let mut wire = Wire::connect(relay.address()).await;
    assert_ne!(wire.welcome.incarnation, incarnation);

    wire.open(1, before.owner.mailbox, &before.owner.key).await;
    wire.subscribe(1, &before.owner.reader, Seq::START, PLENTY).await.unwrap();
    let found: Vec<_> = wire.backlog().await.into_iter().map(|(envelope, _)| envelope.id).collect();
    assert_eq!(found, before.kept, "what was acknowledged does not come back");
    let again_known = Append { id: before.kept[0], ..envelope(1, before.epoch) };
    assert!(wire.append(again_known, b"").await.unwrap().already);
    let refused = wire.append(envelope(1, before.epoch), b"no").await.unwrap_err();
    assert_eq!(refused.code, Code::Restored);
    let live = Append { class: EnvelopeClass::Live, ..envelope(1, before.epoch) };
    assert_eq!(wire.append(live, b"no").await.unwrap_err().code, Code::Restored);
    let next = SigningKey::generate().unwrap();
    let commit = commit(1, before.epoch, before.owner.mailbox, &next);
    assert_eq!(wire.append(commit, b"no").await.unwrap_err().code, Code::Restored);

    wire.open(2, inbox.mailbox, &inbox.key).await;
    let new = talk(&mut wire, 3).await;
    let number = wire.append(envelope(3, new.epoch), b"anew").await.unwrap().seq;
    assert!(number > last, "no number is given twice");
    assert_eq!(relay.terminate(), Some(0));
}

/// Whatever is cut off or changed of a backup, it is not believed, and nothing is made of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let (data, log) = (place.path().join("data"), place.path().join("log"));
    let (file, again) = (place.path().join("backup"), place.path().join("again"));
    let (well, said) = run(&["backup", path(&file), "--data", path(&data)]);
    assert!(!well && said.contains("no relay runs"), "{said}");
    let relay = Process::start(&data, "127.0.0.1:0", &log);
    talk(&mut Wire::connect(relay.address()).await, 1).await;
    let (well, said) = run(&["backup", path(&file), "--data", path(&data)]);
    assert!(well, "{said}");
    let whole = std::fs::read(&file).unwrap();
    let random = usize::from(u16::from_be_bytes(random()));
    for place in [0, 30, whole.len() / 2, random % whole.len(), whole.len() - 1] {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        for damaged in [&changed, &whole[..place].to_vec()] {
            std::fs::write(&file, damaged).unwrap();
            let (well, said) = run(&["verify", path(&file)]);
            assert!(!well && said.contains("cannot be used"), "{place}: {said}");
        }
    }
    let (well, _) = run(&["restore", path(&file), "--data", path(&again)]);
    assert!(!well && !again.exists(), "nothing is made of it");
}

/// A directory that is there is made a relay's if nothing is in it: it may be a file system of its
/// own, such as a container's volume, beside which nothing can be made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_directory_becomes_a_relay_s() {
    let place = tempfile::tempdir().unwrap();
    let (data, log) = (place.path().join("data"), place.path().join("log"));
    let (file, again) = (place.path().join("backup"), place.path().join("again"));
    let relay = Process::start(&data, "127.0.0.1:0", &log);
    let before = talk(&mut Wire::connect(relay.address()).await, 1).await;
    let (well, said) = run(&["backup", path(&file), "--data", path(&data)]);
    assert!(well, "{said}");
    relay.kill();
    std::fs::create_dir_all(again.join("lost+found")).unwrap();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    assert!(!run(&["restore", path(&file), "--data", path(&again)]).0);
    std::fs::write(&file, &whole).unwrap();
    std::fs::create_dir(again.join("restoring")).unwrap();
    let (well, said) = run(&["restore", path(&file), "--data", path(&again)]);
    assert!(!well && said.contains("broken off, or is at work"), "{said}");
    let (code, said) = Process::try_start(&again, &log).err().expect("it does not start");
    assert!(code == Some(1) && said.contains("broken off, or is at work"), "{said}");
    std::fs::remove_dir(again.join("restoring")).unwrap();
    std::fs::remove_file(again.join("lock")).unwrap();
    let (well, said) = run(&["restore", path(&file), "--data", path(&again)]);
    assert!(well && !again.join("restoring").exists(), "{said}");
    let relay = Process::start(&again, "127.0.0.1:0", &log);
    let mut wire = Wire::connect(relay.address()).await;
    wire.open(1, before.owner.mailbox, &before.owner.key).await;
    wire.subscribe(1, &before.owner.reader, Seq::START, PLENTY).await.unwrap();
    let found: Vec<_> = wire.backlog().await.into_iter().map(|(envelope, _)| envelope.id).collect();
    assert_eq!(found, before.kept);
}

/// Once a relay that was told to stop lived on beside its backup, with its store locked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_nobody_takes_ends_with_the_relay() {
    let place = tempfile::tempdir().unwrap();
    let (data, log) = (place.path().join("data"), place.path().join("log"));
    let relay = Process::start(&data, "127.0.0.1:0", &log);
    let mut wire = Wire::connect(relay.address()).await;
    let owner = Owner::new();
    let epoch = wire.create(MailboxClass::Conversation, &owner).await.epoch;
    wire.open(1, owner.mailbox, &owner.key).await;
    // More than a socket holds.
    for _ in 0..40 {
        wire.append(envelope(1, epoch), &[7; 60_000]).await.unwrap();
    }
    let mut socket = UnixStream::connect(data.join("admin.sock")).unwrap();
    socket.write_all(b"backup\n").unwrap();
    socket.read_exact(&mut [0; 30]).unwrap();
    let (well, said) = run(&["drain", "--data", path(&data)]);
    assert!(well, "{said}");
    assert_eq!(Process::start(&data, "127.0.0.1:0", &log).terminate(), Some(0));
    assert_eq!(relay.ended(), Some(0));
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
    assert!(rest.len() < 40 * 60_000, "it was broken off");
}
