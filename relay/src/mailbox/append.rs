//! Appending: messages and commits (CMD-11; MBX-4 to MBX-8).
//!
//! The id is looked up first, then rights' time, uses, rate and form are judged here and chain,
//! epoch and room by the buffer, in one step with the storing. Where judging spends nothing, the
//! buffer is the one that looks the id up.

use std::sync::{Arc, MutexGuard};

use bytes::Bytes;
use restante_crypto::verify_possession;
use restante_spec::codes::Code;
use restante_spec::ids::{
    BlobId, EnvelopeId, MailboxId, PublicKey, ReaderHash, Seconds, Seq, UnixTime,
};
use restante_spec::limits;
use restante_spec::message::{Appended, Commit, EnvelopeClass, MailboxClass, Rate, Refusal};

use super::api::{
    Access, Answer, AppendAsk, ChainLink, Notice, Notices, Origin, Respond, epoch_name,
};
use super::authorise::{Authorised, Grant, Need, authorise, not_restored};
use super::rows::{self, BadRow, EpochRow, KeyRow, ReaderRow, ReplacedRow};
use super::service::{Cell, Service, damaged, give_back, lock, refusal};
use super::state::{CurrentEpoch, Given, Mailbox, Reader, Replaced, Waiting};
use super::tail::Kept;
use crate::buffer::{
    Act, AppendAct, Buffer, BufferError, Done, Envelope, Outcome, RowWrite, Seen, Stored,
};
use crate::ops::metrics::Shed;

/// How fast commits may come (LIM-13).
const COMMIT_RATE: Rate = Rate {
    count: limits::COMMIT_BURST,
    per: Seconds::new(limits::COMMIT_BURST / limits::COMMITS_PER_SECOND),
};

/// What a stored append changes in memory.
struct Change {
    /// The key whose use was reserved, and when it was given.
    used: Option<(PublicKey, Given)>,
    commit: Option<Commit>,
    expires_at: UnixTime,
    now: UnixTime,
}

/// An envelope without its place.
#[derive(Clone)]
struct Fresh {
    epoch: Seq,
    id: EnvelopeId,
    class: EnvelopeClass,
    body: Bytes,
    origin: Origin,
    at: UnixTime,
}

impl Fresh {
    fn new(act: &AppendAct, origin: Origin) -> Self {
        let AppendAct { id, class, now: at, .. } = *act;
        let (epoch, body) = (act.epoch.unwrap_or(Seq::START), act.body.clone());
        Self { epoch, id, class, body, origin, at }
    }

    fn envelope(self, stored: Stored) -> Envelope {
        let Self { epoch, id, class, body, .. } = self;
        let Stored { seq, prev, expires_at, commit } = stored;
        Envelope { seq, prev, epoch, id, class, expires_at, commit, body }
    }
}

