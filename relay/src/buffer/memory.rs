//! A model of the buffer in memory: the contract as plainly as it can be said.
//!
//! It shares no code with the real one and is never fast: lists that are searched from the front.
//! It remembers ids for ever, which the contract allows.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use restante_spec::ids::{EnvelopeId, MailboxId, Seq, UnixTime};

use super::{
    Act, AppendAct, Buffer, BufferError, Done, Envelope, Level, Outcome, Page, Part, RELAY, Row,
    RowWrite, Span, Stored, Toll,
};

/// The model, with a thread that does what was submitted.
pub(super) struct MemoryBuffer {
    world: Arc<Mutex<World>>,
    queue: SyncSender<(MailboxId, Act, Done)>,
}

#[derive(Default)]
struct World {
    last: u64,
    mailboxes: BTreeMap<MailboxId, House>,
    /// The relay's own rows.
    own: House,
}

#[derive(Default)]
struct House {
    rows: BTreeMap<Part, (Seq, Bytes)>,
    /// Everything ever appended, and whether it was let go.
    log: Vec<(Envelope, bool)>,
}

impl MemoryBuffer {
    pub(super) fn start() -> Arc<Self> {
        let world = Arc::new(Mutex::new(World::default()));
        let (queue, jobs) = sync_channel::<(MailboxId, Act, Done)>(65_536);
        let shared = Arc::clone(&world);
        let work = move || {
            for (mailbox, act, done) in jobs {
                let answer = shared.lock().unwrap().act(mailbox, act);
                done(answer);
            }
        };
        crate::ops::tasks::Tasks::new().spawn_thread("model", work).unwrap();
        Arc::new(Self { world, queue })
    }
}

impl World {
    fn next(&mut self) -> Seq {
        self.last += 1;
        Seq::new(self.last)
    }

    fn act(&mut self, mailbox: MailboxId, act: Act) -> Result<Outcome, BufferError> {
        match act {
            Act::Create { rows, max_mailboxes, toll } => {
                if mailbox == RELAY || self.mailboxes.contains_key(&mailbox) {
                    return Err(BufferError::Exists);
                }
                if self.mailboxes.len() as u64 >= max_mailboxes {
                    return Err(BufferError::TooManyMailboxes);
                }
                let paid = match toll {
                    None => None,
                    Some(Toll { part, pay }) => {
                        let row = self.own.rows.get(&part).ok_or(BufferError::Unpaid)?;
                        let value = Some(pay(&row.1).ok_or(BufferError::Unpaid)?);
                        Some(RowWrite { part, value })
                    }
                };
                let number = self.next();
                self.own.write(paid.into_iter().collect(), number);
                self.mailboxes.entry(mailbox).or_default().write(rows, number);
                Ok(Outcome::Written(number))
            }
            Act::Write { rows, .. } if mailbox == RELAY => {
                let number = self.next();
                self.own.write(rows, number);
                Ok(Outcome::Written(number))
            }
            Act::Write { rows, trim } => {
                if !self.mailboxes.contains_key(&mailbox) {
                    return Err(BufferError::NoMailbox);
                }
                let number = self.next();
                let house = self.mailboxes.get_mut(&mailbox).unwrap();
                for (envelope, gone) in &mut house.log {
                    *gone |= trim.is_some_and(|upto| envelope.seq <= upto);
                }
                house.write(rows, number);
                Ok(Outcome::Written(number))
            }
            Act::Append(append) => {
                let link = append.link.clone();
                let answer = self.append(mailbox, append);
                if answer.is_err() {
                    link.break_here();
                }
                answer
            }
            Act::Delete => {
                if self.mailboxes.remove(&mailbox).is_none() {
                    return Err(BufferError::NoMailbox);
                }
                Ok(Outcome::Written(self.next()))
            }
        }
    }

    fn append(&mut self, mailbox: MailboxId, act: AppendAct) -> Result<Outcome, BufferError> {
        let known = self.mailboxes.get(&mailbox).and_then(|house| house.known(act.id));
        if let Some(stored) = known {
            return Ok(Outcome::Already(stored));
        }
        if act.link.is_aborted() {
            return Err(BufferError::Aborted);
        }
        let house = self.mailboxes.get(&mailbox).ok_or(BufferError::NoMailbox)?;
        let epoch = house.rows.get(&Part { tag: Part::EPOCH, key: Vec::new() });
        let epoch = epoch.map(|(revision, _)| *revision);
        if act.epoch.is_some() && act.epoch != epoch {
            return Err(BufferError::StaleEpoch);
        }
        let level = house.level(act.now);
        let (spare_entries, spare_bytes) =
            if act.commit { (0, 0) } else { (act.quota.reserve_entries, act.quota.reserve_bytes) };
        if level.entries + spare_entries + 1 > act.quota.entries
            || level.bytes + spare_bytes + act.body.len() as u64 > act.quota.bytes
        {
            return Err(BufferError::Full);
        }
        let seq = self.next();
        let house = self.mailboxes.get_mut(&mailbox).unwrap();
        let prev = house.log.last().map_or(Seq::START, |(envelope, _)| envelope.seq);
        let AppendAct { id, class, expires_at, body, commit, .. } = act;
        let epoch = act.epoch.unwrap_or(Seq::START);
        let envelope = Envelope { seq, prev, epoch, id, class, expires_at, commit, body };
        house.log.push((envelope, false));
        house.write(act.rows, seq);
        Ok(Outcome::Stored(Stored { seq, prev, expires_at, commit }))
    }
}

