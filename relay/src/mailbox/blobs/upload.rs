//! Beginning a blob and writing its parts (CMD-18, CMD-19; BLB-1 to BLB-3).

use std::sync::Arc;

use restante_crypto::verify_possession;
use restante_spec::codes::Code;
use restante_spec::ids::{BlobId, BlobOffset, PublicKey, Seconds, UnixTime};
use restante_spec::limits;
use restante_spec::message::{BlobState, Rate, Refusal};

use super::registry::{Blob, Facts, Progress, Stage, Standing};
use super::{Blobs, after, busy, failure, is_over, no_blob, row};
use crate::buffer::blobs::{ObjectId, PartNumber, Waiting};
use crate::buffer::{Act, Buffer, BufferError, Done, Outcome, RowWrite};
use crate::mailbox::api::{Access, Answer, BlobAsk, Notices, Respond};
use crate::mailbox::authorise::{Grant, Need, authorise, not_restored};
use crate::mailbox::service::{Service, give_back, lock, refusal};
use crate::mailbox::state::Mailbox;
use crate::ops::metrics::Shed;

/// How fast parts may come (LIM-25).
const WRITE_RATE: Rate = Rate {
    count: limits::BLOB_WRITE_BURST,
    per: Seconds::new(limits::BLOB_WRITE_BURST / limits::BLOB_WRITES_PER_SECOND),
};

/// What is said at the bound of all blobs (LIM-24).
const NO_ROOM: &str = "this relay has no room for more of blobs";

/// Which blobs a key may change (BLB-2).
#[derive(Clone, Copy)]
pub(super) enum Writer {
    /// Those that it has created.
    Key(PublicKey),
    /// All of the mailbox: it is the current epoch's key, or one that manages.
    All,
}

/// What to do with a part.
enum Next {
    /// Nothing is stored: this is the state.
    Tell(BlobState),
    /// Look first which parts there are.
    Look(ObjectId),
    /// Keep it.
    Keep(Facts, PartNumber),
}

impl Writer {
    /// Whether it may change a blob of this creator.
    pub(super) fn may_change(self, facts: &Facts) -> bool {
        match self {
            Self::Key(key) => key == facts.creator,
            Self::All => true,
        }
    }
}

impl<B: Buffer, N: Notices> Service<B, N> {
    /// Begins a blob, or tells how far it has come (CMD-18).
    pub(in crate::mailbox) fn create_blob(
        self: &Arc<Self>,
        access: Access,
        ask: BlobAsk,
        now: UnixTime,
        respond: Respond,
    ) {
        let (blobs, cell) = match self.blobs_of(access) {
            Ok(found) => found,
            Err(refusal) => return respond(Err(refusal)),
        };
        let (id, mailbox) = (ask.blob, lock(&cell));
        let (facts, row) = match self.judge_creation(&blobs, &mailbox, access, &ask, now) {
            Ok(Creation::New(facts, row)) => (facts, row),
            Ok(Creation::Known(object)) => {
                drop(mailbox);
                return self.tell(&blobs, id, object, respond);
            }
            Err(refusal) => {
                drop(mailbox);
                return respond(Err(refusal));
            }
        };
        let act = Act::Write { rows: vec![row], trim: None };
        let submitted = self.submit(&cell, access.mailbox, act, move |_, _, outcome| {
            respond(begun(&blobs, id, facts.object, outcome));
        });
        drop(mailbox);
        give_back(submitted);
    }

    /// What a creation is; a new blob is in the registry from here on.
    fn judge_creation(
        &self,
        blobs: &Blobs,
        mailbox: &Mailbox,
        access: Access,
        ask: &BlobAsk,
        now: UnixTime,
    ) -> Result<Creation, Refusal> {
        let no = |code, detail| Err(Refusal::new(code, detail));
        let writer = self.writer(mailbox, access.key, now)?;
        // CMD-3
        if verify_possession(&ask.key, &access.mailbox, &ask.possession).is_err() {
            return no(Code::Denied, "the read key's proof of possession is wrong");
        }
        // LIM-22
        if !(1..=limits::BLOB_BYTES).contains(&ask.size.get()) {
            return no(Code::TooLarge, "a blob has 1 to 67108864 bytes");
        }
        let mut registry = self.registry(blobs, ask.blob)?;
        if let Some(known) = registry.get(ask.blob) {
            return judge_known(known, writer, access, ask, now);
        }
        // BLB-5
        let ttl = ask.ttl.unwrap_or(mailbox.ttl);
        let most = mailbox.ttl.get().saturating_add(limits::BLOB_TTL_MORE.get());
        let facts = Facts {
            mailbox: access.mailbox,
            key: ask.key,
            creator: access.key,
            object: ObjectId::random()
                .map_err(|_| Refusal::new(Code::Internal, "the relay has no randomness"))?,
            size: ask.size,
            expires_at: now.after(ttl.min(Seconds::new(most))),
        };
        // LIM-23
        if !registry.has_room(&facts) {
            return no(Code::Quota, "the mailbox has no room for this blob");
        }
        // LIM-24
        if registry.bytes() + facts.counts() > blobs.max_bytes {
            return no(Code::Quota, NO_ROOM);
        }
        self.take_in(Shed::Blob)?;
        let row = row(ask.blob, &facts, false, false)?;
        registry.insert(ask.blob, facts, Stage::Beginning);
        Ok(Creation::New(facts, row))
    }