impl<B: Buffer, N: Notices> Service<B, N> {
    /// Appends an envelope (CMD-11).
    pub(super) fn append(
        self: &Arc<Self>,
        access: Access,
        ask: AppendAsk,
        now: UnixTime,
        respond: Respond,
    ) {
        // MBX-19
        if ask.class == EnvelopeClass::Live {
            return self.pass_on(access, ask, now, respond);
        }
        let cell = match self.get(access) {
            Ok(cell) => cell,
            Err(refusal) => return refuse(&ask.link, respond, refusal),
        };
        let mut mailbox = lock(&cell);
        let id = ask.id;
        let link = ask.link.clone();
        let is_commit = ask.commit.is_some();
        let authorised = match authorise(&mailbox, access.key, Need::Write, ask, now) {
            Ok(authorised) => authorised,
            Err(refusal) => {
                drop(mailbox);
                return refuse(&link, respond, refusal);
            }
        };
        // MBX-5: known ids first. One that is under way gets the same answer when it comes.
        if mailbox.in_flight.contains_key(&id) {
            return self.join(mailbox, access, id, Waiting { respond, link });
        }
        let spends = is_commit || !authorised.is_of_epoch();
        if let Some(answer) = spends.then(|| self.answered(access, id)).flatten() {
            drop(mailbox);
            return respond(Ok(answer));
        }
        let taken = self.take_in(Shed::Append);
        let judged = taken.and_then(|()| self.judge(&mut mailbox, authorised, now));
        let (mut act, change, origin) = match judged {
            Ok(judged) => judged,
            Err(refusal) => {
                let answer = self.answered(access, id).ok_or(refusal);
                if answer.is_err() {
                    link.break_here();
                }
                drop(mailbox);
                return respond(answer);
            }
        };
        let fresh = Fresh::new(&act, origin);
        // MBX-21
        if mailbox.memory_first && !act.commit && act.rows.is_empty() {
            act.hold = Some(self.seen(access.mailbox, fresh.clone()));
        }
        mailbox.in_flight.insert(id, vec![Waiting { respond, link }]);
        mailbox.acks.striking += u32::from(change.strikes());
        let again = Arc::clone(&cell);
        let submitted = self.submit(
            &cell,
            access.mailbox,
            Act::Append(act),
            move |service, mailbox, outcome| {
                mailbox.acks.striking -= u32::from(change.strikes());
                service.settle_kept(change.blobs(), outcome);
                match outcome {
                    Ok(Outcome::Stored(stored)) => {
                        service.stored(&again, mailbox, &change, fresh.envelope(stored), origin);
                    }
                    // All were told when it was seen.
                    Ok(Outcome::Settled(_)) => {}
                    _ => service.give_use_back(mailbox, change.used),
                }
                if change.strikes() {
                    // What has waited for the commit.
                    service.write_cursors(&again, mailbox, now);
                }
                let answer = answer(mailbox, outcome);
                respond_all(mailbox.in_flight.remove(&id).unwrap_or_default(), answer);
            },
        );
        queued(mailbox, id, submitted);
    }

    /// Waits with the others for the answer to the same id, unless theirs may be refused already:
    /// then what comes behind it here would be stored (MBX-6).
    fn join(
        &self,
        mut mailbox: MutexGuard<'_, Mailbox>,
        access: Access,
        id: EnvelopeId,
        next: Waiting,
    ) {
        let all = mailbox.in_flight.entry(id).or_default();
        if all.first().is_none_or(|first| first.link.carry(&next.link)) {
            return all.push(next);
        }
        // MBX-5: a known id breaks nothing.
        let answer = self.answered(access, id).ok_or_else(|| refusal(BufferError::Unavailable));
        drop(mailbox);
        respond_all(vec![next], answer);
    }

    /// What was said of this id, if it is stored (MBX-5).
    fn answered(&self, access: Access, id: EnvelopeId) -> Option<Answer> {
        let stored = self.buffer.lookup(access.mailbox, id)?;
        Some(Answer::Appended(appended(stored, true)))
    }

    /// Tells whoever is online of an envelope that is held in memory (MBX-21).
    fn seen(self: &Arc<Self>, mailbox: MailboxId, fresh: Fresh) -> Seen {
        let service = Arc::clone(self);
        Box::new(move |stored| {
            let (origin, at) = (fresh.origin, fresh.at);
            let notice = Notice::Appended { envelope: fresh.envelope(stored), origin, at };
            service.notices.notice(mailbox, notice);
        })
    }

    /// What a stored envelope changes, and who is told of it.
    fn stored(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        mailbox: &mut Mailbox,
        change: &Change,
        envelope: Envelope,
        origin: Origin,
    ) {
        let (seq, expires_at, at) = (envelope.seq, envelope.expires_at, change.now);
        change.apply(mailbox, seq);
        let kept = Kept { seq, size: envelope.body.len(), expires_at };
        self.keep_tail(cell, mailbox, kept, at);
        self.notices.notice(mailbox.id, Notice::Appended { envelope, origin, at });
    }

