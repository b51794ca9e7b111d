//! Tests of the store: encrypted, whole transactions, order, search, jobs, the group state in it.

use restante_crypto::{
    AccountKey, Conversation, DeviceKey, DeviceNumber, OwnDevice, RecordPlace, Suite,
    generate_reader, reader_hash,
};
use restante_spec::codes::Code;
use restante_spec::content::{GroupKind, GroupState, LogPosition};
use restante_spec::ids::{EnvelopeId, Epoch, LogHash, MailboxId, Seq, UnixTime};
use restante_spec::message::EnvelopeClass;
use tempfile::TempDir;

use zeroize::Zeroizing;

use super::*;
use crate::types::{ContactId, ContactState, ConversationId, Fate, MessageId, MessageKind, Reach};

const NOW: UnixTime = UnixTime::new(1_800_000_000);
const BOB: ConversationId = ConversationId::new([0xB0; 16]);
const AUTHOR: ContactId = ContactId::new([0xB0; 16]);
const LOG: MailboxId = MailboxId::new([0x10; 16]);

fn key() -> StoreKey {
    StoreKey::from_bytes([7; 32])
}

fn store() -> (TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    Store::create(home.path(), &key(), |_| Ok(())).unwrap();
    let store = Store::open(home.path(), &key()).unwrap();
    (home, store)
}

fn message(id: u8, place: Option<u64>, text: &str) -> NewMessage<'_> {
    NewMessage {
        id: EnvelopeId::new([id; 16]),
        conversation: BOB,
        place: place.map(|seq| Place {
            mailbox: Some(LOG),
            generation: 1,
            seq: Seq::new(seq),
            expires_at: NOW,
        }),
        author: place.map(|_| AUTHOR),
        kind: MessageKind::Text,
        text,
        content: &[],
        at: NOW,
        fate: if place.is_none() { Fate::Queued } else { Fate::Received },
        reply_to: None,
        timer: None,
    }
}

fn texts(store: &Store) -> Vec<String> {
    let history = store.read().history(BOB, None, 100).unwrap();
    history.into_iter().map(|message| message.text).collect()
}

/// A store opened with another key says so and is as it was; with the right one it opens.
#[test]
fn wrong_key_is_told_apart() {
    let (home, store) = store();
    drop(store);
    let wrong = Store::open(home.path(), &StoreKey::from_bytes([8; 32]));
    assert_eq!(wrong.unwrap_err(), Error::WrongKey);
    assert!(Store::open(home.path(), &key()).is_ok());
}

/// A home has one store, and an empty one has none.
#[test]
fn home_has_one_store() {
    let (home, store) = store();
    drop(store);
    let again = Store::create(home.path(), &key(), |_| Ok(()));
    assert_eq!(again, Err(Error::StoreExists));
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(Store::open(empty.path(), &key()).unwrap_err(), Error::NoStore);
}

/// A store that could not be filled is not there, and the next try begins from nothing.
#[test]
fn half_made_store_is_none() {
    let home = tempfile::tempdir().unwrap();
    let failed = Store::create(home.path(), &key(), |db| {
        db.set_meta(Meta::Nickname, b"half")?;
        Err(Error::Cloned)
    });
    assert_eq!(failed, Err(Error::Cloned));
    assert_eq!(Store::open(home.path(), &key()).unwrap_err(), Error::NoStore);
    Store::create(home.path(), &key(), |_| Ok(())).unwrap();
    let store = Store::open(home.path(), &key()).unwrap();
    assert!(store.read().meta(Meta::Nickname).unwrap().is_none());
}

/// Nothing of what is kept can be found in the files; the same search finds it in a plain file.
#[test]
fn files_hold_no_plaintext() {
    let (home, mut store) = store();
    let secret = "the cake is behind the clock";
    store.write(|db| db.put_message(&message(1, Some(5), secret))).unwrap();
    store.write(|db| db.set_meta(Meta::Nickname, secret.as_bytes())).unwrap();
    std::fs::write(home.path().join("control"), secret).unwrap();
    let mut found = Vec::new();
    for file in std::fs::read_dir(home.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if bytes.windows(8).any(|part| secret.as_bytes().windows(8).any(|words| words == part)) {
            found.push(path.file_name().unwrap().to_owned());
        }
    }
    assert_eq!(found, ["control"]);
}

