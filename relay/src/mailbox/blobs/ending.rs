//! How blobs end: deleted, over, with their mailbox, or found to be left over; and what commits
//! keep (CMD-21; BLB-5, BLB-6, BLB-7).

use std::sync::Arc;

use restante_spec::codes::Code;
use restante_spec::ids::{BlobId, MailboxId, Seq, UnixTime};
use restante_spec::message::Refusal;

use super::registry::{Facts, Stage, Standing};
use super::upload::Writer;
use super::{Blobs, after, busy, no_blob, row};
use crate::buffer::blobs::ObjectId;
use crate::buffer::{Act, Buffer, BufferError, Done, Outcome, RowWrite, Span};
use crate::limits::{BLOB_EXPIRY_STEP, BLOB_LOOK_STEP, BLOB_SWEEP_STEP};
use crate::mailbox::api::{Access, Answer, Notices, Respond};
use crate::mailbox::authorise::{Need, authorise};
use crate::mailbox::rows;
use crate::mailbox::service::{Service, give_back, lock, refusal};
use crate::mailbox::state::Mailbox;
use crate::ops::metrics;

impl<B: Buffer, N: Notices> Service<B, N> {
    /// Deletes a blob (CMD-21).
    pub(in crate::mailbox) fn delete_blob(
        self: &Arc<Self>,
        access: Access,
        id: BlobId,
        now: UnixTime,
        respond: Respond,
    ) {
        let (blobs, cell) = match self.blobs_of(access) {
            Ok(found) => found,
            Err(refusal) => return respond(Err(refusal)),
        };
        let mailbox = lock(&cell);
        let facts = match self.judge_deletion(&blobs, &mailbox, access, id, now) {
            Ok(Some(facts)) => facts,
            Ok(None) => {
                drop(mailbox);
                return respond(Ok(Answer::Done));
            }
            Err(refusal) => {
                drop(mailbox);
                return respond(Err(refusal));
            }
        };
        let submitted = self.end_blob(&blobs, id, facts, move |outcome| {
            respond(outcome.map(|_| Answer::Done).map_err(refusal));
        });
        drop(mailbox);
        give_back(submitted);
    }

    /// The blob to end, if there is one.
    fn judge_deletion(
        &self,
        blobs: &Blobs,
        mailbox: &Mailbox,
        access: Access,
        id: BlobId,
        now: UnixTime,
    ) -> Result<Option<Facts>, Refusal> {
        // BLB-2
        let writer = match authorise(mailbox, access.key, Need::Manage, (), now) {
            Ok(_) => Writer::All,
            Err(_) => self.writer(mailbox, access.key, now)?,
        };
        let registry = self.registry(blobs, id)?;
        let of_mailbox = registry.get(id).filter(|blob| blob.facts.mailbox == access.mailbox);
        let Some(blob) = of_mailbox else { return Ok(None) };
        if !writer.may_change(&blob.facts) {
            return Err(no_blob());
        }
        if blob.standing != Standing::Sure || matches!(blob.stage, Stage::Beginning) {
            return Err(busy("the blob is being begun or ended"));
        }
        let (facts, keeping, kept_by) = (blob.facts, blob.keeping > 0, blob.kept_by);
        drop(registry);
        // BLB-6
        if keeping || self.is_stored(access.mailbox, kept_by, now)? {
            return Err(Refusal::new(Code::Conflict, "a commit needs this blob"));
        }
        Ok(Some(facts))
    }

    /// Whether a commit is still there.
    fn is_stored(
        &self,
        mailbox: MailboxId,
        commit: Option<Seq>,
        now: UnixTime,
    ) -> Result<bool, Refusal> {
        let Some(upto) = commit else { return Ok(false) };
        let after = Seq::new(upto.get().saturating_sub(1));
        let span = Span { after, upto, max: 1, max_bytes: 0 };
        let page = self.buffer.read(mailbox, span, now).map_err(refusal)?;
        Ok(!page.envelopes.is_empty())
    }

    /// Ends a blob: for others it is gone at once, for good when the act is durable.
    fn end_blob(
        &self,
        blobs: &Arc<Blobs>,
        id: BlobId,
        facts: Facts,
        then: impl FnOnce(Result<Outcome, BufferError>) + Send + 'static,
    ) -> Result<(), Done> {
        let mut registry = blobs.registry();
        if let Some(blob) = registry.same(id, facts.object) {
            blob.standing = Standing::Ending;
        }
        let act = Act::Write { rows: vec![rows::remove(rows::of_blob(id))], trim: None };
        let shared = Arc::clone(blobs);
        let done: Done = Box::new(move |outcome| {
            ended(&shared, id, facts.object, outcome);
            then(outcome);
        });
        self.buffer.submit(facts.mailbox, act, done)
    }

    /// What is due in a tick: blobs whose time is over, keys of such, and, if it `sweeps`, what is
    /// left over.
    pub(crate) fn tick_blobs(self: &Arc<Self>, now: UnixTime, sweeps: bool) {
        let Some(blobs) = &self.blobs else { return };
        let over = blobs.registry().over(now, BLOB_EXPIRY_STEP);
        for id in over {
            let Some(facts) = blobs.registry().get(id).map(|blob| blob.facts) else { continue };
            // What the queue has no room for now is found again.
            give_back(self.end_blob(blobs, id, facts, |_| ()));
        }
        let unread = blobs.registry().take_unread(BLOB_LOOK_STEP);
        for (id, object) in unread {
            // Where the place fails, whoever asks for the blob has it looked at again.
            self.look(blobs, id, object, |_, _| ());
        }
        blobs.store.destroy_keys(now);
        blobs.registry().rest(now);
        if sweeps {
            self.resolve_doubts(blobs);
            self.sweep_blobs(blobs);
        }
        blobs.measure();
    }