    /// Everything the buffer does not judge; reserves a use.
    fn judge(
        &self,
        mailbox: &mut Mailbox,
        authorised: Authorised<AppendAsk>,
        now: UnixTime,
    ) -> Result<(AppendAct, Change, Origin), Refusal> {
        let (ask, key, grant) = authorised.into_parts();
        if mailbox.class == MailboxClass::Room {
            self.tail(mailbox, now)?;
        }
        let no = |code, detail| Err(Refusal::new(code, detail));
        let mut rows = Vec::new();
        let mut used = None;
        let epoch = match grant {
            Grant::Epoch { number } => {
                // MBX-7: the epoch named must be the key's, which is the current one.
                if ask.epoch.is_none() || ask.epoch != epoch_name(number) {
                    return no(Code::StaleEpoch, "another epoch is current");
                }
                not_restored(mailbox, self.buffer.restored())?;
                Some(number)
            }
            Grant::Replaced(_) => return no(Code::StaleEpoch, "this key's epoch is over"),
            Grant::Terms { over, .. } => {
                if ask.epoch.is_some() || ask.commit.is_some() {
                    return no(Code::Unsupported, "this mailbox has no epochs");
                }
                // MBX-12: the use is written with the envelope.
                let found = mailbox.may_append(key, over, now)?;
                if found.terms.uses.is_some() {
                    found.used += 1;
                    let row = KeyRow::from((&found.terms, found.used));
                    let part = rows::of_key(rows::KEY, &key);
                    rows.push(rows::put(part, &row).map_err(|_| damaged())?);
                    used = Some((key, found.given));
                }
                None
            }
        };
        let full_ttl = ask.ttl.unwrap_or(mailbox.ttl).min(mailbox.ttl);
        // Commits are kept as long as the mailbox keeps anything (MBX-8).
        let ttl = if ask.commit.is_some() { mailbox.ttl } else { full_ttl };
        let expires_at = now.after(ttl);
        if let Some(commit) = &ask.commit {
            judge_commit(mailbox, commit, expires_at, now, &mut rows)?;
            // Last: what is kept from here on is let go with the outcome.
            rows.extend(self.keep_blobs(mailbox.id, &commit.blobs, expires_at, now)?);
        }
        let act = AppendAct {
            id: ask.id,
            class: ask.class,
            expires_at,
            body: self.alone(ask.body),
            link: ask.link,
            epoch,
            commit: ask.commit.is_some(),
            rows,
            quota: self.settings.quota_of(mailbox.class),
            now,
            hold: None,
        };
        Ok((act, Change { used, commit: ask.commit, expires_at, now }, ask.origin))
    }

    /// A body is a slice of all that was read with it: what waits behind others keeps alive no more
    /// than it counts for.
    fn alone(&self, body: Bytes) -> Bytes {
        if self.buffer.queued() > 0 { Bytes::copy_from_slice(&body) } else { body }
    }

    /// The envelope was not stored: its use does not count (MBX-12). Written down, since a later
    /// append may have written the higher count.
    fn give_use_back(self: &Arc<Self>, mailbox: &mut Mailbox, used: Option<(PublicKey, Given)>) {
        let Some((key, given)) = used else { return };
        // Struck and given again meanwhile, it is another key, whose use this was not.
        let found = mailbox.keys.get_mut(&key).filter(|found| found.given == given);
        // CMD-16: written behind the mailbox's deletion it could be a key of another.
        let Some(found) = found.filter(|_| !mailbox.deleted) else { return };
        found.used = found.used.saturating_sub(1);
        let row = KeyRow::from((&found.terms, found.used));
        if let Ok(row) = rows::put(rows::of_key(rows::KEY, &key), &row) {
            let act = Act::Write { rows: vec![row], trim: None };
            // Lost with a full queue or a crash, the key has one use less: the safe side.
            let _ = self.buffer.submit(mailbox.id, act, Box::new(|_| ()));
        }
    }
}

