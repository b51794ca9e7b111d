//! The live class and rooms (MBX-17 to MBX-19, DLV-9, DLV-10), against a real relay.

use restante_crypto::{SigningKey, prove_possession};
use restante_spec::codes::Code;
use restante_spec::ids::{ChainNumber, Epoch, Handle, ReaderSecret, Seconds, Seq, UnixTime};
use restante_spec::limits;
use restante_spec::message::{
    Allow, Append, Appended, Command, Credit, EnvelopeClass, MailboxClass, Push, Rights, Terms,
};
use restante_tests::relay::InProcess;
use restante_tests::wire::{Owner, PLENTY, Wire, commit, envelope, random};

use crate::TRANSPORT;

const WRITE: Rights = Rights { read: false, write: true, take: false, manage: false };
const READ: Rights = Rights { read: true, write: false, take: false, manage: false };
/// What a live append is answered, whoever is there.
const PASSED_ON: Appended =
    Appended { seq: Seq::START, expires_at: UnixTime::new(0), already: false, epoch: None };

fn allow(owner: &Owner, key: &SigningKey, rights: Rights) -> Command {
    let terms = Terms { rights, expires_at: None, uses: None, rate: None };
    let possession = prove_possession(key, &owner.mailbox);
    Command::Allow(Allow { handle: Handle::new(1), key: key.public(), possession, terms })
}

/// A live envelope with a new id.
fn live(handle: u32, epoch: Option<Epoch>) -> Append {
    Append { class: EnvelopeClass::Live, ..envelope(handle, epoch) }
}

/// A conversation with a writer on handle 1, and a reader that has everything.
struct Talk {
    relay: InProcess,
    owner: Owner,
    epoch: Option<Epoch>,
    writer: Wire,
    reader: Wire,
}

impl Talk {
    async fn begin(credit: Credit) -> Self {
        let relay = InProcess::start(&[]).await;
        let owner = Owner::new();
        let mut writer = Wire::over(TRANSPORT, relay.address()).await;
        let epoch = writer.create(MailboxClass::Conversation, &owner).await.epoch;
        writer.open(1, owner.mailbox, &owner.key).await;
        let mut reader = Wire::over(TRANSPORT, relay.address()).await;
        reader.open(1, owner.mailbox, &owner.key).await;
        reader.subscribe(1, &owner.reader, Seq::START, credit).await.unwrap();
        assert!(reader.backlog().await.is_empty());
        Self { relay, owner, epoch, writer, reader }
    }

    async fn say(&mut self, append: Append, body: &[u8]) -> Appended {
        self.writer.append(append, body).await.unwrap()
    }
}

/// MBX-19, DLV-9: whoever is online gets it, without a number; it is stored nowhere, does not come
/// back, and the answer is the same when nobody is there.
#[tokio::test]
async fn live_envelopes_reach_who_is_online_and_nobody_else() {
    let mut talk = Talk::begin(PLENTY).await;
    talk.writer.subscribe(1, &talk.owner.reader, Seq::START, PLENTY).await.unwrap();
    talk.writer.backlog().await;
    let sent = live(1, talk.epoch);
    assert_eq!(talk.say(sent.clone(), b"typing").await, PASSED_ON);
    let (deliver, body) = talk.reader.deliver().await;
    assert_eq!((deliver.id, deliver.class, deliver.own), (sent.id, EnvelopeClass::Live, false));
    assert_eq!((deliver.seq, deliver.prev, deliver.epoch), (Seq::START, Seq::START, talk.epoch));
    assert_eq!((deliver.expires_at, body.as_ref()), (UnixTime::new(0), &b"typing"[..]));
    // Its id is not remembered: the same again is passed on again.
    assert_eq!(talk.say(sent, b"typing").await, PASSED_ON);
    assert_eq!(talk.reader.deliver().await.1.as_ref(), b"typing");
    let stored = talk.say(envelope(1, talk.epoch), b"words").await;
    let (deliver, _) = talk.reader.deliver().await;
    assert_eq!((deliver.seq, deliver.prev), (stored.seq, Seq::START), "no number was spent on it");
    let (echo, _) = talk.writer.deliver().await;
    assert_eq!((echo.seq, echo.own), (stored.seq, true), "no echo of a live one");
    talk.reader.cut();
    let mut late = Wire::over(TRANSPORT, talk.relay.address()).await;
    late.open(1, talk.owner.mailbox, &talk.owner.key).await;
    late.subscribe(1, &talk.owner.reader, Seq::START, PLENTY).await.unwrap();
    let backlog = late.backlog().await;
    assert_eq!(backlog.iter().map(|(d, _)| d.seq).collect::<Vec<_>>(), [stored.seq]);
    late.cut();
    assert_eq!(talk.writer.append(live(1, talk.epoch), b"typing").await.unwrap(), PASSED_ON);
    talk.relay.stop().await;
}

