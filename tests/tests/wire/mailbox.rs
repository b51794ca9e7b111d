//! What mailboxes promise (MBX, CMD, DLV), against a real relay.

use restante_crypto::{SigningKey, prove_possession};
use restante_spec::codes::Code;
use restante_spec::ids::{ChainNumber, Handle, ReaderSecret, RequestId, Seconds, Seq, Slot};
use restante_spec::message::{
    Allow, Append, Command, Credit, MailboxClass, PrekeyCount, Push, PutPrekeys, Rate, Reply,
    Rights, Terms,
};
use restante_tests::relay::InProcess;
use restante_tests::wire::{Owner, PLENTY, Wire, commit, envelope, random};

use crate::TRANSPORT;

const WRITE: Rights = Rights { read: false, write: true, take: false, manage: false };

fn terms(rights: Rights) -> Terms {
    Terms { rights, expires_at: None, uses: None, rate: None }
}

fn allow(handle: u32, owner: &Owner, key: &SigningKey, terms: Terms) -> Command {
    Command::Allow(Allow {
        handle: Handle::new(handle),
        key: key.public(),
        possession: prove_possession(key, &owner.mailbox),
        terms,
    })
}

/// A relay, and a connection with an open inbox on handle 1.
async fn inbox() -> (InProcess, Wire, Owner) {
    let relay = InProcess::start(&[]).await;
    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    let owner = Owner::new();
    wire.create(MailboxClass::Inbox, &owner).await;
    wire.open(1, owner.mailbox, &owner.key).await;
    (relay, wire, owner)
}

/// A relay, and a connection with an open conversation on handle 1.
async fn conversation() -> (InProcess, Wire, Owner, Option<restante_spec::ids::Epoch>) {
    let relay = InProcess::start(&[]).await;
    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    let owner = Owner::new();
    let created = wire.create(MailboxClass::Conversation, &owner).await;
    wire.open(1, owner.mailbox, &owner.key).await;
    (relay, wire, owner, created.epoch)
}

/// CMD-5, MBX-14: the same creation gives the same answer, another one with the id a conflict.
#[tokio::test]
async fn creation_is_idempotent_by_id_and_first_key() {
    let (relay, mut wire, owner, epoch) = conversation().await;
    assert_eq!(wire.create(MailboxClass::Conversation, &owner).await.epoch, epoch);
    let thief = Owner { mailbox: owner.mailbox, ..Owner::new() };
    let refused = wire.refused(thief.create(MailboxClass::Conversation), b"").await;
    assert_eq!(refused, Code::Conflict);
    let Command::Create(mut forged) = thief.create(MailboxClass::Inbox) else { unreachable!() };
    forged.possession = restante_spec::ids::Signature::new([3; 64]);
    assert_eq!(wire.refused(Command::Create(forged), b"").await, Code::Denied);
    relay.stop().await;
}

/// CMD-8, CMD-11, DLV-1, DLV-4: a letter from a key of its own reaches the inbox's reader.
#[tokio::test]
async fn a_contact_writes_and_the_owner_reads() {
    let (relay, mut wire, owner) = inbox().await;
    let contact = SigningKey::generate().unwrap();
    wire.done(allow(1, &owner, &contact, terms(WRITE)), b"a card").await.unwrap();
    let mut other = Wire::over(TRANSPORT, relay.address()).await;
    let (opened, card) = other.try_open(9, owner.mailbox, &contact).await.unwrap();
    assert_eq!((opened.rights, card.as_ref()), (WRITE, &b"a card"[..]));
    let first = other.append(envelope(9, None), b"one").await.unwrap();
    wire.subscribe(1, &owner.reader, Seq::START, PLENTY).await.unwrap();
    let backlog = wire.backlog().await;
    assert_eq!(backlog.len(), 1);
    assert_eq!((backlog[0].0.seq, backlog[0].1.as_ref()), (first.seq, &b"one"[..]));
    let second = other.append(envelope(9, None), b"two").await.unwrap();
    let (deliver, body) = wire.deliver().await;
    assert_eq!((deliver.seq, deliver.prev, body.as_ref()), (second.seq, first.seq, &b"two"[..]));
    assert!(!deliver.own && deliver.epoch.is_none());
    relay.stop().await;
}

