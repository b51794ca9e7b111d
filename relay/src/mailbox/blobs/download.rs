//! Reading a blob (CMD-20, BLB-4).

use std::sync::Arc;

use bytes::Bytes;
use restante_crypto::BlobChallenge;
use restante_spec::codes::Code;
use restante_spec::ids::{Nonce, UnixTime};
use restante_spec::message::{BlobPart, BlobRead, Refusal};

use super::registry::{Facts, Stage, place};
use super::{Blobs, failure, no_blob};
use crate::buffer::Buffer;
use crate::buffer::blobs::BlobError;
use crate::mailbox::api::{Answer, Notices, Respond};
use crate::mailbox::service::Service;

impl<B: Buffer, N: Notices> Service<B, N> {
    /// Reads some bytes (CMD-20).
    pub(in crate::mailbox) fn read_blob(
        &self,
        read: &BlobRead,
        nonce: Nonce,
        shown: bool,
        now: UnixTime,
        respond: Respond,
    ) {
        let found = self.blobs().map(Arc::clone).and_then(|blobs| {
            let facts = self.judge_read(&blobs, read, nonce, shown, now)?;
            Ok((blobs, facts))
        });
        let (blobs, facts) = match found {
            Ok(found) => found,
            Err(refusal) => return respond(Err(refusal)),
        };
        let Facts { object, size, expires_at, .. } = facts;
        let (id, part) = (read.blob, BlobPart { size, expires_at });
        let wished = usize::try_from(read.length.get()).unwrap_or(usize::MAX);
        let within = (wished > 0 && read.offset.get() < size.get()).then(|| place(read.offset));
        let Some((number, skip)) = within.flatten() else {
            return respond(Ok(Answer::BlobPart(part, Bytes::new())));
        };
        let shared = Arc::clone(&blobs);
        blobs.store.get(object, number, expires_at, move |got| {
            let answer = got.map(|mut bytes| {
                let mut bytes = bytes.split_off(skip.min(bytes.len()));
                bytes.truncate(wished);
                Answer::BlobPart(part, bytes)
            });
            respond(answer.map_err(|error| {
                // What has ended meanwhile is not damaged.
                let is_there = shared.registry().same(id, object).is_some();
                let has_ended = matches!(error, BlobError::Damaged) && !is_there;
                if has_ended { no_blob() } else { failure(&error) }
            }));
        });
    }

    /// The blob, if its read key is shown. Unknown, not complete, another key and a wrong proof are
    /// one answer, and each goes through the same steps (BLB-4, MBX-15).
    fn judge_read(
        &self,
        blobs: &Blobs,
        read: &BlobRead,
        nonce: Nonce,
        shown: bool,
        now: UnixTime,
    ) -> Result<Facts, Refusal> {
        let challenge = BlobChallenge { relay: self.identity, nonce, blob: read.blob };
        let proven = shown || challenge.verify(&read.key, &read.proof).is_ok();
        let mut registry = self.registry(blobs, read.blob)?;
        let live = registry.live(read.blob, now);
        let whole = live.filter(|blob| matches!(blob.stage, Stage::Complete));
        match whole.filter(|blob| blob.facts.key == read.key) {
            Some(blob) if proven => Ok(blob.facts),
            _ => Err(Refusal::new(Code::NotFound, "no such blob")),
        }
    }
}