/// MBX-19: no live envelopes in inboxes, no live commits, none under another epoch; each needs the
/// right to write.
#[tokio::test]
async fn live_envelopes_need_the_current_epoch_and_no_inbox() {
    let mut talk = Talk::begin(PLENTY).await;
    let next = SigningKey::generate().unwrap();
    let mailbox = talk.owner.mailbox;
    let committing = Append { class: EnvelopeClass::Live, ..commit(1, talk.epoch, mailbox, &next) };
    let refused = talk.writer.append(committing, b"").await.unwrap_err();
    assert_eq!(refused.code, Code::Unsupported);
    for epoch in [None, Some(Epoch::new([9; 8]))] {
        let refused = talk.writer.append(live(1, epoch), b"").await.unwrap_err();
        assert_eq!(refused.code, Code::StaleEpoch);
    }
    let begun = talk.say(commit(1, talk.epoch, mailbox, &next), b"commit").await;
    let refused = talk.writer.append(live(1, begun.epoch), b"").await.unwrap_err();
    assert_eq!(refused.code, Code::StaleEpoch, "a replaced key");
    talk.writer.open(2, mailbox, &next).await;
    assert_eq!(talk.say(live(2, begun.epoch), b"").await, PASSED_ON);

    let inbox = Owner::new();
    talk.writer.create(MailboxClass::Inbox, &inbox).await;
    let contact = SigningKey::generate().unwrap();
    let mut wire = Wire::over(TRANSPORT, talk.relay.address()).await;
    wire.open(1, inbox.mailbox, &inbox.key).await;
    assert_eq!(wire.append(live(1, None), b"").await.unwrap_err().code, Code::Denied);
    wire.done(allow(&inbox, &contact, WRITE), b"").await.unwrap();
    wire.open(2, inbox.mailbox, &contact).await;
    assert_eq!(wire.append(live(2, None), b"").await.unwrap_err().code, Code::Unsupported);
    talk.relay.stop().await;
}

/// MBX-19, MBX-6: a live envelope belongs to no chain: refused, it aborts nothing, and a broken
/// chain does not stop it.
#[tokio::test]
async fn live_envelopes_belong_to_no_chain() {
    let mut talk = Talk::begin(PLENTY).await;
    let stale = |append: Append| Append { epoch: Some(Epoch::new([9; 8])), ..append };
    let epoch = talk.epoch;
    let mut numbers = Vec::new();
    for append in [
        stale(live(1, epoch)),
        envelope(1, epoch),
        stale(envelope(1, epoch)),
        live(1, epoch),
        envelope(1, epoch),
    ] {
        numbers.push(talk.writer.send(Command::Append(append), b"x").await);
    }
    let mut codes = Vec::new();
    for number in numbers {
        codes.push(talk.writer.appended(number).await.map(|_| ()).map_err(|no| no.code));
    }
    let (stale, aborted) = (Err(Code::StaleEpoch), Err(Code::Aborted));
    assert_eq!(codes, [stale, Ok(()), stale, Ok(()), aborted]);
    talk.relay.stop().await;
}