/// MBX-12: each right is needed, and what a key has no right to is denied.
#[tokio::test]
async fn rights_are_checked_at_every_frame() {
    let (relay, mut wire, owner) = inbox().await;
    let contact = SigningKey::generate().unwrap();
    wire.done(allow(1, &owner, &contact, terms(WRITE)), b"").await.unwrap();
    wire.open(2, owner.mailbox, &contact).await;
    let key = contact.public();
    let denied = [
        Command::Revoke { handle: Handle::new(2), key },
        Command::AddReader { handle: Handle::new(2), reader: owner.reader_hash() },
        Command::CountPrekeys(Handle::new(2)),
        Command::Delete(Handle::new(2)),
        allow(2, &owner, &contact, terms(WRITE)),
    ];
    for command in denied {
        assert_eq!(wire.refused(command, b"").await, Code::Denied);
    }
    let subscribed = wire.subscribe(2, &owner.reader, Seq::START, PLENTY).await;
    assert_eq!(subscribed.unwrap_err().code, Code::Denied);
    let append = wire.append(envelope(1, None), b"x").await;
    assert_eq!(append.unwrap_err().code, Code::Denied);
    relay.stop().await;
}

/// CMD-9, MBX-12: a struck key appends nothing after the answer, on a handle opened before.
#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    let (relay, mut wire, owner) = inbox().await;
    let contact = SigningKey::generate().unwrap();
    wire.done(allow(1, &owner, &contact, terms(WRITE)), b"").await.unwrap();
    let mut other = Wire::over(TRANSPORT, relay.address()).await;
    other.open(1, owner.mailbox, &contact).await;
    other.append(envelope(1, None), b"x").await.unwrap();
    let revoke = Command::Revoke { handle: Handle::new(1), key: contact.public() };
    wire.done(revoke.clone(), b"").await.unwrap();
    wire.done(revoke, b"").await.unwrap();
    let refused = other.append(envelope(1, None), b"x").await.unwrap_err();
    assert_eq!(refused.code, Code::Revoked);
    let again = other.try_open(2, owner.mailbox, &contact).await.unwrap_err();
    assert_eq!(again.code, Code::NotFound);
    relay.stop().await;
}

/// MBX-5, MBX-12: a use is one stored append; a repeat costs none, and is answered when none is
/// left.
#[tokio::test]
async fn uses_are_counted_by_stored_appends() {
    let (relay, mut wire, owner) = inbox().await;
    let invite = SigningKey::generate().unwrap();
    let bound = Terms { uses: Some(2), ..terms(WRITE) };
    wire.done(allow(1, &owner, &invite, bound), b"").await.unwrap();
    wire.open(2, owner.mailbox, &invite).await;
    let first = envelope(2, None);
    let stored = wire.append(first.clone(), b"x").await.unwrap();
    assert!(!stored.already);
    let repeated = wire.append(first.clone(), b"x").await.unwrap();
    assert!(repeated.already);
    assert_eq!(repeated.seq, stored.seq);
    wire.append(envelope(2, None), b"y").await.unwrap();
    let spent = Append { chain: ChainNumber::new(2), ..envelope(2, None) };
    assert_eq!(wire.append(spent, b"z").await.unwrap_err().code, Code::Expired);
    assert!(wire.append(first, b"x").await.unwrap().already);
    // Allowed again it has no new uses: the count is kept.
    wire.done(allow(1, &owner, &invite, bound), b"").await.unwrap();
    let spent = Append { chain: ChainNumber::new(3), ..envelope(2, None) };
    assert_eq!(wire.append(spent, b"z").await.unwrap_err().code, Code::Expired);
    relay.stop().await;
}

/// MBX-12: a key that appends too fast is told when to go on.
#[tokio::test]
async fn rates_of_keys_hold() {
    let (relay, mut wire, owner) = inbox().await;
    let key = SigningKey::generate().unwrap();
    let rate = Rate { count: 2, per: Seconds::new(600) };
    let slow = Terms { rate: Some(rate), ..terms(WRITE) };
    wire.done(allow(1, &owner, &key, slow), b"").await.unwrap();
    wire.open(2, owner.mailbox, &key).await;
    wire.append(envelope(2, None), b"x").await.unwrap();
    wire.append(envelope(2, None), b"x").await.unwrap();
    let refused = wire.append(envelope(2, None), b"x").await.unwrap_err();
    assert_eq!(refused.code, Code::Rate);
    assert!(refused.retry_after.is_some_and(|wait| (200..=300).contains(&wait.get())));
    relay.stop().await;
}

