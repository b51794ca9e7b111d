//! Appending: messages, commits, live envelopes (CMD-11; MBX-5 to MBX-8, MBX-19).

use restante_spec::codes::Code;
use restante_spec::ids::{ChainNumber, EnvelopeId, Epoch, Seconds};
use restante_spec::message::{
    Append, Appended, Command, Commit, EnvelopeClass, MailboxClass, NextKey, Reply,
};

use super::super::ops::{Act, Named};
use super::super::state::{Current, Entry, Mailbox, Reader, Replaced, Terms};
use super::super::world::{World, key, reader};
use super::{Standing, Verdict, handle, possession};

/// One append, as it is sent.
#[derive(Clone)]
struct Sent {
    /// Those sent just before it, not answered yet.
    before: u8,
    chain: u8,
    id: u8,
    class: EnvelopeClass,
    ttl: u32,
    epoch: Option<Epoch>,
    commit: Option<Change>,
    body: Vec<u8>,
}

/// What a commit changes.
#[derive(Clone)]
struct Change {
    /// The key, and whether its proof is right.
    next: Option<(u8, bool)>,
    add: u8,
    strike: Option<u8>,
}

/// What is known of an id (MBX-5).
enum Known {
    Surely(usize),
    Perhaps(usize),
    Never,
}

impl World {
    /// Sends appends one behind the other, and judges their answers in this order.
    pub(super) fn append(&mut self, line: usize, act: Act) {
        let (desk, first, times) = self.sent(line, act);
        let sent: Vec<Sent> = (0..times)
            .map(|n| {
                let body = vec![first.id + n; first.body.len() * (1 + usize::from(n))];
                Sent { before: n, id: first.id + n, body, ..first.clone() }
            })
            .collect();
        let place = self.lines[line].desks.get(&desk).map_or(0, |desk| desk.place);
        let numbers: Vec<u32> = sent
            .iter()
            .map(|one| {
                let command = Command::Append(one.command(desk, place));
                self.send(line, command, &one.body)
            })
            .collect();
        self.pump();
        for (number, sent) in numbers.into_iter().zip(sent) {
            let answer = self.answer(line, number).expect("ERR-1: an answer");
            let answer = answer.map(|(reply, _)| match reply {
                Reply::Appended(appended) => appended,
                other => panic!("{other:?} to append"),
            });
            if sent.class == EnvelopeClass::Live {
                self.judge_live(line, desk, &sent, answer);
            } else {
                self.judge_append(line, desk, &sent, answer);
            }
        }
    }

    fn sent(&mut self, line: usize, act: Act) -> (u8, Sent, u8) {
        let epoch = |named, mailbox: Option<&mut Mailbox>| match named {
            Named::None => None,
            Named::Wrong => Some(Epoch::new([0xee; 8])),
            Named::Right => mailbox.and_then(|it| it.epoch.or(None)).map(|epoch| epoch.name),
        };
        match act {
            Act::Append { desk, chain, id, class, ttl, epoch: named, times } => {
                let found = self.at(line, desk).map(|(_, _, mailbox)| mailbox);
                let (epoch, body) = (epoch(named, found), vec![id; usize::from(id)]);
                (desk, Sent { before: 0, chain, id, class, ttl, epoch, commit: None, body }, times)
            }
            Act::Commit { desk, chain, id, next, add, strike, epoch: named } => {
                let found = self.at(line, desk).map(|(_, _, mailbox)| mailbox);
                let (epoch, body) = (epoch(named, found), vec![id; 3]);
                let next = next.map(|next| (next, strike % 8 != 7));
                let strike = (strike % 3 == 1).then_some(strike % super::super::ops::READERS);
                let commit = Some(Change { next, add, strike });
                let class = EnvelopeClass::Normal;
                (desk, Sent { before: 0, chain, id, class, ttl: 1, epoch, commit, body }, 1)
            }
            other => panic!("no append: {other:?}"),
        }
    }

