//! The live class (MBX-16, DLV-9), against a real relay over TLS.

use restante_crypto::{SigningKey, prove_possession};
use restante_spec::codes::Code;
use restante_spec::ids::{ChainNumber, Epoch, Handle, ReaderSecret, Seconds, Seq, UnixTime};
use restante_spec::limits;
use restante_spec::message::{
    Allow, Append, Appended, Command, Credit, EnvelopeClass, MailboxClass, Push, Rights, Terms,
};
use restante_tests::relay::InProcess;
use restante_tests::wire::{Owner, PLENTY, Wire, commit, envelope, random};

const WRITE: Rights = Rights { read: false, write: true, take: false, manage: false };
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
        let mut writer = Wire::connect(relay.address()).await;
        let epoch = writer.create(MailboxClass::Conversation, &owner).await.epoch;
        writer.open(1, owner.mailbox, &owner.key).await;
        let mut reader = Wire::connect(relay.address()).await;
        reader.open(1, owner.mailbox, &owner.key).await;
        reader.subscribe(1, &owner.reader, Seq::START, credit).await.unwrap();
        assert!(reader.backlog().await.is_empty());
        Self { relay, owner, epoch, writer, reader }
    }

    async fn say(&mut self, append: Append, body: &[u8]) -> Appended {
        self.writer.append(append, body).await.unwrap()
    }
}

/// MBX-16, DLV-9: whoever is online gets it, without a number; it is stored nowhere, does not come
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
    let mut late = Wire::connect(talk.relay.address()).await;
    late.open(1, talk.owner.mailbox, &talk.owner.key).await;
    late.subscribe(1, &talk.owner.reader, Seq::START, PLENTY).await.unwrap();
    let backlog = late.backlog().await;
    assert_eq!(backlog.iter().map(|(d, _)| d.seq).collect::<Vec<_>>(), [stored.seq]);
    late.cut();
    assert_eq!(talk.writer.append(live(1, talk.epoch), b"typing").await.unwrap(), PASSED_ON);
    talk.relay.stop().await;
}

/// MBX-16: no live envelopes in inboxes, no live commits, none under another epoch; each needs the
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
    let mut wire = Wire::connect(talk.relay.address()).await;
    wire.open(1, inbox.mailbox, &inbox.key).await;
    assert_eq!(wire.append(live(1, None), b"").await.unwrap_err().code, Code::Denied);
    wire.done(allow(&inbox, &contact, WRITE), b"").await.unwrap();
    wire.open(2, inbox.mailbox, &contact).await;
    assert_eq!(wire.append(live(2, None), b"").await.unwrap_err().code, Code::Unsupported);
    talk.relay.stop().await;
}

/// MBX-16, MBX-6: a live envelope belongs to no chain: refused, it aborts nothing, and a broken
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
    for _ in 0..at {
        assert_eq!(talk.reader.deliver().await.0.class, EnvelopeClass::Live);
    }
    assert_eq!(talk.reader.deliver().await.1.as_ref(), b"stored");
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
    let mut old = Wire::connect(talk.relay.address()).await;
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
