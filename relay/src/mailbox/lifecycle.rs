//! How a mailbox begins, is opened, and ends (CMD-5, CMD-6, CMD-16; MBX-13 to MBX-15).

use std::sync::Arc;

use bytes::Bytes;
use restante_crypto::{OpenChallenge, verify_possession};
use restante_spec::codes::Code;
use restante_spec::ids::{MailboxId, Nonce, PublicKey, Seconds, Seq, Signature, UnixTime};
use restante_spec::limits;
use restante_spec::message::{Create, Created, MailboxClass, Opened, Refusal, Rights, Terms};

use super::api::{Access, Answer, Notice, Notices, Respond, epoch_name};
use super::authorise::{Grant, Need, authorise, authorise_open, not_found, not_now};
use super::rows::{self, BadRow, ControlRow, EpochRow, KeyRow, OpenedRow, ReaderRow};
use super::service::{Service, damaged, give_back, lock, refusal};
use super::state::{Mailbox, class_number};
use crate::buffer::{Act, Buffer, BufferError, Outcome, RELAY, RowWrite};
use crate::ops::metrics::Shed;

/// Seconds of a day.
const DAY: u64 = 86_400;

impl<B: Buffer, N: Notices> Service<B, N> {
    /// Makes a mailbox (CMD-5).
    pub(super) fn create(self: &Arc<Self>, create: Create, now: UnixTime, respond: Respond) {
        if let Err(refusal) = self.take_in(Shed::Mailbox) {
            return respond(Err(refusal));
        }
        let ttl = create.ttl.unwrap_or(self.settings.ttl_default).min(self.settings.ttl_max);
        let rows = match first_rows(&create, ttl, now) {
            Ok(rows) => rows,
            Err(refusal) => return respond(Err(refusal)),
        };
        let service = Arc::clone(self);
        let id = create.mailbox;
        let toll = self.toll(&create, now);
        let act = Act::Create { rows, max_mailboxes: self.settings.mailboxes, toll };
        let done = Box::new(move |outcome| {
            respond(match outcome {
                Ok(Outcome::Written(number)) => Ok(created(create.class, number, ttl)),
                Ok(Outcome::Stored(_) | Outcome::Already(_) | Outcome::Settled(_)) => {
                    Err(damaged())
                }
                Err(BufferError::Exists) => service.created_before(&create),
                Err(error) => Err(refusal(error)),
            });
        });
        give_back(self.buffer.submit(id, act, done));
    }

    /// The first answer again, to the same id and first key (MBX-14).
    fn created_before(&self, create: &Create) -> Result<Answer, Refusal> {
        // ADM-3: under this name stand the relay's own rows.
        let taken = || Refusal::new(Code::Conflict, "the relay, or another mailbox, has this id");
        if create.mailbox == RELAY {
            return Err(taken());
        }
        // It was there: asked again, it is made.
        let cell = self.find(create.mailbox)?.ok_or_else(not_now)?;
        let mailbox = lock(&cell);
        if mailbox.first_key != create.key || mailbox.class != create.class {
            return Err(taken());
        }
        Ok(created(mailbox.class, mailbox.created, mailbox.ttl))
    }

    /// Shows possession of a key (CMD-6).
    pub(super) fn open(
        self: &Arc<Self>,
        id: MailboxId,
        key: PublicKey,
        nonce: Nonce,
        proof: &Signature,
        now: UnixTime,
    ) -> Result<Answer, Refusal> {
        let challenge = OpenChallenge { relay: self.identity, nonce, mailbox: id };
        let cell = self.find(id)?;
        let mut mailbox = cell.as_ref().map(|cell| lock(cell));
        let authorised = match authorise_open(mailbox.as_deref(), &challenge, key, proof, now) {
            Ok(authorised) => authorised,
            Err(refused) => {
                // MBX-15: known or not, it is looked up, and a store that fails says the same.
                self.buffer.row(id, &rows::single(rows::CONTROL)).map_err(refusal)?;
                return Err(refused);
            }
        };
        let Some(mailbox) = mailbox.as_deref_mut() else { return Err(not_found()) };
        let ((), key, grant) = authorised.into_parts();
        let card = match grant {
            Grant::Terms { .. } => {
                let part = rows::of_key(rows::CARD, &key);
                self.buffer.row(id, &part).map_err(refusal)?.map_or_else(Bytes::new, |r| r.value)
            }
            Grant::Epoch { .. } | Grant::Replaced(_) => Bytes::new(),
        };
        self.note_opened(mailbox, now);
        let opened = self.opened(mailbox, &key, grant, now);
        Ok(Answer::Opened(opened, card))
    }

