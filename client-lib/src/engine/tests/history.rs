//! Tests of history for a new device, with envelopes and blobs carried by hand.

use restante_spec::ids::{EnvelopeId, PublicKey, Seconds, UnixTime};

use super::devices::{link, settle};
use super::post::{NOW, Person, Post, events, wait};
use super::*;
use crate::limits::{HISTORY_AHEAD, HISTORY_RETRY, HISTORY_WAIT};
use crate::store::{NewMessage, Place, Wish};
use crate::transfer::{TransferFailure, TransferState};
use crate::types::{ConversationId, HistoryProgress, Message, MessageKind};

/// Everybody says, hears, stores and fetches, until nothing is left.
pub(super) fn go_on(post: &mut Post, everybody: &mut [&mut Person]) {
    for _ in 0..12 {
        for person in everybody.iter_mut() {
            post.round(person);
            person.engine.housekeeping(true).unwrap();
            post.move_blobs(person);
            person.engine.housekeeping(true).unwrap();
        }
    }
}

/// What one device shows of a message and another must show too.
fn shown(message: Message) -> impl PartialEq + std::fmt::Debug + use<> {
    let fate = (!message.is_gone()).then_some(message.fate);
    let place = (message.position.generation, message.position.seq);
    let said = (message.id, message.author, message.kind, message.text, message.changes);
    let stands = (message.reply_to, message.edited, message.deleted_by, message.reactions);
    (said, stands, place, message.at, fate, message.expires_at)
}

pub(super) fn history(
    person: &Person,
    of: ConversationId,
) -> Vec<impl PartialEq + std::fmt::Debug + use<>> {
    let all = person.engine.history(of, None, 100_000).unwrap();
    all.into_iter().map(shown).collect()
}

/// As if so many messages had come from the only contact, each `size` bytes long.
pub(super) fn fill(person: &mut Person, count: u64, size: usize) {
    let (contact, of) = (person.contact().id, person.talk());
    let text = "word ".repeat(size / 5);
    let fill = |db: crate::store::Db<'_>| {
        for number in 1..=count {
            let mut id = [0xAB; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            let at = UnixTime::new(NOW.get() - 1_000_000 + number);
            let place =
                Place { mailbox: None, generation: 0, seq: Seq::new(number), expires_at: at };
            db.put_message(&NewMessage {
                id: EnvelopeId::new(id),
                conversation: of,
                place: Some(place),
                author: number.is_multiple_of(2).then_some(contact),
                kind: MessageKind::Text,
                text: &format!("{number} {text}"),
                content: &[],
                at,
                fate: if number.is_multiple_of(2) { Fate::Received } else { Fate::Delivered },
                reply_to: None,
                timer: None,
            })?;
        }
        Ok(())
    };
    person.engine.store.write(fill).unwrap();
}

/// Alice, whose history has so many messages of this size, and Bob; without events.
fn with_history(count: u64, size: usize) -> (Post, Person, Person) {
    let (post, mut alice, bob) = friends();
    fill(&mut alice, count, size);
    (post, alice, bob)
}