    /// Looks again at blobs that the store has left in doubt and nobody has asked for since: their
    /// mailbox may be gone, and they with it (BLB-7).
    fn resolve_doubts(&self, blobs: &Blobs) {
        let doubtful = blobs.registry().doubtful(BLOB_SWEEP_STEP);
        for id in doubtful {
            // A store that does not answer now is asked at the next sweep.
            if self.registry(blobs, id).is_err() {
                return;
            }
        }
    }

    /// Lets go of objects without a blob, which a crash has left, and of complete blobs without
    /// their object, which nobody can read.
    fn sweep_blobs(self: &Arc<Self>, blobs: &Arc<Blobs>) {
        let (service, shared) = (Arc::clone(self), Arc::clone(blobs));
        let before = blobs.registry().objects();
        blobs.store.objects(move |found| {
            // It was told where it failed; the next sweep looks again.
            let Ok(found) = found else { return };
            let now_there = shared.registry().objects();
            let left = found.iter().filter(|object| !now_there.contains_key(object));
            for object in left.take(BLOB_SWEEP_STEP) {
                metrics::BLOB_ORPHANS.count();
                shared.store.remove(*object);
            }
            for (object, (id, is_complete)) in before {
                if is_complete && !found.contains(&object) {
                    service.end_lost(&shared, id, object);
                }
            }
        });
    }

    /// A complete blob has lost its parts.
    fn end_lost(&self, blobs: &Arc<Blobs>, id: BlobId, object: ObjectId) {
        let facts = blobs.registry().same(id, object).map(|blob| blob.facts);
        if let Some(facts) = facts {
            metrics::BLOB_ORPHANS.count();
            tracing::warn!("a blob has lost its parts and is let go");
            give_back(self.end_blob(blobs, id, facts, |_| ()));
        }
    }

    /// The blobs a commit needs, with the rows that say so; they are kept until its outcome is
    /// settled (BLB-6). Called under the mailbox's lock.
    pub(in crate::mailbox) fn keep_blobs(
        &self,
        mailbox: MailboxId,
        needed: &[BlobId],
        expires_at: UnixTime,
        now: UnixTime,
    ) -> Result<Vec<RowWrite>, Refusal> {
        if needed.is_empty() {
            return Ok(Vec::new());
        }
        let blobs = self.blobs()?;
        let mut rows = Vec::new();
        for id in needed {
            let mut registry = self.registry(blobs, *id)?;
            let lives = |facts: &Facts| facts.mailbox == mailbox && facts.expires_at >= expires_at;
            let blob =
                registry.live(*id, now).filter(|blob| lives(&blob.facts)).ok_or_else(|| {
                    Refusal::new(Code::NotFound, "no such blob that lives as long as the commit")
                })?;
            if !matches!(blob.stage, Stage::Complete) {
                return Err(busy("a blob of the commit is not complete"));
            }
            rows.push(row(*id, &blob.facts, true, true)?);
        }
        let mut registry = blobs.registry();
        for id in needed {
            if let Some(blob) = registry.live(*id, now) {
                blob.keeping += 1;
            }
        }
        Ok(rows)
    }

    /// A commit that needs blobs is stored, or not.
    pub(in crate::mailbox) fn settle_kept(
        &self,
        needed: &[BlobId],
        outcome: Result<Outcome, BufferError>,
    ) {
        let Some(blobs) = self.blobs.as_ref().filter(|_| !needed.is_empty()) else { return };
        let mut registry = blobs.registry();
        for id in needed {
            let Some(blob) = registry.get_mut(*id) else { continue };
            blob.keeping = blob.keeping.saturating_sub(1);
            match outcome {
                Ok(Outcome::Stored(stored)) => blob.kept_by = Some(stored.seq),
                Ok(Outcome::Settled(_) | Outcome::Already(_) | Outcome::Written(_)) => {}
                Err(error) => blob.standing = after(blob.standing, error),
            }
        }
    }

    /// A mailbox is about to end, and its blobs with it (BLB-7).
    pub(in crate::mailbox) fn suspend_blobs(&self, mailbox: MailboxId) {
        let Some(blobs) = &self.blobs else { return };
        let mut registry = blobs.registry();
        for id in registry.of(mailbox) {
            if let Some(blob) = registry.get_mut(id) {
                blob.standing = Standing::Ending;
            }
        }
    }

    /// A mailbox has ended, or not.
    pub(in crate::mailbox) fn end_blobs(
        &self,
        mailbox: MailboxId,
        outcome: Result<Outcome, BufferError>,
    ) {
        let Some(blobs) = &self.blobs else { return };
        let of_mailbox = blobs.registry().of(mailbox);
        for id in of_mailbox {
            let object = blobs.registry().get(id).map(|blob| blob.facts.object);
            if let Some(object) = object {
                ended(blobs, id, object, outcome);
            }
        }
    }
}

/// The row of a blob is gone, or not.
fn ended(blobs: &Blobs, id: BlobId, object: ObjectId, outcome: Result<Outcome, BufferError>) {
    let mut registry = blobs.registry();
    let Some(blob) = registry.same(id, object) else { return };
    match outcome {
        Ok(_) | Err(BufferError::NoMailbox) => {
            registry.remove(id);
            drop(registry);
            blobs.store.remove(object);
        }
        Err(error) => blob.standing = after(blob.standing, error),
    }
}
