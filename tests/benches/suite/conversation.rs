//! Conversations as a client has them: each message changes the group's state, which is committed
//! durably to an encrypted store, 50 messages to a transaction.

use std::path::Path;
use std::time::Instant;

use restante_crypto::{
    AccountKey, Conversation, DeviceCertificate, DeviceKey, DeviceNumber, GeneratedKeyPackage,
    KeyPackage, OwnDevice, Processed, RecordPlace, Suite, generate_reader, reader_hash,
};
use restante_spec::ids::{EnvelopeId, Epoch, MailboxId, UnixTime};
use restante_spec::limits::COMMIT_READERS;
use restante_spec::message::EnvelopeClass;
use restante_tests::groups::{prepare, provider};
use restante_tests::wire::random;
use rusqlite::Connection;

use super::report::{Report, median};

/// Messages of one transaction.
const BATCH: usize = 50;
/// The conversation's mailbox.
pub const MAILBOX: MailboxId = MailboxId::new([7; 16]);

/// A device with its store.
pub struct Device {
    key: DeviceKey,
    certificate: DeviceCertificate,
    /// Where its state is.
    pub store: Connection,
}

impl Device {
    /// A device whose store is as the client's: encrypted, and durable with each transaction.
    pub fn new(number: u16, folder: &Path) -> Self {
        let store = Connection::open(folder.join(format!("{number}.db"))).expect("a store");
        store
            .pragma_update(
                None,
                "key",
                "x'00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff'",
            )
            .expect("keyed");
        store.pragma_update(None, "journal_mode", "wal").expect("wal");
        store.pragma_update(None, "synchronous", "full").expect("full");
        store.pragma_update(None, "secure_delete", "on").expect("wiped");
        Self::with(number, store)
    }

    /// A device that is needed to make a group, and then no more.
    pub fn passing(number: u16) -> Self {
        Self::with(number, Connection::open_in_memory().expect("a store"))
    }

    fn with(number: u16, mut store: Connection) -> Self {
        let [high, low] = number.to_be_bytes();
        let mut seed = [0x5a; 32];
        (seed[0], seed[1]) = (high, low);
        let key = DeviceKey::from_seed(&seed);
        let account = AccountKey::from_seed(&seed);
        let at = UnixTime::new(1);
        let certificate = account.certify(&key.public(), DeviceNumber::new(1), at, "device");
        prepare(&mut store);
        Self { key, certificate: certificate.expect("certified"), store }
    }

    /// It, as one who acts.
    pub fn own(&self) -> OwnDevice<'_> {
        OwnDevice { key: &self.key, certificate: &self.certificate }
    }

    /// A key package of it.
    pub fn package(&self, suite: Suite) -> KeyPackage {
        let made = GeneratedKeyPackage::make(&provider(&self.store), &self.own(), suite, false);
        KeyPackage::parse(&made.expect("made").bytes).expect("a key package")
    }
}

/// A fresh place in an epoch.
pub fn place(epoch: u64) -> RecordPlace {
    RecordPlace {
        mailbox: MAILBOX,
        epoch: Epoch::new(epoch.to_be_bytes()),
        envelope: EnvelopeId::new(random()),
        class: EnvelopeClass::Normal,
    }
}

/// Measures a small hybrid conversation, a group of ten, and a large classical one.
pub fn run(quick: bool, report: &mut Report) {
    let rounds = if quick { 3 } else { 9 };
    for (leaves, suite) in [(2, Suite::Hybrid), (10, Suite::Hybrid), (100, Suite::Classical)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (alice, mut a, bob, mut b, epoch) = group(leaves, suite, folder.path());
        let (mut encrypting, mut decrypting) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let mut records = Vec::new();
            let begun = Instant::now();
            let transaction = alice.store.unchecked_transaction().expect("begun");
            for _ in 0..BATCH {
                let place = place(epoch);
                let record = a.encrypt(&provider(&alice.store), &alice.own(), &place, &[0x5a; 700]);
                records.push((place, record.expect("encrypted")));
            }
            transaction.commit().expect("durable");
            encrypting.push(begun.elapsed().as_secs_f64() * 1e6 / BATCH as f64);
            let begun = Instant::now();
            let transaction = bob.store.unchecked_transaction().expect("begun");
            for (place, record) in &records {
                let read = b.process(&provider(&bob.store), place, record).expect("processed");
                assert!(matches!(read, Processed::Application { .. }), "{read:?}");
            }
            transaction.commit().expect("durable");
            decrypting.push(begun.elapsed().as_secs_f64() * 1e6 / BATCH as f64);
        }
        let target = (leaves == 100).then_some("<= 150");
        let name = format!("micro.conversation_encrypt_us.{leaves}");
        report.note(&name, median(encrypting), "us", target);
        let name = format!("micro.conversation_decrypt_us.{leaves}");
        report.note(&name, median(decrypting), "us", target);
    }
}

/// A group of so many leaves; the first and the last of them, and the epoch they are in.
fn group(
    leaves: usize,
    suite: Suite,
    folder: &Path,
) -> (Device, Conversation, Device, Conversation, u64) {
    let alice = Device::new(0, folder);
    let reader = reader_hash(&generate_reader().expect("randomness"));
    let mut a = Conversation::create(
        &provider(&alice.store),
        &alice.own(),
        MAILBOX,
        suite,
        &reader,
        b"state",
    )
    .expect("created");
    let members: Vec<Device> =
        (1..leaves).map(|number| Device::new(u16::try_from(number).unwrap(), folder)).collect();
    let (mut epoch, mut welcome) = (0, None);
    for batch in members.chunks(COMMIT_READERS.min(9)) {
        let packages: Vec<_> = batch.iter().map(|device| device.package(suite)).collect();
        let pending =
            a.add(&provider(&alice.store), &alice.own(), &place(epoch), &packages).expect("added");
        a.merge_pending(&provider(&alice.store)).expect("merged");
        welcome = pending.welcome;
        epoch += 1;
    }
    let bob = members.into_iter().next_back().expect("a member");
    let welcome = welcome.expect("a welcome");
    let b = Conversation::join(&provider(&bob.store), MAILBOX, &welcome).expect("joined");
    (alice, a, bob, b, epoch)
}
