//! Tests of conversations: several devices, one log, stores that are written out and read again.

use openmls_memory_storage::MemoryStorage;
use restante_spec::ids::{EnvelopeId, Epoch, MailboxId, PublicKey, ReaderSecret, UnixTime};
use restante_spec::limits::{PADDING_LADDER, RATCHET_FORWARD};
use restante_spec::message::EnvelopeClass;

use super::*;
use crate::error::Error;
use crate::identity::{AccountKey, DeviceCertificate, DeviceKey, DeviceNumber};
use crate::proofs::reader_hash;
use crate::record::{LeafNumber, RecordPlace};

mod leaves;

/// One device with its store.
struct Device {
    key: DeviceKey,
    certificate: DeviceCertificate,
    store: MemoryStorage,
}

impl Device {
    /// Device `number` of account `account`.
    fn new(account: u8, number: u8) -> Self {
        let mut seed = [account; 32];
        seed[0] = number;
        let key = DeviceKey::from_seed(&seed);
        let account = AccountKey::from_seed(&[account; 32]);
        let (number, at) = (DeviceNumber::new(number.into()), UnixTime::new(1));
        let certificate = account.certify(&key.public(), number, at, "device").unwrap();
        Self { key, certificate, store: MemoryStorage::default() }
    }

    fn own(&self) -> OwnDevice<'_> {
        OwnDevice { key: &self.key, certificate: &self.certificate }
    }

    fn package(&self, suite: Suite) -> (KeyPackage, ReaderSecret) {
        let made = GeneratedKeyPackage::make(&self.store, &self.own(), suite, false).unwrap();
        (KeyPackage::parse(&made.bytes).unwrap(), made.reader)
    }

    /// What a restart does: nothing is left but what was written.
    fn restart(&mut self) -> Conversation {
        let values = self.store.values.read().unwrap().clone();
        self.store = MemoryStorage { values: values.into() };
        Conversation::load(&self.store, MAILBOX).unwrap().unwrap()
    }
}

const MAILBOX: MailboxId = MailboxId::new([7; 16]);
const STATE: &[u8] = b"as agreed";

/// A place of its own for each number; the epoch is what the relay would say.
fn at(number: u16, epoch: u64) -> RecordPlace {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    RecordPlace {
        mailbox: MAILBOX,
        epoch: Epoch::new(epoch.to_be_bytes()),
        envelope: EnvelopeId::new(id),
        class: EnvelopeClass::Normal,
    }
}

/// Alice with one device has added Bob with one device; both are in the epoch behind that commit.
struct Pair {
    alice: Device,
    bob: Device,
    a: Conversation,
    b: Conversation,
}

fn create(alice: &Device, suite: Suite) -> Conversation {
    let reader = reader_hash(&ReaderSecret::new([1; 16]));
    Conversation::create(&alice.store, &alice.own(), MAILBOX, suite, &reader, STATE).unwrap()
}

fn pair(suite: Suite) -> Pair {
    let (alice, bob) = (Device::new(1, 1), Device::new(2, 1));
    let mut a = create(&alice, suite);
    let (package, _) = bob.package(suite);
    let pending = a.add(&alice.store, &alice.own(), &at(0, 0), &[package]).unwrap();
    a.merge_pending(&alice.store).unwrap();
    let b = Conversation::join(&bob.store, MAILBOX, &pending.welcome.unwrap()).unwrap();
    Pair { alice, bob, a, b }
}

fn public(conversation: &Conversation) -> PublicKey {
    conversation.epoch_key().unwrap().public()
}