/// What fails leaves nothing, what succeeds is there after opening anew.
#[test]
fn transactions_are_whole() {
    let (home, mut store) = store();
    let failed: Result<(), _> = store.write(|db| {
        db.put_message(&message(1, Some(5), "lost"))?;
        Err(Error::Cloned)
    });
    assert_eq!(failed, Err(Error::Cloned));
    store.write(|db| db.put_message(&message(2, Some(6), "kept"))).unwrap();
    drop(store);
    let store = Store::open(home.path(), &key()).unwrap();
    assert_eq!(texts(&store), ["kept"]);
}

/// What admits an account at a relay is kept for that relay.
#[test]
fn tokens_are_kept_by_relay() {
    let (_home, mut store) = store();
    let token = restante_spec::token::AdmissionToken::new([7; 16]);
    store.write(|db| db.set_token("relay", &token)).unwrap();
    assert_eq!(store.read().token("relay").unwrap(), Some(token));
    assert_eq!(store.read().token("other").unwrap(), None);
}

/// A file of a newer version is refused and not touched.
#[test]
fn newer_version_is_refused() {
    let (home, store) = store();
    store.connection.pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    let refused = Store::open(home.path(), &key()).unwrap_err();
    assert_eq!(refused, Error::StoreTooNew { found: 99, known: 1 });
}

/// The relay's numbers make the order, whatever came first; what is queued stands behind; pages
/// join without overlap.
#[test]
fn history_follows_the_log() {
    let (_home, mut store) = store();
    store
        .write(|db| {
            for (id, place, text) in
                [(1, None, "queued"), (2, Some(9), "third"), (3, Some(2), "first")]
            {
                db.put_message(&message(id, place, text))?;
            }
            db.put_message(&message(4, Some(4), "second"))
        })
        .unwrap();
    assert_eq!(texts(&store), ["first", "second", "third", "queued"]);
    let newest = store.read().history(BOB, None, 2).unwrap();
    let older = store.read().history(BOB, Some(newest[0].position), 10).unwrap();
    let older: Vec<_> = older.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(older, ["first", "second"]);
    let place = Place { mailbox: Some(LOG), generation: 1, seq: Seq::new(3), expires_at: NOW };
    let id = MessageId::new([1; 16]);
    let placed = store.write(|db| db.place_message(BOB, &id, &place)).unwrap().unwrap();
    assert_eq!((placed.fate, placed.seq), (Fate::Accepted, Some(Seq::new(3))));
    assert_eq!(texts(&store), ["first", "queued", "second", "third"]);
}

/// An id is kept once, and counts as unread once.
#[test]
fn same_id_is_kept_once() {
    let (_home, mut store) = store();
    let first = store.write(|db| db.put_message(&message(1, Some(5), "once"))).unwrap();
    let second = store.write(|db| db.put_message(&message(1, Some(6), "twice"))).unwrap();
    assert!(first.is_some() && second.is_none());
    assert_eq!(store.read().unread().unwrap(), 1);
    let read = store.write(|db| db.mark_read(BOB, NOW)).unwrap();
    assert_eq!(read, [(MessageId::new([1; 16]), MessageKind::Text)]);
    assert!(store.write(|db| db.mark_read(BOB, NOW)).unwrap().is_empty());
    assert_eq!(store.read().unread().unwrap(), 0);
}

/// Fates only say what is true: a delivered message does not expire, an expired one may still
/// turn out to be delivered.
#[test]
fn fates_follow_what_is_known() {
    let (_home, mut store) = store();
    let id = MessageId::new([1; 16]);
    let place = Place { mailbox: Some(LOG), generation: 1, seq: Seq::new(3), expires_at: NOW };
    let fate = |store: &Store| store.read().message(&id).unwrap().unwrap().fate;
    store.write(|db| db.put_message(&message(1, None, "text"))).unwrap();
    store.write(|db| db.place_message(BOB, &id, &place)).unwrap();
    assert!(store.write(|db| db.expire_messages(NOW)).unwrap().is_empty());
    let later = UnixTime::new(NOW.get() + 1);
    assert_eq!(store.write(|db| db.expire_messages(later)).unwrap().len(), 1);
    assert_eq!(fate(&store), Fate::Expired);
    let envelope = EnvelopeId::new([1; 16]);
    store.write(|db| db.set_recipients(BOB, &envelope, &[AUTHOR], NOW)).unwrap();
    assert!(!store.write(|db| db.settle_fate(BOB, &id)).unwrap());
    for (how, fate_then) in [(Reach::Delivered, Fate::Delivered), (Reach::Read, Fate::Read)] {
        assert!(store.write(|db| db.reach(BOB, &envelope, AUTHOR, how, NOW)).unwrap());
        assert!(store.write(|db| db.settle_fate(BOB, &id)).unwrap());
        assert!(
            !store.write(|db| db.reach(BOB, &envelope, AUTHOR, Reach::Delivered, NOW)).unwrap()
        );
        assert_eq!(fate(&store), fate_then);
    }
    assert!(!store.write(|db| db.refuse_message(BOB, &id, Code::Denied)).unwrap());
    assert_eq!(fate(&store), Fate::Read);
}