    /// Writes a part (CMD-19).
    pub(in crate::mailbox) fn write_blob(
        self: &Arc<Self>,
        access: Access,
        id: BlobId,
        offset: BlobOffset,
        body: &[u8],
        now: UnixTime,
        respond: Respond,
    ) {
        let taken = self.blobs().map(Arc::clone).and_then(|blobs| {
            let part = blobs.store.take(body).map_err(|error| failure(&error))?;
            Ok((blobs, part))
        });
        match taken {
            Ok((blobs, part)) => self.write_part(blobs, access, (id, offset, part), now, respond),
            Err(refusal) => respond(Err(refusal)),
        }
    }

    fn write_part(
        self: &Arc<Self>,
        blobs: Arc<Blobs>,
        access: Access,
        (id, offset, part): (BlobId, BlobOffset, Waiting),
        now: UnixTime,
        respond: Respond,
    ) {
        let next = match self.judge_part(&blobs, access, (id, offset, part.len()), now) {
            Ok(next) => next,
            Err(refusal) => return respond(Err(refusal)),
        };
        match next {
            Next::Tell(state) => respond(Ok(Answer::Blob(state))),
            Next::Look(object) => {
                let shared = Arc::clone(&blobs);
                self.look(&blobs, id, object, move |service, looked| match looked {
                    Ok(()) => service.write_part(shared, access, (id, offset, part), now, respond),
                    Err(refusal) => respond(Err(refusal)),
                });
            }
            Next::Keep(facts, number) => {
                let (service, shared) = (Arc::clone(self), Arc::clone(&blobs));
                let Facts { object, expires_at, .. } = facts;
                blobs.store.put(object, number, expires_at, part, move |kept| {
                    shared.registry().written((id, object), number, kept.is_ok());
                    match kept {
                        Ok(()) => service.settle(&shared, id, object, respond),
                        Err(error) => respond(Err(failure(&error))),
                    }
                });
            }
        }
    }

    /// What to do with a part of so many bytes at an offset.
    fn judge_part(
        &self,
        blobs: &Blobs,
        access: Access,
        (id, offset, bytes): (BlobId, BlobOffset, usize),
        now: UnixTime,
    ) -> Result<Next, Refusal> {
        let cell = self.get(access)?;
        let mailbox = lock(&cell);
        let writer = self.writer(&mailbox, access.key, now)?;
        let mut registry = self.registry(blobs, id)?;
        let mine = |facts: &Facts| facts.mailbox == access.mailbox && writer.may_change(facts);
        let found = registry.live(id, now).filter(|blob| mine(&blob.facts)).ok_or_else(no_blob)?;
        let facts = found.facts;
        // BLB-1
        let misplaced = || Refusal::new(Code::Malformed, "no part of this blob has this place");
        let number = facts.part(offset, bytes).ok_or_else(misplaced)?;
        match &found.stage {
            Stage::Beginning => return Err(busy("the blob is being begun")),
            Stage::Unread => return Ok(Next::Look(facts.object)),
            Stage::Complete => return Ok(Next::Tell(found.state())),
            Stage::Writing(Progress { completing: true, .. }) => {
                return Ok(Next::Tell(found.state()));
            }
            Stage::Writing(_) => {}
        }
        self.take_in(Shed::Part)?;
        // LIM-25
        registry
            .pace(access.mailbox)
            .take(WRITE_RATE, now)
            .map_err(|wait| Refusal::new(Code::Rate, "parts come too fast").retry_after(wait))?;
        // LIM-24
        if !registry.begin_part(id, blobs.max_bytes) {
            return Err(Refusal::new(Code::Quota, NO_ROOM));
        }
        Ok(Next::Keep(facts, number))
    }

    /// Whether a key may write blobs at all, and which (BLB-2).
    pub(super) fn writer(
        &self,
        mailbox: &Mailbox,
        key: PublicKey,
        now: UnixTime,
    ) -> Result<Writer, Refusal> {
        let no = |code, detail| Err(Refusal::new(code, detail));
        let ((), key, grant) = authorise(mailbox, key, Need::Write, (), now)?.into_parts();
        match grant {
            Grant::Epoch { .. } => {
                not_restored(mailbox, self.buffer.restored()).map(|()| Writer::All)
            }
            Grant::Replaced(_) => no(Code::StaleEpoch, "this key's epoch is over"),
            Grant::Terms { over: true, .. } => no(Code::Expired, "this key's time is over"),
            Grant::Terms { .. } => {
                if mailbox.keys.get(&key).is_some_and(|found| found.terms.uses.is_some()) {
                    return no(Code::Denied, "a key with a number of uses writes no blobs");
                }
                Ok(Writer::Key(key))
            }
        }
    }