    fn judge_append(&mut self, line: usize, desk: u8, sent: &Sent, answer: Result<Appended, Code>) {
        let (now, name) = (self.now, self.lines[line].name);
        let mut verdict = self.right(line, desk, |rights| rights.write);
        let place = self.lines[line].desks.get(&desk).map(|desk| desk.place);
        let Some(place) = place else {
            verdict.judge(&answer, "append");
            return;
        };
        let chain = self.lines[line].chains.entry(place).or_insert((sent.chain, false));
        if chain.0 != sent.chain {
            *chain = (sent.chain, false);
        }
        let is_broken = chain.1;
        self.lines[line].chains.insert(place, (sent.chain, is_broken || answer.is_err()));
        let Some((_, key, mailbox)) = self.at(line, desk) else {
            verdict.judge(&answer, "append");
            return;
        };
        let known = mailbox.known(sent.id, now);
        if matches!(mailbox.standing(key), Standing::Replaced) {
            // MBX-7, MBX-9: which of both is said is open, and so is whether it repeats.
            verdict.must = vec![Code::StaleEpoch, Code::Denied];
        }
        let may_repeat =
            !verdict.must.iter().any(|code| matches!(code, Code::Denied | Code::Revoked));
        let is_replaced = verdict.must.contains(&Code::StaleEpoch);
        if let Ok(appended) = &answer
            && appended.already
        {
            assert!(may_repeat || is_replaced, "MBX-12: repeated without the right to write");
            let (Known::Surely(at) | Known::Perhaps(at)) = known else {
                panic!("MBX-5: `already` to an id of nothing");
            };
            mailbox.log[at].check_repeated(appended);
            return;
        }
        if may_repeat && let Known::Surely(_) = known {
            panic!("MBX-5: {answer:?} to an id that is known");
        }
        verdict.must(is_broken, Code::Aborted);
        mailbox.judge_new(key, sent, &mut verdict, now);
        if !verdict.judge(&answer, "append") {
            mailbox.refused(key, sent, answer.expect_err("judged"));
            return;
        }
        let appended = answer.expect("judged");
        mailbox.store(key, sent, &appended, now, name);
        if sent.commit.is_some() {
            let upto = appended.seq.get();
            let desks = self.lines.iter_mut().flat_map(|line| line.desks.values_mut());
            for desk in desks.filter(|desk| desk.place == place && desk.key == key) {
                // DLV-5
                if let Some(reading) = &mut desk.reading {
                    reading.upto = reading.upto.or(Some(upto));
                }
            }
        }
    }

    /// MBX-19, DLV-9.
    fn judge_live(&mut self, line: usize, desk: u8, sent: &Sent, answer: Result<Appended, Code>) {
        let (now, name) = (self.now, self.lines[line].name);
        let mut verdict = self.right(line, desk, |rights| rights.write);
        let Some((place, key, mailbox)) = self.at(line, desk) else {
            verdict.judge(&answer, "a live append");
            return;
        };
        if matches!(mailbox.standing(key), Standing::Replaced) {
            verdict.must = vec![Code::StaleEpoch, Code::Denied];
        }
        verdict.must(mailbox.class == MailboxClass::Inbox, Code::Unsupported);
        mailbox.judge_key(key, sent, &mut verdict, now);
        let (surely, perhaps) = mailbox.live.is_empty(now);
        verdict.must(surely, Code::Rate);
        verdict.may(perhaps, Code::Rate);
        if !verdict.judge(&answer, "a live append") {
            mailbox.live.take_perhaps();
            return;
        }
        let said = answer.expect("judged");
        let parts = (said.seq.get(), said.expires_at.get(), said.already, said.epoch);
        assert_eq!(parts, (0, 0, false, None), "MBX-19");
        mailbox.live.take();
        if let Standing::Terms(terms) = mailbox.standing(key) {
            // Whether it counts for the rate is not said.
            terms.rate.iter_mut().for_each(|rate| rate.take_perhaps());
        }
        let mailbox = &self.places[&place];
        let epoch = mailbox.epoch.map(|epoch| epoch.key);
        for line in self.lines.iter_mut().filter(|line| line.name != name) {
            for desk in line.desks.values_mut().filter(|desk| desk.place == place) {
                let Some(reading) = &mut desk.reading else { continue };
                if reading.has_credit() && epoch.is_none_or(|epoch| epoch == reading.key) {
                    let is_behind = mailbox.log.iter().any(|it| it.seq > reading.position);
                    let must = reading.caught_up && !is_behind && reading.closing.is_none();
                    reading.live.push((sent.id, sent.body.clone(), must));
                }
            }
        }
    }
}

impl Sent {
    fn command(&self, desk: u8, place: u8) -> Append {
        let mut id = [9; 16];
        id[0] = self.id;
        Append {
            handle: handle(desk),
            chain: ChainNumber::new(u32::from(self.chain)),
            id: EnvelopeId::new(id),
            class: self.class,
            ttl: (self.ttl > 0).then_some(Seconds::new(self.ttl)),
            epoch: self.epoch,
            commit: self.commit.as_ref().map(|change| Commit {
                next: change.next.map(|(next, is_right)| NextKey {
                    key: key(next).public(),
                    possession: possession(next, place, !is_right),
                }),
                add_readers: vec![reader(change.add)],
                strike_readers: change.strike.map(reader).into_iter().collect(),
                blobs: Vec::new(),
            }),
        }
    }
}