    fn opened(&self, mailbox: &Mailbox, key: &PublicKey, grant: Grant, now: UnixTime) -> Opened {
        let rights = match grant {
            Grant::Terms { .. } => {
                mailbox.keys.get(key).map_or_else(Rights::default, |key| key.terms.rights)
            }
            Grant::Epoch { .. } => Rights { read: true, write: true, ..Rights::default() },
            Grant::Replaced(_) => Rights { read: true, ..Rights::default() },
        };
        let (epoch, from, upto) = match grant {
            Grant::Terms { .. } => (None, Seq::START, None),
            Grant::Epoch { number } => (epoch_name(number), number, None),
            Grant::Replaced(old) => (epoch_name(old.from), old.from, Some(old.upto)),
        };
        let expires_at = match grant {
            Grant::Terms { expires_at, .. } => expires_at,
            Grant::Epoch { .. } | Grant::Replaced(_) => None,
        };
        // ERR-4: whoever may manage or commit learns early who holds the mailbox full.
        let tells = rights.manage || matches!(grant, Grant::Epoch { .. });
        let lagging =
            if tells && self.is_filling(mailbox, now) { mailbox.lagging() } else { Vec::new() };
        let ttl = mailbox.ttl;
        let Mailbox { class, memory_first, .. } = *mailbox;
        Opened { class, rights, ttl, epoch, from, upto, expires_at, lagging, memory_first }
    }

    /// From 3/4 full on (ERR-4).
    fn is_filling(&self, mailbox: &Mailbox, now: UnixTime) -> bool {
        let level = self.buffer.level(mailbox.id, now);
        let quota = self.settings.quota;
        u64::from(level.entries) * 4 >= u64::from(quota.entries) * 3
            || level.bytes * 4 >= quota.bytes * 3
    }

    /// Notes the day of the last open, once a day (MBX-13).
    fn note_opened(self: &Arc<Self>, mailbox: &mut Mailbox, now: UnixTime) {
        let day = u32::try_from(now.get() / DAY).unwrap_or(u32::MAX);
        if mailbox.class != MailboxClass::Conversation || mailbox.opened_day >= day {
            return;
        }
        if let Ok(row) = rows::put(rows::single(rows::OPENED), &OpenedRow { day }) {
            let act = Act::Write { rows: vec![row], trim: None };
            // A lost note is made again at the next open.
            if self.buffer.submit(mailbox.id, act, Box::new(|_| ())).is_ok() {
                mailbox.opened_day = day;
            }
        }
    }

    /// Deletes the mailbox (CMD-16).
    pub(super) fn delete(self: &Arc<Self>, access: Access, now: UnixTime, respond: Respond) {
        let cell = match self.get(access) {
            Ok(cell) => cell,
            Err(refusal) => return respond(Err(refusal)),
        };
        let mut mailbox = lock(&cell);
        if let Err(refusal) = authorise(&mailbox, access.key, Need::Manage, (), now) {
            drop(mailbox);
            return respond(Err(refusal));
        }
        let submitted = self.end(&cell, &mut mailbox, move |outcome| {
            respond(outcome.map(|_| Answer::Done).map_err(refusal));
        });
        drop(mailbox);
        give_back(submitted);
    }