/// Words are found by their beginnings and without accents; Chinese, Japanese and Korean inside
/// sentences; all words must be there.
#[test]
fn search_finds_words_of_all_scripts() {
    let (_home, mut store) = store();
    let rows = [
        "Meet me at the café tomorrow",
        "明天我们一起去北京吃午饭吧",
        "今日は東京でカレーを食べる",
        "내일 서울에서 만나요",
        "see you in 北京 soon",
    ];
    store
        .write(|db| {
            for (id, text) in (1..).zip(rows) {
                db.put_message(&message(id, Some(u64::from(id)), text))?;
            }
            Ok(())
        })
        .unwrap();
    let found = |words: &str| -> Vec<usize> {
        let hits = store.read().search(words, 10).unwrap();
        hits.iter().map(|hit| rows.iter().position(|row| *row == hit.text).unwrap()).collect()
    };
    assert_eq!(found("cafe"), [0]);
    assert_eq!(found("TOMOR meet"), [0]);
    assert_eq!(found("午饭"), [1]);
    assert_eq!(found("北京"), [4, 1]);
    assert_eq!(found("北京 soon"), [4]);
    assert_eq!(found("東京"), [2]);
    assert_eq!(found("カレー"), [2]);
    assert_eq!(found("서울"), [3]);
    assert_eq!(found("京北"), [] as [usize; 0]);
    assert_eq!(found("cafe 午饭"), [] as [usize; 0]);
    assert_eq!(store.read().search("?!", 10).unwrap_err(), Error::EmptySearch);
}

/// Jobs of one mailbox are done in order; one may wait for another mailbox's, or for a commit.
#[test]
fn jobs_wait_for_what_they_need() {
    let (_home, mut store) = store();
    let job = |mailbox: u8, kind| {
        NewJob::new("restante://relay".to_owned(), MailboxId::new([mailbox; 16]), kind)
    };
    let commit = EnvelopeId::new([9; 16]);
    let runnable = |store: &Store| -> Vec<JobKind> {
        store.read().runnable_jobs().unwrap().iter().map(|job| job.what.kind).collect()
    };
    let (create, allow) = store
        .write(|db| {
            let create = db.put_job(&job(1, JobKind::CreateInbox))?;
            let allow = db.put_job(&job(1, JobKind::AllowContact))?;
            db.put_job(&NewJob {
                after: Some(allow),
                held_by: Some(commit),
                ..job(2, JobKind::Letter)
            })?;
            Ok((create, allow))
        })
        .unwrap();
    assert_eq!(runnable(&store), [JobKind::CreateInbox]);
    store.write(|db| db.finish_job(create)).unwrap();
    assert_eq!(runnable(&store), [JobKind::AllowContact]);
    store.write(|db| db.finish_job(allow)).unwrap();
    assert_eq!(runnable(&store), []);
    store.write(|db| db.release_jobs(&commit)).unwrap();
    assert_eq!(runnable(&store), [JobKind::Letter]);
    store
        .write(|db| db.put_job(&NewJob { held_by: Some(commit), ..job(3, JobKind::Letter) }))
        .unwrap();
    store.write(|db| db.drop_held_jobs(&commit)).unwrap();
    assert_eq!(store.read().runnable_jobs().unwrap().len(), 1);
}

/// A contact is read back as it was written.
#[test]
fn contacts_round_trip() {
    let (_home, mut store) = store();
    let mut contact = ContactRow::new(AUTHOR, ContactState::Incoming);
    contact.nickname = "Bob".to_owned();
    contact.inbox = Some(InboxRef {
        relay: "restante://relay".to_owned(),
        mailbox: LOG,
        key: Zeroizing::new([1; 32]),
    });
    contact.own_key = Some(Zeroizing::new([2; 32]));
    store.write(|db| db.put_contact(&contact)).unwrap();
    contact.state = ContactState::Active;
    store.write(|db| db.put_contact(&contact)).unwrap();
    let read = store.read().need_contact(AUTHOR).unwrap();
    assert!(read == contact);
}