/// CNV-1, CNV-2, CNV-4: both suites; members, accounts and readers are what the packages said.
#[test]
fn two_devices_talk_in_both_suites() {
    for suite in Suite::ALL {
        let Pair { alice, bob, mut a, mut b } = pair(suite);
        assert_eq!((a.suite(), b.suite(), b.mailbox()), (suite, suite, &MAILBOX));
        assert_eq!(a.members(), b.members());
        assert_eq!(a.authenticator(), b.authenticator());
        let bobs = a.members_of(bob.certificate.account());
        assert_eq!((bobs.len(), bobs[0].reader), (1, b.own_reader()));
        for n in 1..4_u16 {
            let record = a.encrypt(&alice.store, &alice.own(), &at(n, 1), b"hello").unwrap();
            assert!(PADDING_LADDER.contains(&record.len()));
            match b.process(&bob.store, &at(n, 1), &record).unwrap() {
                Processed::Application { sender, content } => {
                    assert_eq!(sender.device, Some(alice.certificate.clone()));
                    assert_eq!(content.as_slice(), b"hello");
                }
                other => panic!("{other:?}"),
            }
            let echo = a.process(&alice.store, &at(n, 1), &record).unwrap();
            assert!(matches!(echo, Processed::OwnMessage), "{echo:?}");
        }
        let record = b.encrypt(&bob.store, &bob.own(), &at(9, 1), b"and back").unwrap();
        let read = a.process(&alice.store, &at(9, 1), &record).unwrap();
        assert!(matches!(read, Processed::Application { .. }), "{read:?}");
    }
}