    fn end<F>(
        self: &Arc<Self>,
        cell: &Arc<super::service::Cell>,
        mailbox: &mut Mailbox,
        done: F,
    ) -> Result<(), crate::buffer::Done>
    where
        F: FnOnce(Result<Outcome, BufferError>) + Send + 'static,
    {
        self.suspend_blobs(mailbox.id);
        // CMD-16: what is written behind it could be of a mailbox that is made anew. Where it is
        // not done, the state is read again.
        mailbox.deleted = true;
        self.submit(cell, mailbox.id, Act::Delete, move |service, mailbox, outcome| {
            if outcome.is_ok() {
                service.notices.notice(mailbox.id, Notice::Deleted);
            }
            service.end_blobs(mailbox.id, outcome);
            done(outcome);
        })
    }

    /// Deletes conversations nobody has opened for long, or that are closed and empty (MBX-13).
    /// Looks at `max` mailboxes behind `after`; returns where to go on, `None` at the end.
    pub(crate) fn sweep(
        self: &Arc<Self>,
        after: Option<MailboxId>,
        max: usize,
        now: UnixTime,
    ) -> Option<MailboxId> {
        let ids = self.buffer.mailboxes(after, max).ok()?;
        for id in &ids {
            let Ok(Some(cell)) = self.find(*id) else { continue };
            let mut mailbox = lock(&cell);
            if self.is_over(&mailbox, now) {
                let submitted = self.end(&cell, &mut mailbox, |_| ());
                drop(mailbox);
                give_back(submitted);
            }
        }
        if ids.len() < max { None } else { ids.last().copied() }
    }

    fn is_over(&self, mailbox: &Mailbox, now: UnixTime) -> bool {
        if mailbox.class != MailboxClass::Conversation || !mailbox.is_current() {
            return false;
        }
        let idle_since = UnixTime::new(u64::from(mailbox.opened_day) * DAY);
        let idle = mailbox.opened_day != 0 && idle_since.after(limits::IDLE_CONVERSATION) < now;
        let closed =
            mailbox.epoch.is_none() && mailbox.replaced.values().all(|old| old.expires_at <= now);
        idle || closed
    }
}

fn created(class: MailboxClass, number: Seq, ttl: Seconds) -> Answer {
    let epoch = match class {
        MailboxClass::Conversation => epoch_name(number),
        MailboxClass::Inbox | MailboxClass::Room => None,
    };
    Answer::Created(Created { epoch, ttl })
}

/// The rows a mailbox begins with.
fn first_rows(create: &Create, ttl: Seconds, now: UnixTime) -> Result<Vec<RowWrite>, Refusal> {
    // CMD-3
    verify_possession(&create.key, &create.mailbox, &create.possession)
        .map_err(|_| Refusal::new(Code::Denied, "the key's proof of possession is wrong"))?;
    // MBX-21: nobody could confirm what a room has.
    if create.memory_first && create.class == MailboxClass::Room {
        return Err(Refusal::new(Code::Unsupported, "a room is not memory-first"));
    }
    let first = match create.class {
        MailboxClass::Inbox | MailboxClass::Room => {
            let rights = Rights { read: true, manage: true, ..Rights::default() };
            let terms = Terms { rights, expires_at: None, uses: None, rate: None };
            rows::put(rows::of_key(rows::KEY, &create.key), &KeyRow::from((&terms, 0)))
        }
        MailboxClass::Conversation => {
            rows::put(rows::single(rows::EPOCH), &EpochRow { key: *create.key.as_bytes() })
        }
    };
    let control = ControlRow {
        class: class_number(create.class),
        ttl: ttl.get(),
        first_key: *create.key.as_bytes(),
        memory_first: create.memory_first,
    };
    let day = u32::try_from(now.get() / DAY).unwrap_or(u32::MAX);
    let all = || -> Result<Vec<RowWrite>, BadRow> {
        let mut all = vec![
            rows::put(rows::single(rows::CONTROL), &control)?,
            first?,
            rows::put(rows::single(rows::OPENED), &OpenedRow { day })?,
        ];
        // MBX-17: a room has no readers.
        if create.class != MailboxClass::Room {
            let reader = ReaderRow { cursor: None, seen: now.get() };
            all.push(rows::put(rows::of_reader(&create.reader), &reader)?);
        }
        Ok(all)
    };
    all().map_err(|BadRow| damaged())
}