/// DEV-16, ARC-3 to ARC-5: a new device shows what the first one does, row by row: replies,
/// reactions, edits, what was taken back, fates and read marks, groups and what happened there.
#[test]
fn a_new_device_shows_the_same_history() {
    let (mut post, mut alice, mut bob) = friends();
    let group = alice.engine.create_group("talk", false).unwrap().id;
    alice.engine.add_member(group, alice.contact().id).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    bob.engine.accept_group(group).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    let one = alice.engine.send(alice.talk(), "one").unwrap().id;
    alice.engine.send(group, "in the group").unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    let two = bob.engine.send_reply(bob.talk(), one, "two").unwrap().id;
    bob.engine.react(bob.talk(), one, Some("+")).unwrap();
    let gone = bob.engine.send(bob.talk(), "taken back").unwrap().id;
    settle(&mut post, &mut [&mut alice, &mut bob]);
    alice.engine.edit(alice.talk(), one, "one, corrected").unwrap();
    alice.engine.react(alice.talk(), two, Some("!")).unwrap();
    bob.engine.delete(bob.talk(), &[gone]).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    wait(&mut bob, Duration::from_secs(60));
    settle(&mut post, &mut [&mut alice, &mut bob]);
    alice.engine.mark_read(alice.talk()).unwrap();
    bob.engine.send(bob.talk(), "unread").unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);

    let mut laptop = link(&mut post, &mut alice);
    go_on(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    let of = alice.talk();
    assert!(history(&alice, of).len() >= 4);
    assert_eq!(history(&laptop, of), history(&alice, of));
    assert_eq!(history(&laptop, group), history(&alice, group));
    assert_eq!(laptop.contact().unread, alice.contact().unread);
    assert_eq!(laptop.engine.search("corrected", 10).unwrap().len(), 1);
    assert!(laptop.engine.search("taken", 10).unwrap().is_empty());
    let recipients = |person: &Person| person.engine.recipients(of, one).unwrap();
    assert_eq!(recipients(&laptop), recipients(&alice));
    assert!(laptop.engine.history_progress().unwrap().unwrap().is_complete);
    // What is said later of what came with the archive is understood.
    bob.engine.react(bob.talk(), one, Some("?")).unwrap();
    alice.engine.delete(of, &[one]).unwrap();
    go_on(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    assert_eq!(history(&laptop, of), history(&alice, of));
}

/// ARC-3, ARC-6: what is newest comes first and can be read before the rest is here; no more
/// segments than the bound lie at the relay; progress is told.
#[test]
fn history_comes_newest_first() {
    let (mut post, mut alice, _bob) = with_history(6_000, 1_000);
    let mut laptop = link(&mut post, &mut alice);
    for _ in 0..=HISTORY_AHEAD + 1 {
        alice.engine.housekeeping(true).unwrap();
    }
    let uploads = alice.engine.owed_transfers().unwrap().len();
    assert_eq!(uploads, HISTORY_AHEAD as usize);
    post.move_blobs(&mut alice);
    alice.engine.housekeeping(true).unwrap();
    post.round(&mut alice);
    post.round(&mut laptop);
    laptop.engine.housekeeping(true).unwrap();
    assert_eq!(laptop.engine.owed_transfers().unwrap().len(), crate::limits::HISTORY_FETCHES);
    assert_eq!(laptop.engine.history_progress().unwrap().unwrap().done, 0);
    events(&mut laptop);
    post.move_blobs(&mut laptop);
    laptop.engine.housekeeping(true).unwrap();
    let HistoryProgress { done, total, is_complete } =
        laptop.engine.history_progress().unwrap().unwrap();
    assert!(done > 0 && done < 2_000 && total == 6_000 && !is_complete, "{done} of {total}");
    let told = events(&mut laptop);
    assert!(told.contains(&Event::History(HistoryProgress { done, total, is_complete })));
    let of = alice.talk();
    let newest = laptop.engine.history(of, None, 100).unwrap();
    assert!(
        newest.iter().all(|message| message.text.starts_with("5") || message.text.starts_with("6"))
    );
    assert_eq!(laptop.engine.search("6000", 10).unwrap().len(), 1);
    go_on(&mut post, &mut [&mut alice, &mut laptop]);
    assert_eq!(history(&laptop, of), history(&alice, of));
    assert_eq!(alice.engine.store.read().archives().unwrap().len(), 0);
    assert_eq!(alice.engine.store.read().sharing().unwrap(), []);
    assert_eq!(std::fs::read_dir(alice.home.path().join("files")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(laptop.home.path().join("files")).unwrap().count(), 0);
}

/// DEV-16: whoever ends at whatever step goes on with it; nothing is there twice.
#[test]
fn history_outlives_restarts_at_every_step() {
    let (mut post, mut alice, _bob) = with_history(3_000, 500);
    let mut laptop = link(&mut post, &mut alice);
    let of = alice.talk();
    let is_done = |laptop: &Person| {
        laptop.engine.history_progress().unwrap().is_some_and(|progress| progress.is_complete)
    };
    let mut rounds = 0;
    while !is_done(&laptop) {
        rounds += 1;
        assert!(rounds < 50);
        for person in [&mut alice, &mut laptop] {
            person.engine.housekeeping(true).unwrap();
        }
        (alice, laptop) = (alice.restart(), laptop.restart());
        for person in [&mut alice, &mut laptop] {
            post.move_blobs(person);
        }
        (alice, laptop) = (alice.restart(), laptop.restart());
        for person in [&mut alice, &mut laptop] {
            person.engine.housekeeping(true).unwrap();
            post.round(person);
        }
        (alice, laptop) = (alice.restart(), laptop.restart());
    }
    assert_eq!(history(&laptop, of), history(&alice, of));
    assert_eq!(laptop.engine.store.read().unread().unwrap(), 1_500);
}

/// ARC-6: what cannot be fetched any more is given anew, from there on; what could not be stored is
/// stored later.
#[test]
fn lost_segments_are_given_anew() {
    let (mut post, mut alice, _bob) = with_history(3_000, 1_000);
    let mut laptop = link(&mut post, &mut alice);
    for _ in 0..5 {
        alice.engine.housekeeping(true).unwrap();
    }
    fail(&mut alice, TransferFailure::Full);
    alice.engine.housekeeping(true).unwrap();
    assert!(!alice.engine.is_moving_history().unwrap());
    wait(&mut alice, Duration::from_secs(u64::from(HISTORY_RETRY.get())));
    post.move_blobs(&mut alice);
    alice.engine.housekeeping(true).unwrap();
    post.round(&mut alice);
    post.round(&mut laptop);
    laptop.engine.housekeeping(true).unwrap();
    post.move_blobs(&mut laptop);
    laptop.engine.housekeeping(true).unwrap();
    let before = laptop.engine.history_progress().unwrap().unwrap();
    fail(&mut laptop, TransferFailure::Gone);
    laptop.engine.housekeeping(true).unwrap();
    assert_eq!(laptop.engine.history_progress().unwrap(), None);
    post.round(&mut laptop);
    post.round(&mut alice);
    let rest = alice.engine.store.read().archives().unwrap().remove(0);
    assert_eq!(rest.messages, before.total - before.done);
    go_on(&mut post, &mut [&mut alice, &mut laptop]);
    let of = alice.talk();
    assert_eq!(history(&laptop, of), history(&alice, of));
}

fn fail(person: &mut Person, failure: TransferFailure) {
    let owed = person.engine.owed_transfers().unwrap();
    for mut row in owed.into_iter().filter(|row| !row.state.is_final()) {
        (row.state, row.owed) = (TransferState::Failed(failure), false);
        person.engine.store.write(|db| db.set_transfer(&row)).unwrap();
    }
}

/// ARC-5: what is gone stays gone: what was taken back while the archive was on its way, what has
/// disappeared since, and what a late part still has.
#[test]
fn late_parts_revive_nothing() {
    let (mut post, mut alice, mut bob) = friends();
    alice.engine.set_timer(alice.talk(), Some(Seconds::new(600))).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    alice.engine.send(alice.talk(), "disappears").unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    alice.engine.set_timer(alice.talk(), None).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    let taken_back = alice.engine.send(alice.talk(), "taken back").unwrap().id;
    alice.engine.send(alice.talk(), "stays").unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    let mut laptop = link(&mut post, &mut alice);
    for _ in 0..2 {
        alice.engine.housekeeping(true).unwrap();
        post.move_blobs(&mut alice);
    }
    // The archive is written; the device is in the conversation.
    alice.engine.delete(alice.talk(), &[taken_back]).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob, &mut laptop]);
    alice.engine.set_now(UnixTime::new(NOW.get() + 601));
    laptop.engine.set_now(UnixTime::new(NOW.get() + 601));
    go_on(&mut post, &mut [&mut alice, &mut laptop]);
    assert_eq!(
        laptop.texts().into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>(),
        ["stays"]
    );
    let of = alice.talk();
    assert_eq!(history(&laptop, of), history(&alice, of));
    assert!(laptop.engine.search("taken", 10).unwrap().is_empty());
}