/// LIM-15: the burst passes, one more waits, and stored envelopes are not held up by it.
#[tokio::test]
async fn live_envelopes_are_bounded_in_rate() {
    let mut talk = Talk::begin(PLENTY).await;
    let mut refused = None;
    for sent in 0..4 * limits::LIVE_BURST {
        if let Err(refusal) = talk.writer.append(live(1, talk.epoch), b"x").await {
            refused = Some((sent, refusal));
            break;
        }
    }
    let (at, refusal) = refused.expect("a bound");
    assert_eq!(refusal.code, Code::Rate);
    assert!(at >= limits::LIVE_BURST, "the burst passes, refused at {at}");
    assert_eq!(refusal.retry_after, Some(Seconds::new(1)));
    talk.say(envelope(1, talk.epoch), b"stored").await;
    let mut stored = 0;
    for _ in 0..=at {
        let (deliver, _) = talk.reader.deliver().await;
        stored += usize::from(deliver.class == EnvelopeClass::Normal);
    }
    assert_eq!(stored, 1, "beside all that were taken");
    talk.relay.stop().await;
}

/// DLV-9: without credit a live envelope is dropped for that reader; with it, it costs none.
#[tokio::test]
async fn live_envelopes_need_credit_and_spend_none() {
    let mut talk = Talk::begin(Credit { envelopes: 1, bytes: 5 }).await;
    for body in [b"1", b"2"] {
        talk.say(live(1, talk.epoch), body).await;
        assert_eq!(talk.reader.deliver().await.1.as_ref(), body);
    }
    talk.say(envelope(1, talk.epoch), b"stored").await;
    assert_eq!(talk.reader.deliver().await.1.as_ref(), b"stored");
    talk.say(live(1, talk.epoch), b"dropped").await;
    talk.say(envelope(1, talk.epoch), b"later").await;
    let more = Command::Credit { handle: Handle::new(1), credit: PLENTY };
    talk.reader.send(more, b"").await;
    assert_eq!(talk.reader.deliver().await.1.as_ref(), b"later");
    talk.say(live(1, talk.epoch), b"again").await;
    assert_eq!(talk.reader.deliver().await.1.as_ref(), b"again");
    talk.relay.stop().await;
}

/// DLV-9, DLV-5: whoever reads with a replaced key gets nothing live of the epochs behind it.
#[tokio::test]
async fn replaced_keys_get_nothing_live() {
    let mut talk = Talk::begin(PLENTY).await;
    let next = SigningKey::generate().unwrap();
    let mailbox = talk.owner.mailbox;
    let begun = talk.say(commit(1, talk.epoch, mailbox, &next), b"commit").await;
    let mut old = Wire::over(TRANSPORT, talk.relay.address()).await;
    old.open(1, mailbox, &talk.owner.key).await;
    // Without credit the subscription stays open before the end of its range.
    let stranger = ReaderSecret::new(random());
    old.subscribe(1, &stranger, Seq::START, Credit::default()).await.unwrap();
    talk.writer.open(2, mailbox, &next).await;
    let behind = Append { chain: ChainNumber::new(2), ..live(2, begun.epoch) };
    assert_eq!(talk.say(behind, b"secret").await, PASSED_ON);
    old.send(Command::Credit { handle: Handle::new(1), credit: PLENTY }, b"").await;
    assert_eq!(old.deliver().await.1.as_ref(), b"commit");
    assert!(matches!(old.push().await.0, Push::CaughtUp { .. }));
    let (closed, _) = old.push().await;
    assert!(matches!(closed, Push::Closed { code: Code::Superseded, .. }), "{closed:?}");
    old.done(Command::Ping, b"").await.unwrap();
    assert_eq!(old.pushed(), 0, "nothing else");
    talk.relay.stop().await;
}

/// A room with its manager on handle 1 and a host on handle 2 of one connection, and a key of the
/// audience.
struct Room {
    relay: InProcess,
    owner: Owner,
    host: Wire,
    audience: SigningKey,
}

impl Room {
    async fn begin(flags: &[&str]) -> Self {
        let relay = InProcess::start(flags).await;
        let (owner, audience) = (Owner::new(), SigningKey::generate().unwrap());
        let mut host = Wire::over(TRANSPORT, relay.address()).await;
        assert_eq!(host.create(MailboxClass::Room, &owner).await.epoch, None);
        let opened = host.open(1, owner.mailbox, &owner.key).await;
        let manager = Rights { read: true, manage: true, ..Rights::default() };
        assert_eq!((opened.class, opened.rights), (MailboxClass::Room, manager));
        let key = SigningKey::generate().unwrap();
        host.done(allow(&owner, &key, WRITE), b"").await.unwrap();
        host.open(2, owner.mailbox, &key).await;
        host.done(allow(&owner, &audience, READ), b"").await.unwrap();
        Self { relay, owner, host, audience }
    }

