//! Giving and taking back rights (CMD-8 to CMD-10; MBX-12).

use std::sync::Arc;

use bytes::Bytes;
use restante_crypto::verify_possession;
use restante_spec::codes::Code;
use restante_spec::ids::{PublicKey, ReaderHash, Seq, Signature, UnixTime};
use restante_spec::limits;
use restante_spec::message::{MailboxClass, Refusal, Terms};

use super::api::{Access, Answer, Notice, Notices, Respond};
use super::authorise::{Need, authorise};
use super::rows::{self, KeyRow, ReaderRow};
use super::service::{Service, damaged, refusal};
use super::state::{Key, Mailbox, Reader};
use crate::buffer::{Act, Buffer, BufferError, Outcome, RowWrite};
use crate::rate::Pace;

/// What became of an act that writes rows.
pub(super) type Written = Result<Outcome, BufferError>;

/// Puts a durable change into memory; the number is that of its act.
type Apply = Box<dyn FnOnce(&mut Mailbox, Seq) + Send>;

/// What a managing call changes: rows, then the state in memory.
pub(super) struct Managed {
    rows: Vec<RowWrite>,
    apply: Apply,
    /// What is told when it is written or not: others were judged by it meanwhile.
    notice: Option<Notice>,
}

impl<B: Buffer, N: Notices> Service<B, N> {
    /// Gives a key rights (CMD-8).
    #[expect(clippy::too_many_arguments, reason = "the fields of the command")]
    pub(super) fn allow(
        self: &Arc<Self>,
        access: Access,
        key: PublicKey,
        possession: &Signature,
        terms: Terms,
        card: Bytes,
        now: UnixTime,
        respond: Respond,
    ) {
        let proof = verify_possession(&key, &access.mailbox, possession);
        self.manage(access, now, respond, move |mailbox| {
            // CMD-3
            proof.map_err(|_| {
                Refusal::new(Code::Denied, "the key's proof of possession is wrong")
            })?;
            // LIM-6
            if card.len() > limits::CARD_BYTES {
                return Err(Refusal::new(Code::TooLarge, "a card has at most 4096 bytes"));
            }
            if key == mailbox.first_key {
                return Err(Refusal::new(Code::Conflict, "this is the mailbox's manage key"));
            }
            // LIM-4
            if !mailbox.keys.contains_key(&key) && mailbox.keys.len() >= limits::KEYS {
                return Err(Refusal::new(Code::Quota, "as many keys as there may be"));
            }
            // Repeated, it replaces the terms and keeps the count: a retry gives no new uses.
            let before = mailbox.keys.get(&key);
            let used = before.map_or(0, |found| found.used);
            // DLV-10: who reads by it already looks again, also if it fails.
            let notice = Some(Notice::Changed { key });
            let row = rows::put(rows::of_key(rows::KEY, &key), &KeyRow::from((&terms, used)));
            let part = rows::of_key(rows::CARD, &key);
            let card = if card.is_empty() { rows::remove(part) } else { rows::keep(part, &card) };
            let rows = vec![row.map_err(|_| damaged())?, card];
            // What is judged behind this act is judged by it: a revocation finds the key, and an
            // append writes the count of its uses beside these terms.
            let given = mailbox.next_given();
            let fresh = Key { terms, used, pace: Pace::default(), given };
            mailbox.keys.entry(key).or_insert(fresh).terms = terms;
            Ok(Managed { rows, apply: Box::new(|_, _| ()), notice })
        });
    }

    /// Strikes a key (CMD-9). It can do nothing from the moment the act is queued; what was
    /// judged before stands before it in the queue (MBX-12).
    pub(super) fn revoke(
        self: &Arc<Self>,
        access: Access,
        key: PublicKey,
        now: UnixTime,
        respond: Respond,
    ) {
        self.change(access, Need::Manage, now, respond, move |mailbox| {
            if key == mailbox.first_key {
                return Err(Refusal::new(Code::Conflict, "this is the mailbox's manage key"));
            }
            mailbox.keys.remove(&key);
            let rows = vec![
                rows::remove(rows::of_key(rows::KEY, &key)),
                rows::remove(rows::of_key(rows::CARD, &key)),
            ];
            Ok((rows, move |service: &Arc<Self>, mailbox: &mut Mailbox, outcome: Written| {
                outcome.map_err(refusal)?;
                service.notices.notice(mailbox.id, Notice::Struck { key, code: Code::Revoked });
                Ok(Answer::Done)
            }))
        });
    }

