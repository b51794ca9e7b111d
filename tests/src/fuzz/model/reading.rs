//! What a subscription is delivered (chapter 05).

use bytes::Bytes;
use restante_spec::codes::Code;
use restante_spec::ids::Seq;
use restante_spec::limits;
use restante_spec::message::{Deliver, EnvelopeClass, MailboxClass, Push};

use super::state::Mailbox;
use super::world::World;

/// A subscription.
pub struct Reading {
    pub reader: u8,
    pub key: u8,
    /// Where the key's range ends, once it does.
    pub upto: Option<u64>,
    /// Everything up to here has come or will not come.
    pub position: u64,
    /// What it may acknowledge.
    pub delivered: u64,
    pub envelopes: u32,
    pub bytes: i64,
    pub caught_up: bool,
    /// Why it is to be closed now.
    pub closing: Option<Code>,
    /// Live envelopes that may come: id, body, whether it must.
    pub live: Vec<(u8, Vec<u8>, bool)>,
}

impl Reading {
    /// DLV-2, LIM-9.
    pub fn grant(&mut self, envelopes: u32, bytes: u32) {
        self.envelopes = self.envelopes.saturating_add(envelopes).min(limits::CREDIT_ENVELOPES);
        self.bytes = (self.bytes + i64::from(bytes)).min(i64::from(limits::CREDIT_BYTES));
    }

    pub const fn has_credit(&self) -> bool {
        self.envelopes > 0 && self.bytes > 0
    }

    /// What of the log certainly comes next.
    pub fn is_behind(&self, mailbox: &Mailbox, now: u64) -> bool {
        let mut log = mailbox.log.iter();
        log.any(|entry| self.reaches(entry.seq) && entry.is_kept(now))
    }

    /// What of the log may come next.
    fn may_be_behind(&self, mailbox: &Mailbox, now: u64) -> bool {
        mailbox.log.iter().any(|entry| self.reaches(entry.seq) && now < entry.until)
    }

    fn reaches(&self, seq: u64) -> bool {
        seq > self.position && self.upto.is_none_or(|upto| seq <= upto)
    }

    /// Whether its key may not read any more, and the relay may not have noticed yet (DLV-10).
    fn may_end(&self, mailbox: &Mailbox, now: u64) -> Option<Code> {
        if mailbox.class == MailboxClass::Conversation {
            let is_known = mailbox.epoch.is_some_and(|epoch| epoch.key == self.key)
                || mailbox.replaced.contains_key(&self.key);
            return (!is_known).then_some(Code::Gone);
        }
        let terms = mailbox.keys.get(&self.key)?;
        if !terms.rights.read {
            return Some(Code::Denied);
        }
        (terms.until? < now).then_some(Code::Expired)
    }

    fn deliver(&mut self, deliver: &Deliver, body: &Bytes, line: u64, mailbox: &Mailbox, now: u64) {
        let is_over = self.closing.is_some() || self.may_end(mailbox, now) == Some(Code::Denied);
        assert!(!is_over, "DLV-10: a delivery after the right has ended");
        if deliver.class == EnvelopeClass::Live {
            let id = deliver.id.as_bytes()[0];
            let at = self.live.iter().position(|(live, bytes, _)| *live == id && bytes == body);
            self.live.remove(at.expect("DLV-9: a live envelope for nobody"));
            assert_eq!((deliver.seq, deliver.prev), (Seq::START, Seq::START), "DLV-9");
            return;
        }
        assert!(self.has_credit(), "DLV-2: more than was granted");
        let seq = deliver.seq.get();
        let at = mailbox.log.iter().position(|entry| entry.seq == seq).expect("MBX-3: what is it?");
        let skipped = mailbox.log[..at].iter();
        let mut skipped = skipped.filter(|entry| self.reaches(entry.seq) && entry.is_kept(now));
        assert!(skipped.next().is_none(), "DLV-1: something was left out before {seq}");
        assert!(self.reaches(seq), "DLV-1: {seq} comes twice, or is out of the key's range");
        let entry = &mailbox.log[at];
        assert!(now < entry.until, "MBX-11: {seq} has expired");
        if let Some(terms) = mailbox.keys.get(&self.key) {
            assert!(terms.until.is_none_or(|until| entry.at < until), "DLV-10: accepted too late");
        }
        assert_eq!(deliver.prev.get(), entry.prev, "DLV-1: prev of {seq}");
        assert_eq!(deliver.expires_at.get(), entry.until, "MBX-11");
        let marks = (deliver.epoch, deliver.class, deliver.commit, deliver.id.as_bytes()[0]);
        assert_eq!(marks, (entry.epoch, entry.class, entry.is_commit, entry.id), "DLV-1");
        let is_echo = deliver.own && entry.line == line && body.is_empty();
        assert!(is_echo || (!deliver.own && *body == entry.body), "DLV-6: another body");
        self.envelopes -= 1;
        self.bytes -= i64::try_from(body.len()).expect("short");
        (self.position, self.delivered) = (seq, seq);
    }