/// CNV-6, CNV-11, CNV-12: committer before acceptance, after a restart, after merging, the joiner
/// and a reader of the commit all derive one key, and it is another one than before.
#[test]
fn epoch_keys_agree_everywhere() {
    let Pair { mut alice, bob, mut a, mut b } = pair(Suite::Hybrid);
    assert_eq!(public(&a), public(&b));
    let before = public(&a);
    let carol = Device::new(3, 1);
    let (package, _) = carol.package(Suite::Hybrid);
    let pending = a.add(&alice.store, &alice.own(), &at(1, 1), &[package]).unwrap();
    let next = pending.next_key.public();
    assert_ne!(next, before);
    assert_eq!(public(&a), before);

    let mut a = alice.restart();
    assert_eq!(a.pending_epoch_key().unwrap().unwrap().public(), next);
    a.merge_pending(&alice.store).unwrap();
    assert_eq!(public(&a), next);
    assert_eq!(public(&alice.restart()), next);

    let c = Conversation::join(&carol.store, MAILBOX, &pending.welcome.unwrap()).unwrap();
    assert_eq!(public(&c), next);
    match b.process(&bob.store, &at(1, 1), &pending.record).unwrap() {
        Processed::Commit { next_key, committer, added, removed, .. } => {
            assert_eq!(next_key, next);
            assert_eq!(committer.device, Some(alice.certificate.clone()));
            assert_eq!(added[0].device, Some(carol.certificate.clone()));
            assert_eq!((added.len(), removed.len()), (1, 0));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(public(&b), next);
}

/// CNV-9: the commit names the readers of those it adds and strikes; the removed learns it, and can
/// do no more.
#[test]
fn removal_strikes_the_reader() {
    let Pair { alice, bob, mut a, mut b } = pair(Suite::Hybrid);
    let account = bob.certificate.account();
    let reader = b.own_reader().unwrap();
    let pending = a.remove_account(&alice.store, &alice.own(), &at(1, 1), account).unwrap();
    assert_eq!((pending.add_readers, pending.strike_readers), (vec![], vec![reader]));
    assert_eq!(pending.welcome, None);
    a.merge_pending(&alice.store).unwrap();
    let read = b.process(&bob.store, &at(1, 1), &pending.record).unwrap();
    assert!(matches!(read, Processed::Removed { again: false }), "{read:?}");
    assert!(!b.is_member());
    let refused = b.encrypt(&bob.store, &bob.own(), &at(2, 2), b"x");
    assert_eq!(refused, Err(Error::Removed));
    assert_eq!(a.members().len(), 1);
    let again = a.remove_account(&alice.store, &alice.own(), &at(2, 2), account);
    assert_eq!(again.err(), Some(Error::NotAMember));
}

/// CNV-19: a commit that removes a device and adds it again says both to the device itself.
#[test]
fn who_goes_out_and_in_knows_it() {
    let Pair { alice, bob, mut a, mut b } = pair(Suite::Hybrid);
    let account = bob.certificate.account();
    let remove: Vec<_> = a.members_of(account).iter().map(|member| member.leaf).collect();
    let add = [bob.package(Suite::Hybrid).0];
    let change = Change { add: &add, remove: &remove, ..Change::default() };
    let pending = a.commit(&alice.store, &alice.own(), &at(1, 1), change).unwrap();
    let read = b.process(&bob.store, &at(1, 1), &pending.record).unwrap();
    assert!(matches!(read, Processed::Removed { again: true }), "{read:?}");
    assert!(!b.is_member());
}

/// CNV-9, CNV-4: what a commit adds is the hash of the secret the added device keeps.
#[test]
fn added_reader_is_the_packages() {
    let (alice, bob) = (Device::new(1, 1), Device::new(2, 1));
    let mut a = create(&alice, Suite::Classical);
    let (package, secret) = bob.package(Suite::Classical);
    let pending = a.add(&alice.store, &alice.own(), &at(0, 0), &[package]).unwrap();
    assert_eq!(pending.add_readers, vec![reader_hash(&secret)]);
    let welcome = pending.welcome.unwrap();
    let b = Conversation::join(&bob.store, MAILBOX, &welcome).unwrap();
    assert_eq!(b.own_reader(), Some(reader_hash(&secret)));
    let again = Conversation::join(&bob.store, MAILBOX, &welcome);
    assert!(matches!(again, Err(Error::Refused { .. })), "a key package has one use");
}

/// CNV-9: of two commits for one epoch the log takes one; the loser applies it and commits anew.
#[test]
fn loser_of_a_race_catches_up() {
    let Pair { alice, bob, mut a, mut b } = pair(Suite::Hybrid);
    let won = a.update(&alice.store, &alice.own(), &at(1, 1)).unwrap();
    let lost = b.update(&bob.store, &bob.own(), &at(2, 1)).unwrap();
    assert_ne!(won.next_key.public(), lost.next_key.public());
    assert_eq!(b.update(&bob.store, &bob.own(), &at(3, 1)).err(), Some(Error::CommitPending));
    let waiting = b.encrypt(&bob.store, &bob.own(), &at(3, 1), b"x");
    assert_eq!(waiting, Err(Error::CommitPending));

    let echo = a.process(&alice.store, &at(1, 1), &won.record).unwrap();
    assert!(matches!(echo, Processed::OwnCommit), "{echo:?}");
    a.merge_pending(&alice.store).unwrap();
    let read = b.process(&bob.store, &at(1, 1), &won.record).unwrap();
    assert!(matches!(read, Processed::Commit { .. }), "{read:?}");
    assert_eq!((public(&a), b.pending_epoch_key().unwrap().is_none()), (public(&b), true));
    assert_eq!(b.merge_pending(&bob.store), Err(Error::NoCommitPending));

    let retry = b.update(&bob.store, &bob.own(), &at(4, 2)).unwrap();
    b.merge_pending(&bob.store).unwrap();
    let read = a.process(&alice.store, &at(4, 2), &retry.record).unwrap();
    assert!(matches!(read, Processed::Commit { .. }), "{read:?}");
    assert_eq!(public(&a), public(&b));
}

/// CNV-9: a cleared commit leaves the epoch as it was.
#[test]
fn cleared_commit_changes_nothing() {
    let Pair { alice, bob, mut a, mut b } = pair(Suite::Hybrid);
    let before = public(&a);
    a.update(&alice.store, &alice.own(), &at(1, 1)).unwrap();
    a.clear_pending(&alice.store).unwrap();
    assert_eq!(public(&a), before);
    let record = a.encrypt(&alice.store, &alice.own(), &at(2, 1), b"still here").unwrap();
    let read = b.process(&bob.store, &at(2, 1), &record).unwrap();
    assert!(matches!(read, Processed::Application { .. }), "{read:?}");
}

/// CNV-4: an update renews the leaf's key and keeps what it says about its reader and device.
#[test]
fn update_keeps_reader_and_certificate() {
    let Pair { alice, bob: _, mut a, b } = pair(Suite::Hybrid);
    let before = a.members();
    a.update(&alice.store, &alice.own(), &at(1, 1)).unwrap();
    a.merge_pending(&alice.store).unwrap();
    assert_eq!(a.members(), before);
    assert_eq!(b.members(), before);
}

/// CNV-7: what was sealed in an epoch that is left cannot be read any more.
#[test]
fn left_epoch_is_closed() {
    let Pair { alice, bob, mut a, mut b } = pair(Suite::Hybrid);
    let late = b.encrypt(&bob.store, &bob.own(), &at(1, 1), b"late").unwrap();
    a.update(&alice.store, &alice.own(), &at(2, 1)).unwrap();
    a.merge_pending(&alice.store).unwrap();
    let read = a.process(&alice.store, &at(1, 1), &late).unwrap();
    assert!(matches!(read, Processed::Refused(Error::Undecryptable)), "{read:?}");
}

/// REC-4, REC-5: a member can neither sign for another nor put another's leaf before its own words;
/// the victim's messages are still read afterwards.
#[test]
fn forged_sender_is_refused_and_costs_nothing() {
    let Pair { alice, bob, mut a, mut b } = pair(Suite::Hybrid);
    let honest = a.encrypt(&alice.store, &alice.own(), &at(1, 1), b"honest").unwrap();
    let key = b.record_key().unwrap();
    let message = key.open(&at(1, 1), &honest).unwrap().message().to_vec();

    let forged = key.seal(&at(2, 1), a.own_leaf(), &bob.key, &message).unwrap();
    let read = b.process(&bob.store, &at(2, 1), &forged).unwrap();
    assert!(matches!(read, Processed::Refused(Error::BadSignature)), "{read:?}");

    let stolen = key.seal(&at(3, 1), b.own_leaf(), &bob.key, &message).unwrap();
    let read = a.process(&alice.store, &at(3, 1), &stolen).unwrap();
    assert!(matches!(read, Processed::Refused(Error::NotAMember)), "{read:?}");

    let nobody = key.seal(&at(4, 1), LeafNumber::new(77), &bob.key, &message).unwrap();
    let read = b.process(&bob.store, &at(4, 1), &nobody).unwrap();
    assert!(matches!(read, Processed::Refused(Error::NotAMember)), "{read:?}");

    let read = b.process(&bob.store, &at(1, 1), &honest).unwrap();
    assert!(matches!(read, Processed::Application { .. }), "{read:?}");
    let twice = b.process(&bob.store, &at(1, 1), &honest).unwrap();
    assert!(matches!(twice, Processed::Refused(Error::OldMessage)), "{twice:?}");
}

/// CNV-5: what is in a record is a private message; anything else is refused.
#[test]
fn other_framings_are_refused() {
    let Pair { alice, bob, a, mut b } = pair(Suite::Classical);
    let key = a.record_key().unwrap();
    let (package, _) = Device::new(4, 1).package(Suite::Classical);
    let package = openmls::prelude::MlsMessageOut::from(package.mls).to_bytes().unwrap();
    for (n, message) in [(1_u16, &b"garbage"[..]), (2, &[]), (3, &package)] {
        let record = key.seal(&at(n, 1), a.own_leaf(), &alice.key, message).unwrap();
        let read = b.process(&bob.store, &at(n, 1), &record).unwrap();
        assert!(
            matches!(read, Processed::Refused(Error::Malformed { .. } | Error::Unsupported { .. })),
            "{read:?}"
        );
    }
}

/// CNV-8: a hole of 4,096 messages can be read over, one more cannot, and the next epoch heals it.
#[test]
fn hole_at_the_bound_is_read_over() {
    for (lost, readable) in [(RATCHET_FORWARD, true), (RATCHET_FORWARD + 1, false)] {
        let Pair { alice, bob, mut a, mut b } = pair(Suite::Classical);
        for _ in 0..lost {
            a.encrypt(&alice.store, &alice.own(), &at(1, 1), b"").unwrap();
        }
        let record = a.encrypt(&alice.store, &alice.own(), &at(2, 1), b"here").unwrap();
        let read = b.process(&bob.store, &at(2, 1), &record).unwrap();
        assert_eq!(matches!(read, Processed::Application { .. }), readable, "{lost} {read:?}");
        let commit = a.update(&alice.store, &alice.own(), &at(3, 1)).unwrap();
        a.merge_pending(&alice.store).unwrap();
        b.process(&bob.store, &at(3, 1), &commit.record).unwrap();
        let record = a.encrypt(&alice.store, &alice.own(), &at(4, 2), b"healed").unwrap();
        let read = b.process(&bob.store, &at(4, 2), &record).unwrap();
        assert!(matches!(read, Processed::Application { .. }), "{read:?}");
    }
}

/// CNV-9: sixteen readers fit a commit, seventeen do not. CNV-2: nor does another suite's package.
#[test]
fn commit_is_bounded() {
    let alice = Device::new(1, 1);
    let mut a = create(&alice, Suite::Classical);
    let devices: Vec<_> = (1..=17).map(|n| Device::new(2, n)).collect();
    let packages: Vec<_> = devices.iter().map(|d| d.package(Suite::Classical).0).collect();
    let past = a.add(&alice.store, &alice.own(), &at(1, 0), &packages);
    assert!(matches!(past, Err(Error::TooLarge { .. })));
    let hybrid = devices[0].package(Suite::Hybrid).0;
    let other = a.add(&alice.store, &alice.own(), &at(1, 0), &[hybrid]);
    assert!(matches!(other, Err(Error::Unsupported { .. })));
    a.add(&alice.store, &alice.own(), &at(1, 0), &packages[..16]).unwrap();
    a.merge_pending(&alice.store).unwrap();
    assert_eq!(a.members().len(), 17);
}

/// CNV-10: a hybrid conversation takes its 64th leaf, and refuses the 65th.
#[test]
fn hybrid_conversation_is_bounded() {
    let alice = Device::new(1, 1);
    let mut a = create(&alice, Suite::Hybrid);
    let package = |n: u8| Device::new(n, 2).package(Suite::Hybrid).0;
    let mut n = 2;
    while a.members().len() < Suite::Hybrid.max_leaves() {
        let room = (Suite::Hybrid.max_leaves() - a.members().len()).min(8);
        let packages: Vec<_> = (0..room).map(|i| package(n + i as u8)).collect();
        n += room as u8;
        // Commits to so many leaves that never committed are above the ladder, which is not what is
        // shown here: so no records are made of them.
        a.stage(&alice.store, &alice.own(), Change { add: &packages, ..Change::default() })
            .unwrap();
        a.merge_pending(&alice.store).unwrap();
    }
    let past = a.add(&alice.store, &alice.own(), &at(999, 0), &[package(n)]);
    assert!(matches!(past, Err(Error::TooLarge { .. })), "{past:?}");
}

/// REC-6: a commit that fits no record lies in a blob, is read with it, and only with that one.
#[test]
fn commit_above_the_ladder_lies_in_a_blob() {
    let alice = Device::new(1, 1);
    let mut a = create(&alice, Suite::Hybrid);
    let packages = |range: std::ops::Range<u8>| -> Vec<_> {
        range.map(|n| Device::new(n, 2).package(Suite::Hybrid).0).collect()
    };
    for range in [2..18, 18..34] {
        let change = packages(range);
        a.stage(&alice.store, &alice.own(), Change { add: &change, ..Change::default() }).unwrap();
        a.merge_pending(&alice.store).unwrap();
    }
    let bob = Device::new(60, 1);
    let package = bob.package(Suite::Hybrid).0;
    let joins = a.add(&alice.store, &alice.own(), &at(1, 0), &[package]).unwrap();
    a.merge_pending(&alice.store).unwrap();
    let mut b = Conversation::join(&bob.store, MAILBOX, &joins.welcome.unwrap()).unwrap();
    let made = a.add(&alice.store, &alice.own(), &at(2, 1), &packages(34..49)).unwrap();
    let large = made.large.expect("it fits no record");
    let read = b.process(&bob.store, &at(2, 1), &made.record).unwrap();
    assert!(matches!(&read, Processed::Large(at) if *at == large.at), "{read:?}");
    let mut other = large.file.clone();
    *other.last_mut().unwrap() ^= 1;
    let read = b.process_large(&bob.store, &at(2, 1), &made.record, &other).unwrap();
    assert!(matches!(read, Processed::Refused(_)), "{read:?}");
    let read = b.process_large(&bob.store, &at(2, 1), &made.record, &large.file).unwrap();
    let Processed::Commit { next_key, added, .. } = read else { panic!("{read:?}") };
    assert_eq!((next_key, added.len()), (made.next_key.public(), 15));
}

/// CNV-3: a leaf under another device's certificate can be neither made nor parsed as a package.
#[test]
fn certificate_is_of_the_leafs_key() {
    let (alice, bob) = (Device::new(1, 1), Device::new(2, 1));
    let mixed = OwnDevice { key: &alice.key, certificate: &bob.certificate };
    let made = GeneratedKeyPackage::make(&alice.store, &mixed, Suite::Classical, false);
    assert_eq!(made.err(), Some(Error::BadKey));
    let bytes = GeneratedKeyPackage::make(&bob.store, &bob.own(), Suite::Classical, true);
    let mut bytes = bytes.unwrap().bytes;
    assert!(KeyPackage::parse(&bytes).is_ok());
    *bytes.last_mut().unwrap() ^= 1;
    assert!(matches!(KeyPackage::parse(&bytes), Err(Error::Refused { .. })));
    assert!(matches!(KeyPackage::parse(b"x"), Err(Error::Malformed { .. })));
}

/// CNV-1: a Welcome to another group than the letter named is refused, and nothing is joined.
#[test]
fn welcome_names_the_mailbox() {
    let (alice, bob) = (Device::new(1, 1), Device::new(2, 1));
    let mut a = create(&alice, Suite::Classical);
    let (package, _) = bob.package(Suite::Classical);
    let pending = a.add(&alice.store, &alice.own(), &at(0, 0), &[package]).unwrap();
    let other = MailboxId::new([8; 16]);
    let joined = Conversation::join(&bob.store, other, &pending.welcome.unwrap());
    assert_eq!(joined.err(), Some(Error::Malformed { what: "welcome" }));
    assert!(Conversation::load(&bob.store, other).unwrap().is_none());
    assert!(Conversation::load(&bob.store, MAILBOX).unwrap().is_none());
}

/// LIV-1, LIV-3, LIV-4: live records are read by the members of the epoch, each once, and leave
/// the ratchet of MLS alone.
#[test]
fn live_records_pass_beside_the_log() {
    let Pair { alice, bob, a, mut b } = pair(Suite::Hybrid);
    let live = |number| RecordPlace { class: EnvelopeClass::Live, ..at(number, 1) };
    let before = alice.store.values.read().unwrap().clone();
    let records: Vec<_> = (1..4_u16)
        .map(|n| a.seal_live(&alice.own(), &live(n), n.into(), b"typing").unwrap())
        .collect();
    assert_eq!(*alice.store.values.read().unwrap(), before);
    let read = b.open_live(&live(2), &records[1]).unwrap();
    assert_eq!(read.sender.device, Some(alice.certificate.clone()));
    assert_eq!(read.content.as_slice(), b"typing");
    for (n, record) in (1..3_u16).zip(&records) {
        let old = Error::OldLiveRecord { counter: n.into(), last: 2 };
        assert_eq!(b.open_live(&live(n), record).err(), Some(old));
    }
    assert!(b.open_live(&live(3), &records[2]).is_ok());

    // A member that signs for another leaf, or stands in another place, is nobody.
    let (leaf, key) = (a.own_leaf(), a.export(crate::labels::EXPORT_LIVE_KEY).unwrap());
    let forged = crate::live::LiveSender { leaf, device: &bob.key, counter: 9 };
    let forged = crate::live::LiveKey::new(key).seal(&live(9), &forged, b"typing").unwrap();
    assert_eq!(b.open_live(&live(9), &forged).err(), Some(Error::BadSignature));
    assert_eq!(b.open_live(&at(3, 1), &records[2]).err(), Some(Error::Undecryptable));
    assert!(a.seal_live(&alice.own(), &at(3, 1), 4, b"typing").is_err());

    // The epoch's end is theirs too.
    b.update(&bob.store, &bob.own(), &at(10, 1)).unwrap();
    b.merge_pending(&bob.store).unwrap();
    let late = a.seal_live(&alice.own(), &live(11), 4, b"typing").unwrap();
    assert_eq!(b.open_live(&live(11), &late).err(), Some(Error::Undecryptable));
}
