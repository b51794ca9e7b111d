//! Keys, readers, prekeys, and the end of a mailbox.

use restante_spec::codes::Code;
use restante_spec::ids::{RequestId, Seconds, Slot as SlotNumber, UnixTime};
use restante_spec::limits;
use restante_spec::message::{
    Allow, Command, MailboxClass, PutPrekeys, Rate, Reply, Terms as Told,
};

use super::super::ops::Act;
use super::super::state::{Bucket, Reader, Taken, Terms};
use super::super::world::{World, key, reader};
use super::{handle, is_done, possession};

/// Seconds in which a key's rate fills again.
const PER: u32 = 100;

impl World {
    /// CMD-8.
    pub(super) fn allow(&mut self, line: usize, act: Act) {
        let Act::Allow { desk, key: given, rights, time, uses, rate, forged } = act else { return };
        let now = self.now;
        let place = self.lines[line].desks.get(&desk).map_or(0, |desk| desk.place);
        let until = (time > 0).then_some(now + u64::from(time));
        let uses = (uses > 0).then_some(uses);
        let terms = Told {
            rights,
            expires_at: until.map(UnixTime::new),
            uses,
            rate: (rate > 0).then_some(Rate { count: rate, per: Seconds::new(PER) }),
        };
        let command = Command::Allow(Allow {
            handle: handle(desk),
            key: key(given).public(),
            possession: possession(given, place, forged),
            terms,
        });
        let card = vec![given; usize::from(given)];
        let answer = self.ask(line, command, &card);
        let mut verdict = self.right(line, desk, |rights| rights.manage);
        let found = self.at(line, desk);
        verdict.must(forged, Code::Denied);
        verdict.must(found.is_some_and(|(_, _, it)| it.first == given), Code::Conflict);
        if !verdict.judge(&answer, "allow") {
            return;
        }
        assert!(is_done(&answer), "CMD-8: {answer:?}");
        let (_, _, mailbox) = self.at(line, desk).expect("judged");
        let used = mailbox.keys.get(&given).map_or(0, |terms| terms.used);
        let rate = (rate > 0).then(|| Bucket::new(rate, PER, now));
        let mut made = Terms { rights, until, uses, used, rate, card };
        if let (Some(rate), true) = (&mut made.rate, mailbox.keys.contains_key(&given)) {
            // What was in the bucket may have been kept.
            rate.was_replaced();
        }
        mailbox.keys.insert(given, made);
    }

    /// CMD-9.
    pub(super) fn revoke(&mut self, line: usize, desk: u8, struck: u8) {
        let command = Command::Revoke { handle: handle(desk), key: key(struck).public() };
        let answer = self.ask(line, command, &[]);
        let mut verdict = self.right(line, desk, |rights| rights.manage);
        let found = self.at(line, desk);
        verdict.must(found.is_some_and(|(_, _, it)| it.first == struck), Code::Conflict);
        if !verdict.judge(&answer, "revoke") {
            return;
        }
        assert!(is_done(&answer), "CMD-9: {answer:?}");
        let (place, _, mailbox) = self.at(line, desk).expect("judged");
        mailbox.keys.remove(&struck);
        self.close_readings(place, Code::Revoked, |reading| reading.key == struck);
    }

    /// CMD-10.
    pub(super) fn add_reader(&mut self, line: usize, desk: u8, added: u8) {
        let command = Command::AddReader { handle: handle(desk), reader: reader(added) };
        let answer = self.ask(line, command, &[]);
        let mut verdict = self.right(line, desk, |rights| rights.manage);
        let found = self.at(line, desk);
        let is_room = found.is_some_and(|(_, _, it)| it.class == MailboxClass::Room);
        verdict.must(is_room, Code::Unsupported);
        if !verdict.judge(&answer, "add_reader") {
            return;
        }
        assert!(is_done(&answer), "CMD-10: {answer:?}");
        let now = self.now;
        let (_, _, mailbox) = self.at(line, desk).expect("judged");
        let cursor = mailbox.newest();
        mailbox.readers.entry(added).or_insert(Reader { cursor, seen: now });
    }