    /// Somebody of the audience, on handle 1.
    async fn join(&self, after: Seq, credit: Credit) -> Wire {
        let mut wire = Wire::over(TRANSPORT, self.relay.address()).await;
        wire.open(1, self.owner.mailbox, &self.audience).await;
        wire.subscribe(1, &anyone(), after, credit).await.unwrap();
        wire
    }

    async fn say(&mut self, append: Append, body: &[u8]) -> Appended {
        self.host.append(append, body).await.unwrap()
    }
}

/// A reader's secret that was registered nowhere.
fn anyone() -> ReaderSecret {
    ReaderSecret::new(random())
}

fn seqs(deliveries: &[(restante_spec::message::Deliver, bytes::Bytes)]) -> Vec<Seq> {
    deliveries.iter().map(|(deliver, _)| deliver.seq).collect()
}

/// MBX-17, DLV-8: who is there hears the host, who joins later gets what is kept, and nobody is
/// registered; a position goes on where it was.
#[tokio::test]
async fn a_room_is_heard_by_who_is_there_and_who_joins_later() {
    let mut room = Room::begin(&[]).await;
    let mut early = room.join(Seq::START, PLENTY).await;
    assert!(early.backlog().await.is_empty());
    let first = room.say(envelope(2, None), b"one").await;
    room.say(live(2, None), b"now").await;
    let second = room.say(envelope(2, None), b"two").await;
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(early.deliver().await);
    }
    // A live one may overtake a stored one.
    heard.sort_by_key(|(deliver, _)| deliver.seq);
    assert_eq!(heard[0].1.as_ref(), b"now");
    assert_eq!(seqs(&heard[1..]), [first.seq, second.seq]);
    assert_eq!(heard[2].0.prev, first.seq);
    early.ack(1, second.seq).await;
    let ahead = Seq::new(second.seq.get() + 1);
    let ack = Command::Ack { handle: Handle::new(1), upto: ahead };
    assert_eq!(early.refused(ack, b"").await, Code::AckAhead);
    // Acknowledged by one, it is there for the others.
    let mut late = room.join(Seq::START, PLENTY).await;
    assert_eq!(seqs(&late.backlog().await), [first.seq, second.seq]);
    let mut back = room.join(first.seq, PLENTY).await;
    assert_eq!(seqs(&back.backlog().await), [second.seq]);
    let refused = back.subscribe(1, &anyone(), ahead, PLENTY).await.unwrap_err();
    assert_eq!(refused.code, Code::AckAhead);
    room.relay.stop().await;
}

/// MBX-17, MBX-12: what a room does not have, and what its keys may not do.
#[tokio::test]
async fn rooms_have_no_readers_epochs_or_commits() {
    let mut room = Room::begin(&[]).await;
    let reader = room.owner.reader_hash();
    let add = Command::AddReader { handle: Handle::new(1), reader };
    assert_eq!(room.host.refused(add, b"").await, Code::Unsupported);
    let epoch = Some(Epoch::new([1; 8]));
    let next = SigningKey::generate().unwrap();
    let cases = [
        (envelope(2, epoch), Code::Unsupported),
        (live(2, epoch), Code::Unsupported),
        (commit(2, None, room.owner.mailbox, &next), Code::Unsupported),
        (envelope(1, None), Code::Denied),
        (live(1, None), Code::Denied),
    ];
    for (append, code) in cases {
        let append = Append { chain: ChainNumber::new(u32::from_be_bytes(random())), ..append };
        assert_eq!(room.host.append(append, b"x").await.unwrap_err().code, code);
    }
    let mut listener = room.join(Seq::START, PLENTY).await;
    for append in [envelope(1, None), live(1, None)] {
        assert_eq!(listener.append(append, b"x").await.unwrap_err().code, Code::Denied);
    }
    let revoke = Command::Revoke { handle: Handle::new(1), key: next.public() };
    assert_eq!(listener.refused(revoke, b"").await, Code::Denied);
    let subscribed = room.host.subscribe(2, &anyone(), Seq::START, PLENTY).await;
    assert_eq!(subscribed.unwrap_err().code, Code::Denied);
    assert_eq!(room.host.create(MailboxClass::Room, &room.owner).await.epoch, None, "MBX-14");
    let other = room.owner.create(MailboxClass::Inbox);
    assert_eq!(room.host.refused(other, b"").await, Code::Conflict);
    room.relay.stop().await;
}