/// MBX-6: behind a refused append nothing of its chain is stored, until a new chain begins. MBX-19:
/// a live envelope begins none; once it did, and what was sent behind the refused one was stored.
#[tokio::test]
async fn a_refusal_aborts_the_chain_behind_it() {
    let (relay, mut wire, _owner, epoch) = conversation().await;
    let good = |chain| Append { chain: ChainNumber::new(chain), ..envelope(1, epoch) };
    let stale = Append { epoch: Some(restante_spec::ids::Epoch::new([9; 8])), ..good(1) };
    let live = Append { class: restante_spec::message::EnvelopeClass::Live, ..good(7) };
    let mut numbers = Vec::new();
    for append in [good(1), stale, good(1), live, good(1), good(2)] {
        numbers.push(wire.send(Command::Append(append), b"x").await);
    }
    let mut codes = Vec::new();
    for number in numbers {
        codes.push(wire.appended(number).await.map(|_| ()).map_err(|refusal| refusal.code));
    }
    let (stale, aborted) = (Err(Code::StaleEpoch), Err(Code::Aborted));
    assert_eq!(codes, [Ok(()), stale, aborted, Ok(()), aborted, Ok(())]);
    relay.stop().await;
}

/// MBX-7, MBX-8: of two commits for one epoch one wins; the loser catches up and succeeds.
#[tokio::test]
async fn one_commit_wins_each_epoch() {
    let (relay, mut wire, owner, epoch) = conversation().await;
    let mut rival = Wire::over(TRANSPORT, relay.address()).await;
    rival.open(1, owner.mailbox, &owner.key).await;
    let (ours, theirs) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let first = wire.send(Command::Append(commit(1, epoch, owner.mailbox, &ours)), b"a").await;
    let second = rival.send(Command::Append(commit(1, epoch, owner.mailbox, &theirs)), b"b").await;
    let answers = [wire.appended(first).await, rival.appended(second).await];
    let won = answers.iter().position(Result::is_ok).expect("one wins");
    let lost = answers[1 - won].as_ref().unwrap_err();
    assert_eq!(lost.code, Code::StaleEpoch);
    let next_epoch = answers[won].as_ref().unwrap().epoch;
    let winner = if won == 0 { &ours } else { &theirs };
    let loser = if won == 0 { &mut rival } else { &mut wire };
    let opened = loser.open(2, owner.mailbox, winner).await;
    assert_eq!(opened.epoch, next_epoch);
    let third = SigningKey::generate().unwrap();
    let again =
        Append { chain: ChainNumber::new(2), ..commit(2, next_epoch, owner.mailbox, &third) };
    loser.append(again, b"c").await.unwrap();
    relay.stop().await;
}

/// MBX-8, MBX-10: readers added by a commit stand at it, and miss nothing accepted after it.
#[tokio::test]
async fn added_readers_stand_at_their_commit() {
    let (relay, mut wire, owner, epoch) = conversation().await;
    let next = SigningKey::generate().unwrap();
    let joiner = ReaderSecret::new(random());
    let mut adding = commit(1, epoch, owner.mailbox, &next);
    if let Some(commit) = &mut adding.commit {
        commit.add_readers.push(restante_crypto::reader_hash(&joiner));
    }
    let added = wire.append(adding, b"commit").await.unwrap();
    wire.open(2, owner.mailbox, &next).await;
    let message = wire.append(envelope(2, added.epoch), b"hi").await.unwrap();
    let mut other = Wire::over(TRANSPORT, relay.address()).await;
    other.open(1, owner.mailbox, &next).await;
    other.subscribe(1, &joiner, added.seq, PLENTY).await.unwrap();
    let backlog = other.backlog().await;
    assert_eq!(backlog.len(), 1);
    assert_eq!((backlog[0].0.seq, backlog[0].0.prev), (message.seq, added.seq));
    assert_eq!(backlog[0].0.epoch, added.epoch);
    let stranger = ReaderSecret::new(random());
    let unknown = other.subscribe(1, &stranger, added.seq, PLENTY).await.unwrap_err();
    assert_eq!(unknown.code, Code::Gone, "DLV-8");
    relay.stop().await;
}