    /// CMD-13.
    pub(super) fn put(&mut self, line: usize, act: Act) {
        let Act::Put { desk, slot, count, last_resort } = act else { return };
        let count = if last_resort { 1 } else { usize::from(count) + 1 };
        self.births += 1;
        let fresh = |number: usize| {
            let number = u8::try_from(number).expect("small");
            [&self.births.to_be_bytes()[..], &[slot, number]].concat()
        };
        let packages: Vec<Vec<u8>> = (0..count).map(fresh).collect();
        let sizes = packages.iter().map(|one| u32::try_from(one.len()).expect("short")).collect();
        let slot_number = SlotNumber::new(u32::from(slot));
        let command = Command::PutPrekeys(PutPrekeys {
            handle: handle(desk),
            slot: slot_number,
            sizes,
            last_resort,
        });
        let answer = self.ask(line, command, &packages.concat());
        let mut verdict = self.right(line, desk, |rights| rights.manage);
        if let Some((_, _, mailbox)) = self.at(line, desk) {
            let stock = mailbox.slots.get(&slot).map_or(0, |slot| slot.packages.len());
            let is_full = !last_resort && stock + count > limits::PREKEYS_PER_SLOT;
            verdict.must(is_full, Code::Quota);
        }
        if !verdict.judge(&answer, "put_prekeys") {
            return;
        }
        assert!(is_done(&answer), "CMD-13: {answer:?}");
        let (_, _, mailbox) = self.at(line, desk).expect("judged");
        let stock = mailbox.slots.entry(slot).or_default();
        if last_resort {
            stock.last_resort = packages.into_iter().next();
        } else {
            stock.packages.extend(packages);
        }
    }

    /// CMD-14.
    pub(super) fn take(&mut self, line: usize, desk: u8, slot: u8, request: u8) {
        let command = Command::TakePrekeys {
            handle: handle(desk),
            slot: SlotNumber::new(u32::from(slot)),
            request: RequestId::new([request; 16]),
        };
        let answer = self.ask(line, command, &[]);
        let mut verdict = self.right(line, desk, |rights| rights.take);
        let now = self.now;
        let (mut repeated, mut is_over) = (None, false);
        if let Some((_, _, mailbox)) = self.at(line, desk) {
            if let Some(before) = mailbox.takes.get(&request) {
                is_over = before.at + u64::from(limits::TAKE_REPEAT.get()) < now;
                verdict.must(before.slot != slot && !is_over, Code::Conflict);
                verdict.may(before.slot != slot, Code::Conflict);
                repeated = (before.slot == slot).then(|| before.clone());
            }
            let stock = mailbox.slots.get(&slot);
            let has_some =
                stock.is_some_and(|it| it.last_resort.is_some() || !it.packages.is_empty());
            verdict.must(!has_some && repeated.is_none(), Code::NotFound);
            verdict.may(!has_some, Code::NotFound);
        }
        if !verdict.judge(&answer, "take_prekeys") {
            let is_none = answer == Err(Code::NotFound) && verdict.must.is_empty();
            assert!(!is_none || repeated.is_none() || is_over, "CMD-14: not answered again");
            return;
        }
        let Ok((Reply::Prekey { last_resort }, package)) = answer else {
            panic!("{answer:?} to take_prekeys");
        };
        if let Some(before) = &repeated {
            let is_same = before.package == package && before.last_resort == last_resort;
            if is_same || !is_over {
                assert!(is_same, "CMD-14: another answer to the same request");
                return;
            }
        }
        let (_, _, mailbox) = self.at(line, desk).expect("judged");
        let stock = mailbox.slots.get_mut(&slot).expect("CMD-14: a package out of nothing");
        let expected = match stock.packages.pop_front() {
            Some(package) => (Some(package), false),
            None => (stock.last_resort.clone(), true),
        };
        let package = package.to_vec();
        assert_eq!((Some(package.clone()), last_resort), expected, "CMD-14: oldest first, once");
        mailbox.takes.insert(request, Taken { slot, at: now, package, last_resort });
    }

    /// CMD-15.
    pub(super) fn count(&mut self, line: usize, desk: u8) {
        let answer = self.ask(line, Command::CountPrekeys(handle(desk)), &[]);
        let verdict = self.right(line, desk, |rights| rights.manage);
        if !verdict.judge(&answer, "count_prekeys") {
            return;
        }
        let Ok((Reply::PrekeyCounts(counts), _)) = answer else {
            panic!("{answer:?} to count_prekeys");
        };
        let (_, _, mailbox) = self.at(line, desk).expect("judged");
        let told = counts.iter().map(|it| (it.slot.get(), it.count as usize, it.last_resort));
        let stock = mailbox.slots.iter().map(|(number, slot)| {
            (u32::from(*number), slot.packages.len(), slot.last_resort.is_some())
        });
        let has_some = |(_, count, last): &(u32, usize, bool)| *count > 0 || *last;
        let (told, stock): (Vec<_>, Vec<_>) =
            (told.filter(has_some).collect(), stock.filter(has_some).collect());
        assert_eq!(told, stock, "CMD-15");
    }

    /// CMD-16.
    pub(super) fn delete(&mut self, line: usize, desk: u8) {
        let answer = self.ask(line, Command::Delete(handle(desk)), &[]);
        let verdict = self.right(line, desk, |rights| rights.manage);
        if verdict.judge(&answer, "delete") {
            assert!(is_done(&answer), "CMD-16: {answer:?}");
            let (place, ..) = self.at(line, desk).expect("judged");
            self.end(place);
        }
    }
}