/// The group's state is durable with its transaction: sealed in one, a pending commit in another,
/// both there after opening anew; a transaction that failed left nothing of the group.
#[test]
fn group_state_is_durable_with_its_transaction() {
    let (home, mut store) = store();
    let (account, device) = (AccountKey::generate().unwrap(), DeviceKey::generate().unwrap());
    let certificate = account.certify(&device.public(), DeviceNumber::new(1), NOW, "").unwrap();
    let own = OwnDevice { key: &device, certificate: &certificate };
    let reader = reader_hash(&generate_reader().unwrap());
    let place = RecordPlace {
        mailbox: LOG,
        epoch: Epoch::new([1; 8]),
        envelope: EnvelopeId::new([2; 16]),
        class: EnvelopeClass::Normal,
    };
    for suite in [Suite::Classical, Suite::Hybrid] {
        let mailbox = MailboxId::new([suite.number().to_be_bytes()[1]; 16]);
        let place = RecordPlace { mailbox, ..place };
        let create = |db: Db<'_>| {
            Ok(Conversation::create(&db.provider(), &own, mailbox, suite, &reader, b"state")?)
        };
        let failed: Result<(), Error> = store.write(|db| {
            create(db)?;
            Err(Error::Cloned)
        });
        assert_eq!(failed, Err(Error::Cloned));
        assert!(Conversation::load(&store.read().provider(), mailbox).unwrap().is_none());

        let mut group = store.write(create).unwrap();
        store.write(|db| Ok(group.encrypt(&db.provider(), &own, &place, b"text")?)).unwrap();
        let pending = store.write(|db| Ok(group.update(&db.provider(), &own, &place)?)).unwrap();
        drop((group, store));

        store = Store::open(home.path(), &key()).unwrap();
        let loaded = store.write(|db| Ok(Conversation::load(&db.provider(), mailbox)?));
        let mut group = loaded.unwrap().unwrap();
        let next = group.pending_epoch_key().unwrap().unwrap();
        assert_eq!(next.public(), pending.next_key.public());
        store.write(|db| Ok(group.merge_pending(&db.provider())?)).unwrap();
        assert_eq!(group.epoch_key().unwrap().public(), next.public());
    }
}

/// Of the hashes of a log so many positions are kept; with one more the oldest is dropped.
#[test]
fn log_hashes_have_a_bound() {
    let (_home, mut store) = store();
    let hash = LogHash::new([7; 16]);
    let put = |store: &mut Store, seq| {
        store.write(|db| db.put_log_hash(&LOG, Seq::new(seq), &hash, 3)).unwrap();
    };
    let known = |store: &Store| {
        let here = |seq: &u64| store.read().log_hash(&LOG, Seq::new(*seq)).unwrap().is_some();
        (1..=9).filter(here).collect::<Vec<_>>()
    };
    for seq in [1, 3, 4] {
        put(&mut store, seq);
    }
    assert_eq!(known(&store), [1, 3, 4]);
    put(&mut store, 9);
    assert_eq!(known(&store), [3, 4, 9]);
    store.write(|db| db.forget_log_hashes(&LOG)).unwrap();
    assert!(known(&store).is_empty());
}

/// What held at a position is what was agreed on last before it; before everything that is known
/// it is the oldest; with one state too many the oldest is dropped.
#[test]
fn states_are_found_by_position() {
    let (_home, mut store) = store();
    let at = |generation, seq| LogPosition { generation, seq: Seq::new(seq) };
    let put = |store: &mut Store, place, name: &str| {
        let mut state = GroupState::new(GroupKind::Direct, 1);
        name.clone_into(&mut state.name);
        state.picture = vec![1; 99];
        store.write(|db| db.put_state(BOB, place, &state, 3)).unwrap();
    };
    let name = |store: &Store, place| {
        let state = store.read().state_at(BOB, place).unwrap();
        state.map(|state| (state.name, state.picture.len()))
    };
    let is = |name: &str| Some((name.to_owned(), 0));
    assert_eq!(name(&store, at(1, 5)), None);
    for (place, name) in [(at(1, 4), "first"), (at(2, 2), "third"), (at(1, 9), "second")] {
        put(&mut store, place, name);
    }
    let places = [at(1, 3), at(1, 4), at(1, 8), at(1, 9), at(2, 1), at(2, 2), at(3, 0)];
    let found = places.map(|place| name(&store, place).unwrap().0);
    assert_eq!(found, ["first", "first", "first", "second", "second", "third", "third"]);
    put(&mut store, at(3, 1), "fourth");
    assert_eq!((name(&store, at(1, 4)), name(&store, at(9, 9))), (is("second"), is("fourth")));
}