/// A commit's form, and the rows that change with it (MBX-8).
fn judge_commit(
    mailbox: &mut Mailbox,
    commit: &Commit,
    expires_at: UnixTime,
    now: UnixTime,
    rows: &mut Vec<RowWrite>,
) -> Result<(), Refusal> {
    if let Some(next) = commit.next {
        // CMD-3
        verify_possession(&next.key, &mailbox.id, &next.possession).map_err(|_| {
            Refusal::new(Code::Denied, "the next key's proof of possession is wrong")
        })?;
    }
    let Some(current) = &mailbox.epoch else {
        return Err(Refusal::new(Code::StaleEpoch, "the conversation is closed"));
    };
    let known = |key: &PublicKey| {
        let old = mailbox.replaced.get(key);
        *key == current.key || old.is_some_and(|old| old.expires_at > now)
    };
    if commit.next.is_some_and(|next| known(&next.key)) {
        return Err(Refusal::new(Code::Conflict, "the next key was in use already"));
    }
    // LIM-4: at the bound.
    let added = commit.add_readers.iter().filter(|hash| !mailbox.readers.contains_key(hash));
    let gone = commit.strike_readers.iter().filter(|hash| mailbox.readers.contains_key(hash));
    if mailbox.readers.len() + added.count() > limits::READERS + gone.count() {
        return Err(
            Refusal::new(Code::Quota, "as many readers as there may be").lagging(mailbox.lagging())
        );
    }
    let over: Vec<_> =
        mailbox.replaced.iter().filter(|(_, old)| old.expires_at <= now).map(|(k, _)| *k).collect();
    if mailbox.replaced.len() - over.len() >= limits::REPLACED_KEYS {
        return Err(Refusal::new(Code::Quota, "as many replaced keys as there may be"));
    }
    mailbox
        .commit_pace
        .take(COMMIT_RATE, now)
        .map_err(|wait| Refusal::new(Code::Rate, "commits come too fast").retry_after(wait))?;
    commit_rows(mailbox, commit, &over, expires_at, now, rows).map_err(|BadRow| damaged())
}

fn commit_rows(
    mailbox: &Mailbox,
    commit: &Commit,
    over: &[PublicKey],
    expires_at: UnixTime,
    now: UnixTime,
    rows: &mut Vec<RowWrite>,
) -> Result<(), BadRow> {
    rows.extend(over.iter().map(|key| rows::remove(rows::of_key(rows::REPLACED, key))));
    if let Some(current) = &mailbox.epoch {
        let row = ReplacedRow { from: current.number.get(), expires_at: expires_at.get() };
        rows.push(rows::put(rows::of_key(rows::REPLACED, &current.key), &row)?);
    }
    rows.push(match commit.next {
        Some(next) => {
            rows::put(rows::single(rows::EPOCH), &EpochRow { key: *next.key.as_bytes() })?
        }
        None => rows::remove(rows::single(rows::EPOCH)),
    });
    if !commit.add_readers.is_empty() {
        rows.extend(mailbox.renewal(now)?);
    }
    rows.extend(commit.strike_readers.iter().map(|hash| rows::remove(rows::of_reader(hash))));
    for hash in &commit.add_readers {
        if stands_already(mailbox, commit, hash) {
            continue;
        }
        // Without a cursor: the row's revision, which is the commit, is where it stands.
        let row = ReaderRow { cursor: None, seen: now.get() };
        rows.push(rows::put(rows::of_reader(hash), &row)?);
    }
    Ok(())
}

/// A reader that is there and not struck by the same commit keeps its place.
fn stands_already(mailbox: &Mailbox, commit: &Commit, hash: &ReaderHash) -> bool {
    mailbox.readers.contains_key(hash) && !commit.strike_readers.contains(hash)
}