impl House {
    fn write(&mut self, rows: Vec<RowWrite>, number: Seq) {
        for RowWrite { part, value } in rows {
            match value {
                Some(value) => drop(self.rows.insert(part, (number, value))),
                None => drop(self.rows.remove(&part)),
            }
        }
    }

    fn known(&self, id: EnvelopeId) -> Option<Stored> {
        let (found, _) = self.log.iter().find(|(envelope, _)| envelope.id == id)?;
        let Envelope { seq, prev, expires_at, commit, .. } = *found;
        Some(Stored { seq, prev, expires_at, commit })
    }

    fn live(&self, now: UnixTime) -> impl Iterator<Item = &Envelope> {
        let live =
            self.log.iter().filter(move |(envelope, gone)| !gone && envelope.expires_at > now);
        live.map(|(envelope, _)| envelope)
    }

    fn level(&self, now: UnixTime) -> Level {
        Level {
            entries: u32::try_from(self.live(now).count()).unwrap(),
            bytes: self.live(now).map(|envelope| envelope.body.len() as u64).sum(),
            head: self.log.last().map_or(Seq::START, |(envelope, _)| envelope.seq),
        }
    }
}

impl Buffer for MemoryBuffer {
    fn submit(&self, mailbox: MailboxId, act: Act, done: Done) -> Result<(), Done> {
        self.queue.try_send((mailbox, act, done)).map_err(|error| match error {
            std::sync::mpsc::TrySendError::Full((_, _, done))
            | std::sync::mpsc::TrySendError::Disconnected((_, _, done)) => done,
        })
    }

    fn rows(&self, mailbox: MailboxId, tags: RangeInclusive<u8>) -> Result<Vec<Row>, BufferError> {
        let world = self.world.lock().unwrap();
        let own = (mailbox == RELAY).then_some(&world.own);
        let house = world.mailboxes.get(&mailbox).or(own);
        let rows = house.into_iter().flat_map(|house| &house.rows);
        let found = rows.filter(|(part, _)| tags.contains(&part.tag));
        let row = |(part, (revision, value)): (&Part, &(Seq, Bytes))| Row {
            part: part.clone(),
            revision: *revision,
            value: value.clone(),
        };
        Ok(found.map(row).collect())
    }

    fn row(&self, mailbox: MailboxId, part: &Part) -> Result<Option<Row>, BufferError> {
        Ok(self.rows(mailbox, part.tag..=part.tag)?.into_iter().find(|row| row.part == *part))
    }

    fn all_rows(&self, tag: u8, each: &mut dyn FnMut(MailboxId, Row)) -> Result<(), BufferError> {
        let mailboxes: Vec<_> = self.world.lock().unwrap().mailboxes.keys().copied().collect();
        for mailbox in mailboxes {
            self.rows(mailbox, tag..=tag)?.into_iter().for_each(|row| each(mailbox, row));
        }
        Ok(())
    }

    fn mailboxes(
        &self,
        after: Option<MailboxId>,
        max: usize,
    ) -> Result<Vec<MailboxId>, BufferError> {
        let world = self.world.lock().unwrap();
        let behind = |id: &&MailboxId| after.is_none_or(|after| **id > after);
        Ok(world.mailboxes.keys().filter(behind).take(max).copied().collect())
    }

    fn read(&self, mailbox: MailboxId, span: Span, now: UnixTime) -> Result<Page, BufferError> {
        let world = self.world.lock().unwrap();
        let mut page = Page { envelopes: Vec::new(), more: false };
        let mut bytes = 0;
        for envelope in world.mailboxes.get(&mailbox).into_iter().flat_map(|h| h.live(now)) {
            if envelope.seq <= span.after || envelope.seq > span.upto {
                continue;
            }
            bytes += envelope.body.len();
            let fits = page.envelopes.is_empty() || bytes <= span.max_bytes;
            if page.envelopes.len() >= span.max || !fits {
                page.more = true;
                break;
            }
            page.envelopes.push(envelope.clone());
        }
        Ok(page)
    }

    fn lookup(&self, mailbox: MailboxId, id: EnvelopeId) -> Option<Stored> {
        self.world.lock().unwrap().mailboxes.get(&mailbox)?.known(id)
    }

    /// Nothing is held: it must be let go as any other.
    fn confirm(&self, mailbox: MailboxId, upto: Seq, now: UnixTime) -> bool {
        let world = self.world.lock().unwrap();
        let mut live = world.mailboxes.get(&mailbox).into_iter().flat_map(|house| house.live(now));
        live.all(|envelope| envelope.seq > upto)
    }

    fn last(&self) -> Seq {
        Seq::new(self.world.lock().unwrap().last)
    }

    fn level(&self, mailbox: MailboxId, now: UnixTime) -> Level {
        let world = self.world.lock().unwrap();
        world.mailboxes.get(&mailbox).map_or(Level::default(), |house| house.level(now))
    }

    fn restored(&self) -> Seq {
        Seq::START
    }

    fn queued(&self) -> usize {
        0
    }

    fn tick(&self, _: UnixTime) {}
}
