//! Prekeys: opaque packages, each given at most once (CMD-13 to CMD-15).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use restante_spec::codes::Code;
use restante_spec::ids::{RequestId, Seconds, Slot, UnixTime};
use restante_spec::limits;
use restante_spec::message::{PrekeyCount, Refusal};

use super::api::{Access, Answer, Notices, Respond};
use super::authorise::{Need, authorise};
use super::keys::Written;
use super::rows::{self, BadRow, LAST_RESORT, PREKEY, TAKEN, TakenRow};
use super::service::{Service, damaged, lock, refusal};
use super::state::{Mailbox, Stock};
use crate::buffer::{Buffer, BufferError, RowWrite};
use crate::limits::STORE_RETRY;

type Stocks = BTreeMap<Slot, Stock>;

impl<B: Buffer, N: Notices> Service<B, N> {
    /// Stores packages (CMD-13).
    pub(super) fn put_prekeys(
        self: &Arc<Self>,
        access: Access,
        slot: Slot,
        packages: Vec<Bytes>,
        last_resort: bool,
        now: UnixTime,
        respond: Respond,
    ) {
        self.change(access, Need::Manage, now, respond, |mailbox| {
            let stocks = self.stocks(mailbox)?;
            // LIM-7
            if !stocks.contains_key(&slot) && stocks.len() >= limits::PREKEY_SLOTS {
                return Err(Refusal::new(Code::Quota, "as many prekey slots as there may be"));
            }
            let stock = stocks.entry(slot).or_default();
            let mut rows = Vec::new();
            if last_resort {
                let [package] = <[Bytes; 1]>::try_from(packages)
                    .map_err(|_| Refusal::new(Code::Malformed, "a slot has one last resort"))?;
                rows.push(rows::keep(rows::of_last_resort(slot), &package));
                stock.last_resort = true;
            } else {
                if stock.numbers.len() + packages.len() > limits::PREKEYS_PER_SLOT {
                    return Err(Refusal::new(Code::Quota, "as many prekeys as a slot may have"));
                }
                for package in packages {
                    // A number is not used again: one that was just taken may still be read.
                    let number = stock.next;
                    stock.next = number.wrapping_add(1);
                    stock.numbers.push_back(number);
                    rows.push(rows::keep(rows::of_prekey(slot, number), &package));
                }
            }
            Ok((rows, |_: &Arc<Self>, mailbox: &mut Mailbox, outcome: Written| {
                settle(mailbox, outcome, Answer::Done)
            }))
        });
    }

    /// Takes one package, at most once each, then the last resort; the same request repeats its
    /// answer for a while (CMD-14).
    pub(super) fn take_prekey(
        self: &Arc<Self>,
        access: Access,
        slot: Slot,
        request: RequestId,
        now: UnixTime,
        respond: Respond,
    ) {
        self.change(access, Need::Take, now, respond, |mailbox| {
            let (mut rows, repeated) = self.taken_before(mailbox, slot, request, now)?;
            let (package, last_resort) = match repeated {
                Some(given) => given,
                None => {
                    let (package, row) = self.next_package(mailbox, slot)?;
                    let last_resort = row.is_none();
                    rows.extend(row);
                    let given = TakenRow {
                        slot: slot.get(),
                        at: now.get(),
                        last_resort,
                        package: package.to_vec(),
                    };
                    let part = rows::of_request(request);
                    rows.push(rows::put(part, &given).map_err(|_| damaged())?);
                    (package, last_resort)
                }
            };
            // The package leaves only when its removal is durable: whatever crashes, at most once.
            mailbox.taking.insert(request);
            Ok((rows, move |_: &Arc<Self>, mailbox: &mut Mailbox, outcome: Written| {
                mailbox.taking.remove(&request);
                settle(mailbox, outcome, Answer::Prekey { last_resort, package })
            }))
        });
    }

    /// How many there are (CMD-15).
    pub(super) fn count_prekeys(
        &self,
        access: Access,
        now: UnixTime,
    ) -> Result<Vec<PrekeyCount>, Refusal> {
        let cell = self.get(access)?;
        let mut mailbox = lock(&cell);
        authorise(&mailbox, access.key, Need::Manage, (), now)?;
        let stocks = self.stocks(&mut mailbox)?;
        let counts = stocks.iter().map(|(slot, stock)| PrekeyCount {
            slot: *slot,
            count: u32::try_from(stock.numbers.len()).unwrap_or(u32::MAX),
            last_resort: stock.last_resort,
        });
        Ok(counts.collect())
    }