impl Change {
    /// Whether it strikes readers.
    fn strikes(&self) -> bool {
        self.commit.as_ref().is_some_and(|commit| !commit.strike_readers.is_empty())
    }

    /// The blobs it needs.
    fn blobs(&self) -> &[BlobId] {
        self.commit.as_ref().map_or(&[], |commit| &commit.blobs)
    }

    /// Puts a stored append into memory.
    fn apply(&self, mailbox: &mut Mailbox, seq: Seq) {
        let Some(commit) = &self.commit else { return };
        mailbox.replaced.retain(|_, old| old.expires_at > self.now);
        if let Some(current) = mailbox.epoch.take() {
            let from = current.number;
            let old = Replaced { from, upto: seq, expires_at: self.expires_at };
            mailbox.replaced.insert(current.key, old);
        }
        mailbox.epoch = commit.next.map(|next| CurrentEpoch { key: next.key, number: seq });
        if !commit.add_readers.is_empty() {
            mailbox.renew(self.now);
        }
        for hash in &commit.strike_readers {
            mailbox.readers.remove(hash);
        }
        for hash in &commit.add_readers {
            mailbox.readers.entry(*hash).or_insert(Reader::new(seq, self.now));
        }
    }
}

/// Refuses an append, and those behind it in its chain (MBX-6); no lock may be held.
fn refuse(link: &ChainLink, respond: Respond, refusal: Refusal) {
    link.break_here();
    respond(Err(refusal));
}

/// An append was queued, or there was no room: then its chain breaks before anybody can wait for
/// its answer (MBX-6).
fn queued(mailbox: MutexGuard<'_, Mailbox>, id: EnvelopeId, submitted: Result<(), Done>) {
    if submitted.is_err()
        && let Some(first) = mailbox.in_flight.get(&id).and_then(|all| all.first())
    {
        first.link.break_here();
    }
    drop(mailbox);
    give_back(submitted);
}

/// Answers an append, and those that came with the same id while it was under way.
fn respond_all(waiting: Vec<Waiting>, mut answer: Result<Answer, Refusal>) {
    let is_aborted = answer.as_ref().is_err_and(|refusal| refusal.code == Code::Aborted);
    if let [first, _, ..] = waiting.as_slice() {
        first.link.release();
    }
    for Waiting { respond, link } in waiting {
        // MBX-6: in the chain of who waited nothing was refused; it asks again.
        let is_others = is_aborted && !link.is_aborted();
        // Also behind those that waited for another's answer.
        if answer.is_err() {
            link.break_here();
        }
        let unavailable = || Err(refusal(BufferError::Unavailable));
        respond(if is_others { unavailable() } else { answer.clone() });
        // MBX-5: who waited asked for what was there already.
        if let Ok(Answer::Appended(said)) = &mut answer {
            said.already = true;
        }
    }
}

/// The answer to an append.
fn answer(mailbox: &Mailbox, outcome: Result<Outcome, BufferError>) -> Result<Answer, Refusal> {
    match outcome {
        Ok(Outcome::Stored(stored) | Outcome::Settled(stored)) => {
            Ok(Answer::Appended(appended(stored, false)))
        }
        Ok(Outcome::Already(stored)) => Ok(Answer::Appended(appended(stored, true))),
        Ok(Outcome::Written(_)) => Err(damaged()),
        // ERR-4: members of a group may strike whoever is furthest behind.
        Err(BufferError::Full) if mailbox.class == MailboxClass::Conversation => {
            Err(refusal(BufferError::Full).lagging(mailbox.lagging()))
        }
        Err(error) => Err(refusal(error)),
    }
}

fn appended(stored: Stored, already: bool) -> Appended {
    let epoch = if stored.commit { epoch_name(stored.seq) } else { None };
    Appended { seq: stored.seq, expires_at: stored.expires_at, already, epoch }
}