/// CNT-18: timers go on: what has been read disappears on both devices at the same moment, and what
/// has not been read begins with being read.
#[test]
fn timers_go_on_with_the_new_device() {
    let (mut post, mut alice, mut bob) = friends();
    alice.engine.set_timer(alice.talk(), Some(Seconds::new(3_600))).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    alice.engine.send(alice.talk(), "mine").unwrap();
    bob.engine.send(bob.talk(), "read").unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    alice.engine.mark_read(alice.talk()).unwrap();
    bob.engine.send(bob.talk(), "unread").unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    let mut laptop = link(&mut post, &mut alice);
    go_on(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    let ends = |person: &Person| -> Vec<_> {
        person.history().iter().map(|message| message.expires_at).collect()
    };
    assert_eq!(ends(&laptop), ends(&alice));
    assert_eq!(ends(&laptop).iter().flatten().count(), 2);
    laptop.engine.mark_read(laptop.talk()).unwrap();
    assert_eq!(ends(&laptop).iter().flatten().count(), 3);
}

/// DEV-16: the history of a conversation the device is not in yet comes later, and that of the
/// others does not wait for it longer than the bound.
#[test]
fn history_waits_for_the_group_but_not_for_ever() {
    let (mut post, mut alice, mut bob) = friends();
    let group = alice.engine.create_group("away", false).unwrap().id;
    settle(&mut post, &mut [&mut alice, &mut bob]);
    alice.engine.send(group, "to myself").unwrap();
    alice.engine.send(alice.talk(), "to Bob").unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    let mut laptop = link(&mut post, &mut alice);
    let device = laptop.engine.account.device.public();
    let log = alice.engine.store.read().need_conversation(group).unwrap().log.unwrap();
    // As if the device had not been added there yet.
    let remove = Wish::RemoveDevice { device: *device.as_bytes() };
    alice.engine.store.write(|db| db.put_wish(&log, &remove, NOW)).unwrap();
    post.send(&mut alice, log);
    alice.engine.housekeeping(true).unwrap();
    assert!(alice.engine.store.read().archives().unwrap().is_empty());
    wait(&mut alice, Duration::from_secs(u64::from(HISTORY_WAIT.get())));
    wait(&mut alice, Duration::from_secs(1));
    go_on(&mut post, &mut [&mut alice, &mut laptop]);
    assert_eq!(history(&laptop, alice.talk()), history(&alice, alice.talk()));
    assert_eq!(alice.engine.store.read().shares(&device).unwrap().len(), 1);
    // Struck, it gets nothing more.
    alice.engine.remove_device(2).unwrap();
    assert!(alice.engine.store.read().shares(&device).unwrap().is_empty());
}

/// DEV-16: a manifest for another device, or one that follows nothing, changes nothing.
#[test]
fn only_what_follows_is_taken() {
    let (mut post, mut alice, _bob) = with_history(3_000, 1_000);
    let mut laptop = link(&mut post, &mut alice);
    let mut told = None;
    for _ in 0..3 {
        alice.engine.housekeeping(true).unwrap();
        post.move_blobs(&mut alice);
        let take = |work: &mut Work<'_>| {
            let archive = work.db.archives()?.pop();
            Ok(archive.map(|archive| (work.db.segments(&archive.id), archive)))
        };
        told = alice.engine.transact(take).unwrap().or(told);
    }
    let (segments, archive) = told.unwrap();
    let segment = segments.unwrap().remove(0);
    let manifest = |number, first| restante_spec::archive::Manifest {
        archive: archive.id,
        number,
        last: false,
        messages: 9,
        relay: archive.relay.parse().unwrap(),
        segments: vec![restante_spec::archive::ManifestSegment {
            number: first,
            blob: segment.blob,
            read_key: segment.read_key.clone(),
            file_key: segment.file_key.clone(),
            size: restante_spec::ids::BlobSize::new(segment.size),
            messages: 1,
            newest: NOW.into(),
            oldest: NOW.into(),
        }],
    };
    let own = laptop.engine.account.device.public();
    let phone = alice.engine.account.device.public();
    let mut take_from = |giver, device, manifest: restante_spec::archive::Manifest| {
        let take = |work: &mut Work<'_>| work.take_manifest(&giver, &device, &manifest);
        laptop.engine.transact(take).unwrap();
        let archive = laptop.engine.store.read().archive(&manifest.archive).unwrap();
        let total = laptop.engine.history_progress().unwrap().map_or(0, |all| all.total);
        (archive.map_or(0, |archive| archive.segments), total)
    };
    let mut take = |device, manifest| take_from(phone, device, manifest).0;
    assert_eq!(take(alice.engine.account.device.public(), manifest(0, 0)), 0);
    assert_eq!(take(own, manifest(1, 1)), 0);
    assert_eq!(take(own, manifest(0, 0)), 1);
    assert_eq!(take(own, manifest(0, 0)), 1);
    assert_eq!(take(own, manifest(1, 2)), 1);
    assert_eq!(take(own, manifest(1, 1)), 2);

    // Another device gives something else meanwhile; each device one after the other.
    let (tablet, id) = (PublicKey::new([7; 32]), restante_spec::ids::ArchiveId::new);
    let other = |archive| restante_spec::archive::Manifest { archive, ..manifest(0, 0) };
    assert_eq!(take_from(tablet, own, manifest(2, 2)), (2, 9), "that is not its own");
    assert_eq!(take_from(tablet, own, other(id([1; 16]))), (1, 18));
    assert_eq!(take_from(tablet, own, other(id([2; 16]))), (1, 18));
    assert_eq!(take_from(phone, own, manifest(2, 2)), (3, 18));
}