    /// The answers still repeated: rows of those that are over go, and this request's package if
    /// it is one of them.
    #[expect(clippy::type_complexity, reason = "rows to remove, and a package with its kind")]
    fn taken_before(
        &self,
        mailbox: &Mailbox,
        slot: Slot,
        request: RequestId,
        now: UnixTime,
    ) -> Result<(Vec<RowWrite>, Option<(Bytes, bool)>), Refusal> {
        if mailbox.taking.contains(&request) {
            let detail = "this request is being answered";
            return Err(Refusal::new(Code::Unavailable, detail).retry_after(STORE_RETRY));
        }
        let mut over = Vec::new();
        let mut found = None;
        // When the first of those remembered is forgotten (ADM-7).
        let mut room_at = now.after(limits::TAKE_REPEAT);
        let rows = self.buffer.rows(mailbox.id, TAKEN..=TAKEN).map_err(refusal)?;
        let mut remembered = mailbox.taking.len();
        for row in rows {
            let answering =
                mailbox.taking.iter().any(|taking| row.part == rows::of_request(*taking));
            remembered += usize::from(!answering);
            let given: TakenRow = rows::decode(&row.value).map_err(|_| damaged())?;
            let until = UnixTime::new(given.at).after(limits::TAKE_REPEAT);
            if until <= now {
                // One that is being answered anew is written anew.
                if !answering {
                    over.push(rows::remove(row.part));
                }
                continue;
            }
            room_at = room_at.min(until);
            if row.part == rows::of_request(request) {
                if given.slot != slot.get() {
                    let detail = "this request was for another slot";
                    return Err(Refusal::new(Code::Conflict, detail));
                }
                found = Some((Bytes::from(given.package), given.last_resort));
            }
        }
        // LIM-7
        if found.is_none() && remembered - over.len() >= limits::TAKES_REMEMBERED {
            let wait = u32::try_from(room_at.get() - now.get()).unwrap_or(u32::MAX);
            let detail = "prekeys of this mailbox are taken too fast";
            return Err(Refusal::new(Code::Rate, detail).retry_after(Seconds::new(wait)));
        }
        Ok((over, found))
    }

    /// The oldest package of a slot with the row to remove, or its last resort.
    fn next_package(
        &self,
        mailbox: &mut Mailbox,
        slot: Slot,
    ) -> Result<(Bytes, Option<RowWrite>), Refusal> {
        let none = || Refusal::new(Code::NotFound, "this slot has no prekeys");
        let id = mailbox.id;
        let stock = self.stocks(mailbox)?.get_mut(&slot).ok_or_else(none)?;
        let number = stock.numbers.pop_front();
        let part = match number {
            Some(number) => rows::of_prekey(slot, number),
            None => rows::of_last_resort(slot),
        };
        let row = self.buffer.row(id, &part).map_err(refusal)?;
        match (row, number) {
            (Some(row), number) => Ok((row.value, number.map(|_| rows::remove(part)))),
            (None, None) => Err(none()),
            (None, Some(number)) => {
                // Put a moment ago and not durable yet.
                stock.numbers.push_front(number);
                Err(refusal(BufferError::Unavailable))
            }
        }
    }

    /// The stock, read when first asked for.
    fn stocks<'a>(&self, mailbox: &'a mut Mailbox) -> Result<&'a mut Stocks, Refusal> {
        if mailbox.prekeys.is_none() {
            let rows = self.buffer.rows(mailbox.id, PREKEY..=LAST_RESORT).map_err(refusal)?;
            let mut stocks = Stocks::new();
            for row in rows {
                if row.part.tag == LAST_RESORT {
                    let slot = rows::slot_of(&row.part).map_err(|BadRow| damaged())?;
                    stocks.entry(slot).or_default().last_resort = true;
                } else {
                    let (slot, number) = rows::prekey_of(&row.part).map_err(|BadRow| damaged())?;
                    let stock = stocks.entry(slot).or_default();
                    stock.next = number.wrapping_add(1);
                    stock.numbers.push_back(number);
                }
            }
            mailbox.prekeys = Some(stocks);
        }
        Ok(mailbox.prekeys.get_or_insert_default())
    }
}

/// After a failure the stock in memory is not what is stored: it is read again.
fn settle(mailbox: &mut Mailbox, outcome: Written, answer: Answer) -> Result<Answer, Refusal> {
    match outcome {
        Ok(_) => Ok(answer),
        Err(error) => {
            mailbox.prekeys = None;
            Err(refusal(error))
        }
    }
}