/// MBX-17, MBX-12, CMD-9: the audience is muted by its write key, and speaks again with it; hosts
/// go on all the while.
#[tokio::test]
async fn the_audience_is_muted_and_unmuted_by_its_key() {
    let mut room = Room::begin(&[]).await;
    let voice = SigningKey::generate().unwrap();
    let speak = allow(&room.owner, &voice, WRITE);
    room.host.done(speak.clone(), b"").await.unwrap();
    let mut guest = Wire::over(TRANSPORT, room.relay.address()).await;
    guest.open(1, room.owner.mailbox, &voice).await;
    guest.append(envelope(1, None), b"hello").await.unwrap();
    assert_eq!(guest.append(live(1, None), b"typing").await, Ok(PASSED_ON));
    let mute = Command::Revoke { handle: Handle::new(1), key: voice.public() };
    room.host.done(mute, b"").await.unwrap();
    for append in [envelope(1, None), live(1, None)] {
        assert_eq!(guest.append(append, b"x").await.unwrap_err().code, Code::Revoked);
    }
    room.say(envelope(2, None), b"quiet, please").await;
    room.host.done(speak, b"").await.unwrap();
    let again = Append { chain: ChainNumber::new(2), ..envelope(1, None) };
    guest.append(again, b"thanks").await.unwrap();
    let mut listener = room.join(Seq::START, PLENTY).await;
    let bodies: Vec<_> = listener.backlog().await.into_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies, ["hello", "quiet, please", "thanks"]);
    room.relay.stop().await;
}

/// DLV-10, CMD-9: a read key that is struck, or allowed anew without `read`, ends what is
/// subscribed with it; a later envelope does not come.
#[tokio::test]
async fn subscriptions_end_with_the_right_to_read() {
    let mut room = Room::begin(&[]).await;
    let mut listener = room.join(Seq::START, PLENTY).await;
    listener.backlog().await;
    room.host.done(allow(&room.owner, &room.audience, WRITE), b"").await.unwrap();
    room.say(envelope(2, None), b"not for you").await;
    let closed = |code| Push::Closed { handle: Handle::new(1), code, upto: Seq::START };
    assert_eq!(listener.push().await.0, closed(Code::Denied));
    room.host.done(allow(&room.owner, &room.audience, READ), b"").await.unwrap();
    listener.subscribe(1, &anyone(), Seq::START, PLENTY).await.unwrap();
    assert_eq!(listener.backlog().await.len(), 1);
    // Allowed anew with the same right it goes on.
    room.host.done(allow(&room.owner, &room.audience, READ), b"").await.unwrap();
    room.say(envelope(2, None), b"for you").await;
    assert_eq!(listener.deliver().await.1.as_ref(), b"for you");
    let revoke = Command::Revoke { handle: Handle::new(1), key: room.audience.public() };
    room.host.done(revoke, b"").await.unwrap();
    room.say(envelope(2, None), b"not for you").await;
    room.say(live(2, None), b"nor this").await;
    assert_eq!(listener.push().await.0, closed(Code::Revoked));
    let again = listener.subscribe(1, &anyone(), Seq::START, PLENTY).await.unwrap_err();
    assert_eq!(again.code, Code::Revoked);
    let refused = listener.try_open(2, room.owner.mailbox, &room.audience).await.unwrap_err();
    assert_eq!(refused.code, Code::NotFound);
    room.relay.stop().await;
}

/// LIM-17, MBX-18: with as many as may be kept all are, with one more the oldest is not.
#[tokio::test]
async fn a_tail_is_bounded_in_envelopes() {
    let mut room = Room::begin(&["--mailbox-entries", "80"]).await;
    let mut all = Vec::new();
    for _ in 0..40 {
        all.push(room.say(envelope(2, None), b"x").await.seq);
    }
    assert_eq!(seqs(&room.join(Seq::START, PLENTY).await.backlog().await), all);
    for _ in 0..3 {
        all.push(room.say(envelope(2, None), b"x").await.seq);
        let kept = room.join(Seq::START, PLENTY).await.backlog().await;
        assert_eq!(seqs(&kept), all[all.len() - 40..]);
        assert_eq!(kept[0].0.prev, all[all.len() - 41], "the gap shows");
    }
    // Many more than the mailbox could hold at once: nothing of it is an error.
    for _ in 0..200 {
        room.say(envelope(2, None), b"x").await;
    }
    room.relay.stop().await;
}