    /// Registers a reader, standing at now (CMD-10, MBX-10).
    pub(super) fn add_reader(
        self: &Arc<Self>,
        access: Access,
        reader: ReaderHash,
        now: UnixTime,
        respond: Respond,
    ) {
        self.manage(access, now, respond, move |mailbox| {
            // MBX-17
            if mailbox.class == MailboxClass::Room {
                return Err(Refusal::new(Code::Unsupported, "a room has no registered readers"));
            }
            // One that is known keeps its place, and holds back again what comes behind it.
            let known = mailbox.readers.get(&reader).map(|found| found.cursor);
            // LIM-4
            if known.is_none() && mailbox.readers.len() >= limits::READERS {
                return Err(Refusal::new(Code::Quota, "as many readers as there may be")
                    .lagging(mailbox.lagging()));
            }
            let mut rows = mailbox.renewal(now).map_err(|_| damaged())?;
            let row = ReaderRow { cursor: known.map(Seq::get), seen: now.get() };
            rows.push(rows::put(rows::of_reader(&reader), &row).map_err(|_| damaged())?);
            // What is judged behind this act is judged by it: asked for again it moves nothing, and
            // nobody lets go of what comes behind it.
            mailbox.renew(now);
            let head = self.buffer.level(mailbox.id, now).head;
            mailbox.readers.entry(reader).or_insert(Reader::new(head, now)).seen = now;
            let apply = Box::new(move |mailbox: &mut Mailbox, number: Seq| {
                let found = mailbox.readers.get_mut(&reader).filter(|_| known.is_none());
                if let Some(found) = found {
                    found.cursor = found.cursor.max(number);
                }
            });
            Ok(Managed { rows, apply, notice: None })
        });
    }

    /// A call that needs `manage` and changes rows.
    pub(super) fn manage<F>(
        self: &Arc<Self>,
        access: Access,
        now: UnixTime,
        respond: Respond,
        change: F,
    ) where
        F: FnOnce(&mut Mailbox) -> Result<Managed, Refusal>,
    {
        self.change(access, Need::Manage, now, respond, |mailbox| {
            let Managed { rows, apply, notice } = change(mailbox)?;
            let done = move |service: &Arc<Self>, mailbox: &mut Mailbox, outcome| {
                let answer = match outcome {
                    Ok(Outcome::Written(number)) => {
                        apply(mailbox, number);
                        Ok(Answer::Done)
                    }
                    Ok(Outcome::Stored(_) | Outcome::Already(_) | Outcome::Settled(_)) => {
                        Err(damaged())
                    }
                    Err(error) => Err(refusal(error)),
                };
                if let Some(notice) = notice {
                    service.notices.notice(mailbox.id, notice);
                }
                answer
            };
            Ok((rows, done))
        });
    }

    /// A call that changes rows: authorised, judged and submitted under the mailbox's lock, then
    /// answered when durable.
    pub(super) fn change<F, D>(
        self: &Arc<Self>,
        access: Access,
        need: Need,
        now: UnixTime,
        respond: Respond,
        judge: F,
    ) where
        F: FnOnce(&mut Mailbox) -> Result<(Vec<RowWrite>, D), Refusal>,
        D: FnOnce(&Arc<Self>, &mut Mailbox, Written) -> Result<Answer, Refusal> + Send + 'static,
    {
        let cell = match self.get(access) {
            Ok(cell) => cell,
            Err(refusal) => return respond(Err(refusal)),
        };
        let mut mailbox = super::service::lock(&cell);
        let judged = authorise(&mailbox, access.key, need, (), now)
            .and_then(|_authorised| judge(&mut mailbox));
        let (rows, done) = match judged {
            Ok(judged) => judged,
            Err(refusal) => {
                drop(mailbox);
                return respond(Err(refusal));
            }
        };
        let act = Act::Write { rows, trim: None };
        let submitted =
            self.submit(&cell, access.mailbox, act, move |service, mailbox, outcome| {
                respond(done(service, mailbox, outcome));
            });
        drop(mailbox);
        super::service::give_back(submitted);
    }
}