/// ARC-6: of a history that needs more segments than an archive has the oldest messages are left
/// out; a segment that cannot be written is written later, and nothing else is held up.
#[test]
fn archives_end_at_their_bound() {
    let (mut post, mut alice, _bob) = with_history(3_000, 1_000);
    let mut laptop = link(&mut post, &mut alice);
    let folder = alice.home.path().join("files");
    std::fs::write(&folder, "no folder").unwrap();
    alice.engine.housekeeping(true).unwrap();
    let archive = |person: &Person| person.engine.store.read().archives().unwrap().remove(0);
    assert!(archive(&alice).rest.is_some() && archive(&alice).segments == 0);
    std::fs::remove_file(folder).unwrap();
    let last = restante_spec::limits::SEGMENTS - 1;
    let almost = |db: crate::store::Db<'_>| {
        let mut row = db.archives()?.remove(0);
        (row.segments, row.taken, row.manifests) = (last, last, 1);
        db.put_archive(&row)
    };
    alice.engine.store.write(almost).unwrap();
    wait(&mut alice, Duration::from_secs(u64::from(HISTORY_RETRY.get())));
    let ended = archive(&alice);
    assert!(ended.rest.is_none() && ended.segments == last + 1);
    post.move_blobs(&mut alice);
    alice.engine.housekeeping(true).unwrap();
    assert!(archive(&alice).whole);
    settle(&mut post, &mut [&mut alice, &mut laptop]);
}