    /// Tells how far a blob has come, when that is known.
    fn tell(self: &Arc<Self>, blobs: &Arc<Blobs>, id: BlobId, object: ObjectId, respond: Respond) {
        let is_unread = |blob: &mut Blob| matches!(blob.stage, Stage::Unread);
        if !blobs.registry().same(id, object).is_some_and(is_unread) {
            return self.settle(blobs, id, object, respond);
        }
        let shared = Arc::clone(blobs);
        self.look(blobs, id, object, move |service, looked| match looked {
            Ok(()) => service.settle(&shared, id, object, respond),
            Err(refusal) => respond(Err(refusal)),
        });
    }

    /// Looks which parts are there, for the first time since the start.
    pub(super) fn look(
        self: &Arc<Self>,
        blobs: &Arc<Blobs>,
        id: BlobId,
        object: ObjectId,
        then: impl FnOnce(&Arc<Self>, Result<(), Refusal>) + Send + 'static,
    ) {
        let (service, shared) = (Arc::clone(self), Arc::clone(blobs));
        blobs.store.find(object, move |found| {
            let looked = found.map_err(|error| failure(&error)).map(|found| {
                shared.registry().found((id, object), &found);
            });
            then(&service, looked);
        });
    }

    /// Answers with the state of now; first, if every part is there, that is made durable.
    fn settle(
        self: &Arc<Self>,
        blobs: &Arc<Blobs>,
        id: BlobId,
        object: ObjectId,
        respond: Respond,
    ) {
        let mut registry = blobs.registry();
        let Some(blob) = registry.same(id, object) else {
            drop(registry);
            // It was ended meanwhile, and a part came behind.
            blobs.store.remove(object);
            return respond(Err(no_blob()));
        };
        let facts = blob.facts;
        let row = blob.completes().map(|progress| {
            progress.completing = true;
            row(id, &facts, true, false)
        });
        let row = match row {
            None => {
                let state = blob.state();
                drop(registry);
                return respond(Ok(Answer::Blob(state)));
            }
            Some(Ok(row)) => row,
            Some(Err(refusal)) => {
                drop(registry);
                return respond(Err(refusal));
            }
        };
        let (act, shared) = (Act::Write { rows: vec![row], trim: None }, Arc::clone(blobs));
        let done: Done = Box::new(move |outcome| respond(completed(&shared, id, object, outcome)));
        // Under the registry's lock: an end of the mailbox stands before it in the queue or after.
        let submitted = self.buffer.submit(facts.mailbox, act, done);
        drop(registry);
        give_back(submitted);
    }
}

/// A creation.
enum Creation {
    /// The row to write.
    New(Facts, RowWrite),
    /// It is there: the same again.
    Known(ObjectId),
}

/// A creation under an id that is taken (BLB-3).
fn judge_known(
    known: &Blob,
    writer: Writer,
    access: Access,
    ask: &BlobAsk,
    now: UnixTime,
) -> Result<Creation, Refusal> {
    let facts = &known.facts;
    let same = facts.mailbox == access.mailbox && facts.key == ask.key && facts.size == ask.size;
    if !same || !writer.may_change(facts) {
        return Err(Refusal::new(Code::Conflict, "another blob has this id"));
    }
    let is_passing = known.standing != Standing::Sure || matches!(known.stage, Stage::Beginning);
    if is_passing || is_over(facts, now) {
        return Err(busy("the blob is being begun or ended"));
    }
    Ok(Creation::Known(facts.object))
}

/// The row of a new blob is durable, or not.
fn begun(
    blobs: &Blobs,
    id: BlobId,
    object: ObjectId,
    outcome: Result<Outcome, BufferError>,
) -> Result<Answer, Refusal> {
    let mut registry = blobs.registry();
    if let Err(error) = outcome {
        if let Some(blob) = registry.same(id, object) {
            blob.standing = after(blob.standing, error);
            if blob.standing == Standing::Sure {
                // Certainly not begun.
                registry.remove(id);
            }
        }
        return Err(refusal(error));
    }
    let blob = registry.same(id, object).ok_or_else(no_blob)?;
    blob.stage = Stage::Writing(Progress::default());
    Ok(Answer::Blob(blob.state()))
}

/// The row that says that a blob is complete is durable, or not.
fn completed(
    blobs: &Blobs,
    id: BlobId,
    object: ObjectId,
    outcome: Result<Outcome, BufferError>,
) -> Result<Answer, Refusal> {
    let mut registry = blobs.registry();
    let blob = registry.same(id, object).ok_or_else(no_blob)?;
    match outcome {
        Ok(_) => blob.stage = Stage::Complete,
        Err(error) => {
            if let Stage::Writing(progress) = &mut blob.stage {
                progress.completing = false;
            }
            blob.standing = after(blob.standing, error);
            return Err(refusal(error));
        }
    }
    Ok(Answer::Blob(blob.state()))
}