/// A page brings the reactions of its messages, so many different ones of each and no more.
#[test]
fn reactions_are_bounded_and_of_their_message() {
    let (_home, mut store) = store();
    store.write(|db| db.put_message(&message(1, Some(5), "one"))).unwrap();
    store.write(|db| db.put_message(&message(2, Some(6), "two"))).unwrap();
    let react = |db: Db<'_>, n: u8, target: u8| {
        db.put_act(&ActRow {
            id: EnvelopeId::new([100 + n; 16]),
            conversation: BOB,
            target: MessageId::new([target; 16]),
            author: ContactId::new([n; 16]),
            kind: ActKind::Reaction,
            text: char::from_u32(0x1F600 + u32::from(n)).unwrap().to_string(),
            officer: false,
            at: Some(LogPosition { generation: 1, seq: Seq::new(u64::from(n)) }),
        })
    };
    let most = u8::try_from(crate::limits::REACTIONS_SHOWN).unwrap();
    store.write(|db| (0..most).try_for_each(|n| react(db, n, 1))).unwrap();
    let counts = |store: &Store| {
        let page = store.read().history(BOB, None, 9).unwrap();
        page.iter().map(|message| message.reactions.len()).collect::<Vec<_>>()
    };
    assert_eq!(counts(&store), [usize::from(most), 0]);
    store.write(|db| react(db, most, 1)).unwrap();
    assert_eq!(counts(&store), [usize::from(most), 0]);
}

/// What could not be read gives way to what can be, and to nothing else; a tombstone to nothing.
#[test]
fn readable_message_replaces_an_unreadable_one() {
    let (_home, mut store) = store();
    let unreadable = || NewMessage { kind: MessageKind::Unreadable, ..message(1, Some(5), "") };
    let put = |store: &mut Store, new: &NewMessage<'_>| {
        store.write(|db| db.put_message(new)).unwrap().is_some()
    };
    assert!(put(&mut store, &unreadable()) && !put(&mut store, &unreadable()));
    assert!(put(&mut store, &message(1, Some(5), "found")));
    assert!(!put(&mut store, &message(1, Some(5), "again")) && !put(&mut store, &unreadable()));
    assert_eq!((texts(&store), store.read().search("found", 9).unwrap().len()), {
        (vec!["found".to_owned()], 1)
    });
    store.write(|db| db.bury(BOB, &MessageId::new([1; 16]), Some(AUTHOR))).unwrap();
    assert!(!put(&mut store, &message(1, Some(5), "found")));
    assert_eq!(texts(&store), [""]);
}

/// CNT-16: a tombstone leaves nothing of the message in any table, the index of words among them,
/// and what an edit replaces is wiped too; pages are wiped as rows are.
#[test]
fn buried_message_is_wiped() {
    let (_home, mut store) = store();
    let secret = "the zebra is behind the clock";
    let new = NewMessage { content: secret.as_bytes(), ..message(1, Some(5), secret) };
    store.write(|db| db.put_message(&new)).unwrap();
    let id = MessageId::new([1; 16]);
    assert!(holds(&store, b"zebra") && !holds(&store, b"quagga"));
    store.write(|db| db.set_text(BOB, &id, "the quagga is behind the clock")).unwrap();
    assert!(!holds(&store, b"zebra") && holds(&store, b"quagga"));
    assert_eq!(store.read().search("quagga", 9).unwrap().len(), 1);
    store.write(|db| db.bury(BOB, &id, None)).unwrap();
    assert!(!holds(&store, b"quagga") && !holds(&store, b"clock") && !holds(&store, b"lock"));
    let secure = store.connection.query_row("PRAGMA secure_delete", [], |row| row.get(0));
    assert_eq!(secure, Ok(1));
}

/// Whether some cell of some table holds these bytes.
fn holds(store: &Store, bytes: &[u8]) -> bool {
    let names = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'";
    let mut names = store.connection.prepare(names).unwrap();
    let tables = names.query_map([], |row| row.get::<_, String>(0)).unwrap();
    tables.map(Result::unwrap).any(|table| {
        let mut all = store.connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = all.column_count();
        let mut rows = all.query([]).unwrap();
        let mut found = false;
        while let Some(row) = rows.next().unwrap() {
            found |= (0..columns).any(|n| match row.get_ref(n).unwrap() {
                rusqlite::types::ValueRef::Text(cell) | rusqlite::types::ValueRef::Blob(cell) => {
                    cell.windows(bytes.len()).any(|part| part == bytes)
                }
                _ => false,
            });
        }
        found
    })
}