/// MBX-9, DLV-5: a subscription of a replaced key gets the commit, then that it is superseded; the
/// key reads its range and writes nothing.
#[tokio::test]
async fn a_replaced_key_reads_to_its_commit_and_no_further() {
    let (relay, mut wire, owner, epoch) = conversation().await;
    wire.subscribe(1, &owner.reader, Seq::START, PLENTY).await.unwrap();
    assert!(wire.backlog().await.is_empty());
    let next = SigningKey::generate().unwrap();
    let ended = wire.append(commit(1, epoch, owner.mailbox, &next), b"commit").await.unwrap();
    let (echo, body) = wire.deliver().await;
    assert!(echo.own && echo.commit && body.is_empty(), "DLV-6");
    assert_eq!(echo.epoch, epoch);
    let (closed, _) = wire.push().await;
    let (handle, upto) = (Handle::new(1), ended.seq);
    assert_eq!(closed, Push::Closed { handle, code: Code::Superseded, upto });
    let late = wire.append(envelope(1, epoch), b"late").await.unwrap_err();
    assert_eq!(late.code, Code::StaleEpoch);
    let opened = wire.open(2, owner.mailbox, &owner.key).await;
    assert_eq!((opened.upto, opened.rights.write), (Some(ended.seq), false));
    wire.subscribe(2, &owner.reader, Seq::START, PLENTY).await.unwrap();
    let (deliver, body) = wire.deliver().await;
    assert_eq!((deliver.seq, body.as_ref()), (ended.seq, &b"commit"[..]));
    relay.stop().await;
}

/// MBX-13: a closing commit ends appends; what is stored stays readable.
#[tokio::test]
async fn a_closing_commit_ends_appends() {
    let (relay, mut wire, owner, epoch) = conversation().await;
    let mut closing = commit(1, epoch, owner.mailbox, &owner.key);
    if let Some(commit) = &mut closing.commit {
        commit.next = None;
    }
    wire.append(closing, b"bye").await.unwrap();
    let late = Append { chain: ChainNumber::new(2), ..envelope(1, epoch) };
    assert_eq!(wire.append(late, b"x").await.unwrap_err().code, Code::StaleEpoch);
    wire.open(2, owner.mailbox, &owner.key).await;
    wire.subscribe(2, &owner.reader, Seq::START, PLENTY).await.unwrap();
    assert_eq!(wire.deliver().await.1.as_ref(), b"bye");
    relay.stop().await;
}

/// DLV-2, CMD-17: credit is spent, granted again, and an ending credit makes a page.
#[tokio::test]
async fn deliveries_stop_at_the_credit_and_go_on_with_more() {
    let (relay, mut wire, owner, epoch) = conversation().await;
    for _ in 0..5 {
        wire.append(envelope(1, epoch), b"12345").await.unwrap();
    }
    let two = Credit { envelopes: 2, bytes: 1_000 };
    wire.subscribe(1, &owner.reader, Seq::START, two).await.unwrap();
    wire.deliver().await;
    wire.deliver().await;
    wire.done(Command::Ping, b"").await.unwrap();
    assert_eq!(wire.pushed(), 0, "no more than was granted");
    wire.send(Command::Credit { handle: Handle::new(1), credit: PLENTY }, b"").await;
    assert_eq!(wire.backlog().await.len(), 3);
    let none = Command::Credit { handle: Handle::new(7), credit: PLENTY };
    assert_eq!(wire.refused(none, b"").await, Code::NotFound);
    relay.stop().await;
}

/// DLV-2, DLV-4: bytes that end within the last page end nothing for good: with more credit the
/// rest comes, and only then is it told that this is all.
#[tokio::test]
async fn deliveries_go_on_after_the_bytes_ended_within_a_page() {
    let (relay, mut wire, owner, epoch) = conversation().await;
    for _ in 0..5 {
        wire.append(envelope(1, epoch), b"12345").await.unwrap();
    }
    let few = Credit { envelopes: 100, bytes: 7 };
    wire.subscribe(1, &owner.reader, Seq::START, few).await.unwrap();
    wire.deliver().await;
    wire.deliver().await;
    wire.done(Command::Ping, b"").await.unwrap();
    assert_eq!(wire.pushed(), 0, "no more than was granted, and not the end");
    wire.send(Command::Credit { handle: Handle::new(1), credit: PLENTY }, b"").await;
    assert_eq!(wire.backlog().await.len(), 3);
    relay.stop().await;
}