/// LIM-17, MBX-18: the same in bytes.
#[tokio::test]
async fn a_tail_is_bounded_in_bytes() {
    let mut room = Room::begin(&[]).await;
    let bound = usize::try_from(limits::TAIL_BYTES).unwrap();
    let mut sizes = vec![limits::BODY_BYTES; bound / limits::BODY_BYTES];
    sizes.push(bound % limits::BODY_BYTES);
    let mut all = Vec::new();
    for size in sizes {
        all.push(room.say(envelope(2, None), &vec![7; size]).await.seq);
    }
    let lots = Credit { envelopes: 1_024, bytes: limits::CREDIT_BYTES };
    assert_eq!(seqs(&room.join(Seq::START, lots).await.backlog().await), all);
    all.push(room.say(envelope(2, None), b"x").await.seq);
    assert_eq!(seqs(&room.join(Seq::START, lots).await.backlog().await), all[1..]);
    room.relay.stop().await;
}

/// MBX-18, DLV-1: a reader that is too slow for the tail goes on behind a gap, which it sees.
#[tokio::test]
async fn a_slow_reader_sees_its_gap() {
    let mut room = Room::begin(&["--mailbox-entries", "66"]).await;
    let mut slow = room.join(Seq::START, Credit { envelopes: 1, bytes: 100 }).await;
    slow.backlog().await;
    let mut all = Vec::new();
    for _ in 0..40 {
        all.push(room.say(envelope(2, None), b"x").await.seq);
    }
    assert_eq!(slow.deliver().await.0.seq, all[0]);
    // What was let go is away when the next two changes of the room are durable: letting go is one
    // act at a time.
    for _ in 0..2 {
        let key = SigningKey::generate().unwrap();
        room.host.done(allow(&room.owner, &key, READ), b"").await.unwrap();
    }
    slow.send(Command::Credit { handle: Handle::new(1), credit: PLENTY }, b"").await;
    let (deliver, _) = slow.deliver().await;
    assert_eq!((deliver.seq, deliver.prev), (all[7], all[6]));
    assert!(deliver.prev > all[0], "a gap");
    room.relay.stop().await;
}

/// DLV-1, DLV-9: more listeners than are told at once hear every word once, in order, and one who
/// joins meanwhile misses none.
#[tokio::test]
async fn a_large_audience_hears_everything_in_order() {
    let mut room = Room::begin(&["--connections-per-prefix", "400"]).await;
    let mut audience = Vec::new();
    for _ in 0..200 {
        let mut listener = room.join(Seq::START, PLENTY).await;
        assert!(listener.backlog().await.is_empty());
        audience.push(listener);
    }
    let mut all = Vec::new();
    for round in 0..20 {
        let appended = room.say(envelope(2, None), &vec![round; 1_024]).await;
        all.push(appended.seq);
        if round % 10 == 0 {
            audience.push(room.join(Seq::START, PLENTY).await);
        }
    }
    for listener in &mut audience {
        let mut heard = Vec::new();
        while heard.len() < all.len() {
            heard.push(listener.deliver().await.0);
        }
        assert_eq!(heard.iter().map(|deliver| deliver.seq).collect::<Vec<_>>(), all);
        assert!(heard.windows(2).all(|pair| pair[1].prev == pair[0].seq));
    }
    let revoke = Command::Revoke { handle: Handle::new(1), key: room.audience.public() };
    room.host.done(revoke, b"").await.unwrap();
    room.say(envelope(2, None), b"not for you").await;
    for listener in &mut audience {
        loop {
            match listener.push().await.0 {
                Push::CaughtUp { .. } => {}
                Push::Closed { code, .. } => break assert_eq!(code, Code::Revoked),
                other => panic!("{other:?}"),
            }
        }
    }
    room.relay.stop().await;
}
