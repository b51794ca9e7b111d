//! What is refused when room is short, and what is still done (ADM-5 to ADM-7).

use super::*;
use crate::mailbox::pressure::Disk;

const MIB: u64 = 1024 * 1024;

impl House {
    /// The disk has so much free, of 256 MiB that should be, and the store has just grown.
    fn squeeze(&mut self, free: u64) {
        self.later(1);
        let disk = Disk { free, taken: self.now.get(), for_parts: free };
        self.service.measured(disk, self.now);
    }

    /// What is refused now: a mailbox, a live envelope, an append; and for how long.
    fn refuses(&mut self, key: &SigningKey, epoch: Option<Epoch>) -> [Option<Seconds>; 3] {
        let refused = |answer: Result<Answer, Refusal>| {
            let refusal = answer.err()?;
            assert_eq!(refusal.code, Code::Unavailable);
            Some(refusal.retry_after.unwrap())
        };
        let (mailbox, new) = (MailboxId::new(restante_crypto::random_bytes().unwrap()), seed(9));
        let possession = prove_possession(&new, &mailbox);
        let create = Create {
            mailbox,
            class: MailboxClass::Inbox,
            key: new.public(),
            possession,
            reader: self.reader,
            token: None,
            ttl: None,
            memory_first: false,
        };
        let made = refused(self.call(Call::Create(create)));
        let live = AppendAsk { class: EnvelopeClass::Live, ..self.ask_append(epoch, None) };
        let live = refused(self.ask(key, Ask::Append(live)));
        let ask = Ask::Append(self.ask_append(epoch, None));
        [made, live, refused(self.ask(key, ask))]
    }
}

/// ADM-5, ADM-7: mailboxes go first, then what is live, then appends; each says when to come again.
#[test]
fn what_is_shed_comes_in_one_order() {
    let settings = Settings { disk_reserve: 256 * MIB, ..Settings::default() };
    let mut house = House::with(MailboxClass::Conversation, settings);
    let key = SigningKey::from_seed(&[1; 32]);
    let epoch = house.open(&key).unwrap().epoch;
    let minute = Some(Seconds::new(60));
    for (free, refused) in [
        (256, [None, None, None]),
        (255, [minute, None, None]),
        (127, [minute, minute, None]),
        (63, [minute, minute, minute]),
        (72, [minute, minute, None]),
        (144, [minute, None, None]),
        (288, [None, None, None]),
    ] {
        house.squeeze(free * MIB);
        assert_eq!(house.refuses(&key, epoch), refused, "{free} MiB");
    }
}

/// ADM-5: at the last level what was accepted is answered as before and let go as before, and
/// rights are still taken away.
#[test]
fn what_was_accepted_is_kept_and_what_lets_go_is_done() {
    let settings = Settings { disk_reserve: 256 * MIB, ..Settings::default() };
    let mut house = House::with(MailboxClass::Conversation, settings);
    let key = SigningKey::from_seed(&[1; 32]);
    let epoch = house.open(&key).unwrap().epoch;
    let ask = house.ask_append(epoch, None);
    let (id, again) = (ask.id, house.ask_append(epoch, None));
    let Ok(Answer::Appended(first)) = house.ask(&key, Ask::Append(ask)) else { panic!() };
    house.squeeze(0);
    let again = AppendAsk { id, ..again };
    let Ok(Answer::Appended(told)) = house.ask(&key, Ask::Append(again)) else { panic!() };
    assert_eq!((told.seq, told.already), (first.seq, true));
    assert_eq!(house.stored(), 1);
    let reader = house.reader;
    house.subscribe(&key, reader, Seq::START).unwrap();
    house.ask(&key, Ask::Ack { reader, upto: first.seq }).unwrap();
    let mut inbox = House::with(MailboxClass::Inbox, settings);
    inbox.squeeze(0);
    let manage = SigningKey::from_seed(&[1; 32]);
    inbox.ask(&manage, Ask::Revoke { key: seed(3).public() }).unwrap();
    inbox.ask(&manage, Ask::Delete).unwrap();
}

/// ADM-6: without a reserve the disk is filled to its end, as the operator said.
#[test]
fn no_reserve_sheds_nothing() {
    let mut house = House::new(MailboxClass::Conversation);
    let key = SigningKey::from_seed(&[1; 32]);
    let epoch = house.open(&key).unwrap().epoch;
    house.squeeze(0);
    assert_eq!(house.refuses(&key, epoch), [None; 3]);
}