impl Entry {
    /// MBX-5: the first answer again.
    fn check_repeated(&self, said: &Appended) {
        let said = (said.seq.get(), said.expires_at.get(), said.epoch);
        assert_eq!(said, (self.seq, self.until, self.begun), "MBX-5: another answer");
    }
}

impl Mailbox {
    fn known(&self, id: u8, now: u64) -> Known {
        let Some(at) = self.log.iter().rposition(|entry| entry.id == id) else {
            return Known::Never;
        };
        if now <= self.log[at].known_until() { Known::Surely(at) } else { Known::Perhaps(at) }
    }

    /// Refusals that come of key, form and epoch.
    fn judge_key(&mut self, key: u8, sent: &Sent, verdict: &mut Verdict, now: u64) {
        if self.class != MailboxClass::Conversation {
            let is_strange = sent.epoch.is_some() || sent.commit.is_some();
            verdict.must(is_strange, Code::Unsupported);
        } else {
            let current = self.epoch.map(|epoch| epoch.name);
            verdict.must(current.is_none() || sent.epoch != current, Code::StaleEpoch);
        }
        if let Standing::Terms(terms) = self.standing(key) {
            verdict.must(terms.uses.is_some_and(|uses| terms.used >= uses), Code::Expired);
            // While others are not decided their uses are not free.
            let used = terms.used + u32::from(sent.before);
            verdict.may(terms.uses.is_some_and(|uses| used >= uses), Code::Expired);
            if let Some(rate) = &mut terms.rate {
                let (surely, perhaps) = rate.is_empty(now);
                verdict.must(surely, Code::Rate);
                verdict.may(perhaps, Code::Rate);
            }
        }
    }

    /// Refusals of an append whose id is not known.
    fn judge_new(&mut self, key: u8, sent: &Sent, verdict: &mut Verdict, now: u64) {
        self.judge_key(key, sent, verdict, now);
        if let Some(change) = &sent.commit {
            let is_known = |next: u8| {
                let is_current = self.epoch.is_some_and(|epoch| epoch.key == next);
                is_current || self.replaced.contains_key(&next)
            };
            verdict.must(change.next.is_some_and(|(next, _)| is_known(next)), Code::Conflict);
            verdict.must(change.next.is_some_and(|(_, is_right)| !is_right), Code::Denied);
            let (surely, perhaps) = self.commits.is_empty(now);
            verdict.must(surely, Code::Rate);
            verdict.may(perhaps, Code::Rate);
        }
        let (surely, perhaps) = self.is_full(sent.commit.is_some(), now);
        verdict.must(surely, Code::Quota);
        verdict.may(perhaps, Code::Quota);
    }

    /// What a refusal may have used up.
    fn refused(&mut self, key: u8, sent: &Sent, code: Code) {
        let is_rate = code == Code::Rate;
        if let Standing::Terms(Terms { rate: Some(rate), .. }) = self.standing(key) {
            if is_rate { rate.was_empty() } else { rate.take_perhaps() }
        }
        if sent.commit.is_some() {
            if is_rate { self.commits.was_empty() } else { self.commits.take_perhaps() }
        }
    }

    /// What follows from an append.
    fn store(&mut self, key: u8, sent: &Sent, said: &Appended, now: u64, line: u64) {
        let (seq, ttl) = (said.seq.get(), self.ttl);
        assert!(seq > self.newest(), "MBX-3: numbers rise");
        let is_commit = sent.commit.is_some();
        let wished = if sent.ttl == 0 || is_commit { ttl } else { u64::from(sent.ttl) };
        let until = now + wished.min(ttl);
        assert_eq!(said.expires_at.get(), until, "MBX-11");
        assert_eq!(said.epoch.is_some(), sent.commit.is_some(), "CMD-11: an epoch begins");
        if let Standing::Terms(terms) = self.standing(key) {
            // CMD-8
            terms.used += u32::from(terms.uses.is_some());
            terms.rate.iter_mut().for_each(|rate| rate.take());
        }
        let (id, epoch, class) = (sent.id, sent.epoch, sent.class);
        self.log.push(Entry {
            id,
            seq,
            prev: self.newest(),
            epoch,
            class,
            at: now,
            until,
            begun: said.epoch,
            is_commit,
            body: sent.body.clone(),
            line,
            left: None,
        });
        let (Some(change), Some(name)) = (&sent.commit, said.epoch) else { return };
        self.commits.take();
        let old = self.epoch.take().expect("MBX-7: an epoch");
        let Current { name: before, key, from } = old;
        self.replaced.insert(key, Replaced { name: before, from, upto: seq, until });
        self.epoch = change.next.map(|(key, _)| Current { name, key, from: seq });
        // MBX-8
        if let Some(strike) = change.strike {
            self.readers.remove(&strike);
        }
        self.readers.entry(change.add).or_insert(Reader { cursor: seq, seen: now });
    }
}