/// DEV-16: receipts that come before their message, because it was written into the archive before
/// them, count when it is here; those that wait are bounded.
#[test]
fn early_receipts_wait_for_their_message() {
    let (mut post, mut alice, mut bob) = friends();
    let [one, two] = ["one", "two"].map(|text| alice.engine.send(alice.talk(), text).unwrap().id);
    settle(&mut post, &mut [&mut alice, &mut bob]);
    let mut laptop = link(&mut post, &mut alice);
    for _ in 0..3 {
        alice.engine.housekeeping(true).unwrap();
        post.move_blobs(&mut alice);
    }
    wait(&mut bob, Duration::from_secs(60));
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    let of = alice.talk();
    assert_eq!(alice.engine.message(one).unwrap().fate, Fate::Delivered);
    assert!(laptop.engine.message(one).is_err());
    let put = |db: crate::store::Db<'_>, number: u8, most| {
        let id = EnvelopeId::new([number; 16]);
        db.put_early_receipt(of, &id, of.contact(), true, most)
    };
    laptop.engine.store.write(|db| (1..=3).try_for_each(|number| put(db, number, 5))).unwrap();
    let waits = |laptop: &mut Person, number: u8| {
        let id = EnvelopeId::new([number; 16]);
        laptop.engine.store.write(|db| db.take_early_receipts(of, &id)).unwrap().len()
    };
    go_on(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    assert_eq!(laptop.engine.message(two).unwrap().fate, Fate::Delivered);
    assert_eq!(history(&laptop, of), history(&alice, of));
    assert_eq!([1, 2, 3].map(|number| waits(&mut laptop, number)), [1, 1, 1]);
    laptop.engine.store.write(|db| (4..=7).try_for_each(|number| put(db, number, 3))).unwrap();
    assert_eq!([4, 5, 6, 7].map(|number| waits(&mut laptop, number)), [0, 1, 1, 1]);
}

/// DEV-17: a device that is removed amid its history takes no more of it; of what was on its way
/// nothing is left, here or with the giver.
#[test]
fn a_removed_device_takes_no_more_history() {
    let (mut post, mut alice, _bob) = with_history(6_000, 1_000);
    let mut laptop = link(&mut post, &mut alice);
    alice.engine.housekeeping(true).unwrap();
    post.move_blobs(&mut alice);
    alice.engine.housekeeping(true).unwrap();
    post.round(&mut alice);
    post.round(&mut laptop);
    laptop.engine.housekeeping(true).unwrap();
    let row = laptop.engine.owed_transfers().unwrap().remove(0);
    laptop.engine.resume_download(&row).unwrap();
    let files = |person: &Person| {
        std::fs::read_dir(person.home.path().join("files")).map_or(0, Iterator::count)
    };
    assert_eq!(files(&laptop), 1, "it has begun");
    alice.engine.remove_device(2).unwrap();
    go_on(&mut post, &mut [&mut alice, &mut laptop]);
    for person in [&mut alice, &mut laptop] {
        assert_eq!(files(person), 0);
        assert!(person.engine.owed_transfers().unwrap().is_empty());
        let db = person.engine.store.read();
        assert!(db.archives().unwrap().is_empty());
        assert!(db.transfers().unwrap().iter().all(|row| row.key.is_none()), "key of a transfer");
    }
}