/// MBX-5, MBX-8: a commit whose answer was lost is repeated with the key it has replaced.
#[tokio::test]
async fn a_commit_is_repeated_with_its_replaced_key() {
    let (relay, mut wire, owner, epoch) = conversation().await;
    let next = SigningKey::generate().unwrap();
    let commit = commit(1, epoch, owner.mailbox, &next);
    let first = wire.append(commit.clone(), b"commit").await.unwrap();
    let again = wire.append(commit, b"commit").await.unwrap();
    assert!(again.already);
    assert_eq!((again.seq, again.epoch), (first.seq, first.epoch));
    let other = SigningKey::generate().unwrap();
    let late = restante_tests::wire::commit(1, epoch, owner.mailbox, &other);
    assert_eq!(wire.append(late, b"late").await.unwrap_err().code, Code::StaleEpoch);
    relay.stop().await;
}

/// DLV-3: acknowledging lets go, repeats change nothing, what was not delivered is `ack_ahead`.
#[tokio::test]
async fn acknowledgements_let_go_and_never_run_ahead() {
    let (relay, mut wire, owner, epoch) = conversation().await;
    let first = wire.append(envelope(1, epoch), b"1").await.unwrap();
    let second = wire.append(envelope(1, epoch), b"2").await.unwrap();
    let ahead = Seq::new(second.seq.get() + 1);
    let refused = wire.subscribe(1, &owner.reader, ahead, PLENTY).await.unwrap_err();
    assert_eq!(refused.code, Code::AckAhead);
    wire.subscribe(1, &owner.reader, Seq::START, PLENTY).await.unwrap();
    assert_eq!(wire.backlog().await.len(), 2);
    let ack = Command::Ack { handle: Handle::new(1), upto: ahead };
    assert_eq!(wire.refused(ack, b"").await, Code::AckAhead);
    wire.ack(1, first.seq).await;
    wire.ack(1, first.seq).await;
    wire.subscribe(1, &owner.reader, first.seq, PLENTY).await.unwrap();
    let rest = wire.backlog().await;
    assert_eq!(rest.iter().map(|(d, _)| d.seq).collect::<Vec<_>>(), [second.seq]);
    relay.stop().await;
}

/// DLV-7: a new subscription on a handle takes the place of the old one.
#[tokio::test]
async fn a_new_subscription_replaces_the_old_one() {
    let (relay, mut wire, owner, epoch) = conversation().await;
    wire.subscribe(1, &owner.reader, Seq::START, PLENTY).await.unwrap();
    wire.backlog().await;
    wire.subscribe(1, &owner.reader, Seq::START, PLENTY).await.unwrap();
    wire.backlog().await;
    wire.append(envelope(1, epoch), b"once").await.unwrap();
    wire.deliver().await;
    wire.done(Command::Ping, b"").await.unwrap();
    assert_eq!(wire.pushed(), 0, "delivered once");
    relay.stop().await;
}

/// MBX-11: a TTL above the mailbox's is clamped, and the answer says so; a short one is exact.
#[tokio::test]
async fn ttl_is_clamped_and_told() {
    let (relay, mut wire, _owner, epoch) = conversation().await;
    let long = Append { ttl: Some(Seconds::new(u32::MAX)), ..envelope(1, epoch) };
    let usual = wire.append(envelope(1, epoch), b"x").await.unwrap();
    let clamped = wire.append(long, b"x").await.unwrap();
    assert!(clamped.expires_at.get() - usual.expires_at.get() < 10);
    let short = Append { ttl: Some(Seconds::new(60)), ..envelope(1, epoch) };
    let short = wire.append(short, b"x").await.unwrap();
    assert!(short.expires_at.get() <= wire.welcome.now.get() + 70);
    relay.stop().await;
}

/// CMD-13 to CMD-15: each prekey is given once, the same request repeats, then the last resort.
#[tokio::test]
async fn prekeys_are_given_at_most_once() {
    let (relay, mut wire, owner) = inbox().await;
    let slot = Slot::new(0x0001_004e);
    let handle = Handle::new(1);
    let put = |sizes: Vec<u32>, last_resort| {
        Command::PutPrekeys(PutPrekeys { handle, slot, sizes, last_resort })
    };
    wire.done(put(vec![3, 4], false), b"onetwo2").await.unwrap();
    wire.done(put(vec![4], true), b"last").await.unwrap();
    assert_eq!(wire.refused(put(vec![3], false), b"four").await, Code::Malformed);
    wire.closed().await;
    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    wire.open(1, owner.mailbox, &owner.key).await;
    let contact = SigningKey::generate().unwrap();
    let take = Rights { take: true, ..Rights::default() };
    wire.done(allow(1, &owner, &contact, terms(take)), b"").await.unwrap();
    wire.open(2, owner.mailbox, &contact).await;
    let ask = |request| Command::TakePrekeys { handle: Handle::new(2), slot, request };
    let first = RequestId::new(random());
    let mut given = Vec::new();
    for request in [first, first, RequestId::new(random()), RequestId::new(random())] {
        let (reply, package) = wire.ask(ask(request), b"").await;
        let Reply::Prekey { last_resort } = reply else { panic!("{reply:?}") };
        given.push((package.to_vec(), last_resort));
    }
    let expected = [("one", false), ("one", false), ("two2", false), ("last", true)];
    assert_eq!(given, expected.map(|(name, last)| (name.as_bytes().to_vec(), last)));
    let (counts, _) = wire.ask(Command::CountPrekeys(Handle::new(1)), b"").await;
    let count = PrekeyCount { slot, count: 0, last_resort: true };
    assert_eq!(counts, Reply::PrekeyCounts(vec![count]));
    relay.stop().await;
}