    /// What must have happened by now.
    fn settle(&self, mailbox: &Mailbox, now: u64) {
        if let Some(code) = self.may_end(mailbox, now) {
            let is_denied = code == Code::Denied && self.has_credit();
            assert!(!is_denied, "DLV-10: a subscription reads on without its right");
            return;
        }
        assert_eq!(self.closing, None, "DLV-10: a subscription goes on without its right");
        let is_at_end = self.upto.is_some_and(|upto| self.position >= upto);
        assert!(!is_at_end, "DLV-5: a subscription goes on behind its range");
        let must = self.live.iter().find(|(_, _, must)| *must);
        assert!(must.is_none(), "MBX-19: a live envelope was not passed on: {must:?}");
        if self.has_credit() {
            assert!(!self.is_behind(mailbox, now), "DLV-1: something was not delivered");
            let is_done = self.upto.is_none() && !self.may_be_behind(mailbox, now);
            assert!(!is_done || self.caught_up, "DLV-4: it was not said that it has caught up");
        }
    }
}

impl World {
    /// Judges everything that was said without being asked, and what should have been.
    pub fn read_all(&mut self) {
        let (now, places) = (self.now, &self.places);
        for line in &mut self.lines {
            assert!(line.is_answered(), "TRN-10: an answer nobody has asked for");
            for (push, body) in std::mem::take(&mut line.pushes) {
                let handle = match &push {
                    Push::Deliver(deliver) => deliver.handle,
                    Push::CaughtUp { handle, .. } | Push::Closed { handle, .. } => *handle,
                    Push::Goaway { .. } => panic!("TRN-9: nobody stops"),
                };
                let number = u8::try_from(handle.get()).expect("small");
                let desk = line.desks.get_mut(&number).expect("DLV-8: a push without a handle");
                let reading = desk.reading.as_mut().expect("DLV-8: a push without a subscription");
                let mailbox = places.get(&desk.place);
                match push {
                    Push::Deliver(deliver) => {
                        let mailbox = mailbox.expect("CMD-16: it was deleted");
                        reading.deliver(&deliver, &body, line.name, mailbox, now);
                    }
                    Push::CaughtUp { head, .. } => {
                        let mailbox = mailbox.expect("CMD-16: it was deleted");
                        assert!(!std::mem::replace(&mut reading.caught_up, true), "DLV-4: twice");
                        assert!(!reading.is_behind(mailbox, now), "DLV-4: too early");
                        assert_eq!(head.get(), mailbox.newest(), "DLV-4: another number");
                        reading.position = reading.position.max(head.get());
                    }
                    Push::Closed { code, upto, .. } => {
                        reading.judge_end(code, upto.get(), mailbox, now);
                        desk.reading = None;
                    }
                    Push::Goaway { .. } => {}
                }
            }
            for desk in line.desks.values_mut() {
                let Some(reading) = &mut desk.reading else { continue };
                let mailbox = places.get(&desk.place).expect("CMD-16: not closed");
                reading.settle(mailbox, now);
                reading.live.clear();
            }
        }
    }
}

impl Reading {
    /// Whether it may be closed with this (DLV-5, DLV-10).
    fn judge_end(&self, code: Code, upto: u64, mailbox: Option<&Mailbox>, now: u64) {
        if self.closing == Some(code) {
            return;
        }
        let mailbox = mailbox.expect("CMD-16: closed for another reason");
        if code == Code::Superseded {
            assert_eq!(Some(upto), self.upto, "DLV-5: another end");
            assert!(!self.is_behind(mailbox, now), "DLV-5: its range is not delivered");
            return;
        }
        let allowed = self.may_end(mailbox, now);
        let is_gone = code == Code::Gone && self.upto.is_some();
        assert!(allowed == Some(code) || is_gone, "DLV-5: {code:?}, but {:?}", self.closing);
    }
}