/// CMD-10: a new device's reader is registered once, and stands at now.
#[tokio::test]
async fn a_registered_reader_stands_at_now() {
    let (relay, mut wire, owner) = inbox().await;
    let contact = SigningKey::generate().unwrap();
    wire.done(allow(1, &owner, &contact, terms(WRITE)), b"").await.unwrap();
    wire.open(2, owner.mailbox, &contact).await;
    wire.append(envelope(2, None), b"before").await.unwrap();
    let device = ReaderSecret::new(random());
    let reader = restante_crypto::reader_hash(&device);
    let add = Command::AddReader { handle: Handle::new(1), reader };
    wire.done(add.clone(), b"").await.unwrap();
    wire.done(add, b"").await.unwrap();
    wire.subscribe(1, &owner.reader, Seq::START, PLENTY).await.unwrap();
    assert_eq!(wire.backlog().await.len(), 1);
    relay.stop().await;
}

/// CMD-16: a deleted mailbox is gone for everyone, and its subscriptions end.
#[tokio::test]
async fn deletion_ends_everything() {
    let (relay, mut wire, owner) = inbox().await;
    let mut other = Wire::over(TRANSPORT, relay.address()).await;
    other.open(1, owner.mailbox, &owner.key).await;
    other.subscribe(1, &owner.reader, Seq::START, PLENTY).await.unwrap();
    other.backlog().await;
    wire.done(Command::Delete(Handle::new(1)), b"").await.unwrap();
    let (closed, _) = other.push().await;
    assert!(matches!(closed, Push::Closed { code: Code::NotFound, .. }), "{closed:?}");
    let count = other.refused(Command::CountPrekeys(Handle::new(1)), b"").await;
    assert_eq!(count, Code::NotFound);
    let gone = wire.try_open(2, owner.mailbox, &owner.key).await.unwrap_err();
    assert_eq!(gone.code, Code::NotFound);
    wire.create(MailboxClass::Inbox, &owner).await;
    relay.stop().await;
}

/// MBX-21: a memory-first conversation brings what is appended before it is accepted, and accepts
/// it when its reader has confirmed it, or when it is written; `open` says what it is.
#[tokio::test]
async fn a_memory_first_conversation_brings_first_and_accepts_then() {
    let relay = InProcess::start(&[]).await;
    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    let owner = Owner::new();
    let created = wire.created(owner.create_memory_first(MailboxClass::Conversation)).await;
    assert!(wire.open(1, owner.mailbox, &owner.key).await.memory_first);
    let mut reader = Wire::over(TRANSPORT, relay.address()).await;
    reader.open(1, owner.mailbox, &owner.key).await;
    reader.subscribe(1, &owner.reader, Seq::START, PLENTY).await.unwrap();
    assert!(reader.backlog().await.is_empty());
    let mut last = Seq::START;
    for confirms in [true, false, true] {
        let number = wire.send(Command::Append(envelope(1, created.epoch)), b"sealed").await;
        let (deliver, body) = reader.deliver().await;
        assert_eq!((deliver.prev, body.as_ref()), (last, &b"sealed"[..]));
        last = deliver.seq;
        if confirms {
            reader.send(Command::Ack { handle: Handle::new(1), upto: last }, b"").await;
        }
        let appended = wire.appended(number).await.unwrap();
        assert_eq!((appended.seq, appended.already), (last, false));
    }
    let room = Owner::new().create_memory_first(MailboxClass::Room);
    assert_eq!(wire.refused(room, b"").await, Code::Unsupported);
    relay.stop().await;
}
