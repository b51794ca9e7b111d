//! The giver: segments are written, stored as blobs, told, and forgotten when the device has them
//! (DEV-16). No more are at the relay than the device is behind.

use data_encoding::HEXLOWER;
use restante_crypto::{FileKey, Member, SigningKey, random_bytes};
use restante_spec::archive::{Manifest, ManifestSegment, Purpose, SegmentWriter};
use restante_spec::content::{HistoryTaken, LogPosition, StateRecord};
use restante_spec::ids::{ArchiveId, BlobId, BlobSize, PublicKey, UnixTime};
use restante_spec::limits::SEGMENTS;

use super::write::Written;
use crate::engine::membership::{Merged, account, member_of};
use crate::engine::transfers::new_row;
use crate::engine::{Engine, Work};
use crate::error::Error;
use crate::limits::{HISTORY_AHEAD, HISTORY_RETRY, HISTORY_WAIT};
use crate::store::{ArchiveRow, LogRow, LogState, Mark, SegmentRow, Stage, Way};
use crate::transfer::{BlobAddress, Direction, TransferState};
use crate::types::ConversationId;

impl Engine {
    /// Begins an archive for each device that is owed history and gets none; tells when to look
    /// again.
    pub(super) fn begin_archives(&mut self) -> Result<Option<UnixTime>, Error> {
        let db = self.store.read();
        let devices = db.sharing()?;
        if devices.is_empty() {
            return Ok(None);
        }
        let archives = db.archives()?;
        let gets = |device: &PublicKey| archives.iter().any(|row| row.way == Way::To(*device));
        let idle: Vec<PublicKey> = devices.into_iter().filter(|device| !gets(device)).collect();
        self.transact(|work| {
            let mut next = None;
            for device in &idle {
                next = work.begin_archive(device)?.into_iter().chain(next).min();
            }
            Ok(next)
        })
    }

    /// Writes a segment if there is room for one, and tells what is at the relay. With the first
    /// answer to its upload the next one is written: no step takes longer than one.
    pub(super) fn give(&mut self, mut archive: ArchiveRow) -> Result<(), Error> {
        if archive.rest.is_some() && archive.segments - archive.taken < HISTORY_AHEAD {
            archive = self.transact(|work| work.give_segment(archive))?;
        }
        self.transact(|work| work.tell_segments(archive))
    }
}

impl Work<'_> {
    /// Devices of this account were added to the own conversation: they get the history.
    pub(in crate::engine) fn owe_history(&mut self, added: &[Member]) -> Result<(), Error> {
        let own = *self.account.id().key();
        for member in added.iter().filter(|member| account(member) == Some(own)) {
            if let Some(device) = &member.device {
                self.stop_giving(device.device())?;
                self.db.put_shares(device.device(), self.now)?;
            }
        }
        Ok(())
    }

    /// Devices of this account came into a conversation after this one: they get what was said
    /// there in between.
    pub(in crate::engine) fn owe_what_was_said(
        &self,
        log: &LogRow,
        merged: &Merged,
    ) -> Result<(), Error> {
        let own = *self.account.id().key();
        if !self.db.has_said(log.conversation, log.generation)? {
            return Ok(());
        }
        for member in merged.added.iter().filter(|member| account(member) == Some(own)) {
            // Who was there before finds out what it missed (CNV-16).
            let was_here = merged.removed.iter().any(|removed| removed.device == member.device);
            if let Some(device) = member.device.as_ref().filter(|_| !was_here) {
                // DEV-22
                let all = LogPosition::default();
                self.db.put_share(device.device(), log.conversation, all, self.now)?;
            }
        }
        Ok(())
    }

    /// Whether this is the first of the account's devices that were there when another account
    /// brought in more of them.
    pub(in crate::engine) fn is_first_of_account(
        &mut self,
        log: &LogRow,
        merged: &Merged,
    ) -> Result<bool, Error> {
        let own = Some(*self.account.id().key());
        let members = self.members(&log.mailbox)?;
        let mut here = members.iter().filter(|m| account(m) == own && !merged.added.contains(m));
        let first = here.next().and_then(|member| member.device.as_ref());
        let is_this = first.is_some_and(|it| *it.device() == self.account.device.public());
        Ok(merged.committer != own && is_this)
    }

    /// This device gives and takes no history any more.
    pub(in crate::engine) fn drop_archives(&mut self) -> Result<(), Error> {
        for archive in self.db.archives()? {
            match archive.way {
                Way::To(_) => self.drop_given(&archive)?,
                Way::From(_) => self.drop_taken(&archive)?,
            }
        }
        Ok(())
    }

    /// A device may have missed what was told of archives: what is left of those for it is given
    /// anew, and it hears how far this one is with those it gives.
    pub(in crate::engine) fn resume_archives(&mut self, device: &PublicKey) -> Result<(), Error> {
        for archive in self.db.archives()? {
            // DEV-16
            if archive.way == Way::To(*device) {
                let segments = self.db.segments(&archive.id)?;
                self.begin_rest(&archive, segments.first())?;
            } else if archive.way == Way::From(*device) {
                self.tell_taken(&archive, false)?;
            }
        }
        Ok(())
    }

    /// A device gets nothing more.
    pub(in crate::engine) fn stop_giving(&mut self, device: &PublicKey) -> Result<(), Error> {
        self.db.drop_shares(device)?;
        for archive in self.db.archives()? {
            if archive.way == Way::To(*device) {
                self.drop_given(&archive)?;
            }
        }
        Ok(())
    }

    fn begin_archive(&mut self, device: &PublicKey) -> Result<Option<UnixTime>, Error> {
        let Some(log) = self.own_log()? else { return Ok(None) };
        let shares = self.db.shares(device)?;
        let mut ready = Vec::new();
        for (id, _) in &shares {
            if self.has_nothing_between(*id, device)? {
                ready.push(*id);
            }
        }
        let since = shares.iter().map(|(_, since)| *since).max().unwrap_or(self.now);
        let until = since.after(HISTORY_WAIT);
        // What is being taken is to be given on in one go (DEV-22).
        let takes = |archive: &ArchiveRow| archive.is_taken() && !archive.is_over();
        let is_more_coming = ready.len() < shares.len() || self.db.archives()?.iter().any(takes);
        if ready.is_empty() || (is_more_coming && self.now < until) {
            return Ok((!ready.is_empty()).then_some(until));
        }
        let id = ArchiveId::new(random_bytes()?);
        for conversation in ready {
            self.db.set_share(device, conversation, &id)?;
        }
        let (_, messages) = self.db.archive_counts(Some(&id))?;
        self.db.put_archive(&ArchiveRow {
            id,
            way: Way::To(*device),
            relay: log.relay,
            messages,
            done: 0,
            manifests: 0,
            segments: 0,
            taken: 0,
            whole: false,
            rest: Some(Mark::before(Stage::Conversations)),
            due: self.now,
        })?;
        // Written in the next step.
        Ok(Some(self.now))
    }

    /// Whether a device hears by itself everything of a conversation that is not here yet: it is in
    /// the group, or there will be nothing more.
    fn has_nothing_between(
        &mut self,
        of: ConversationId,
        device: &PublicKey,
    ) -> Result<bool, Error> {
        let row = self.db.need_conversation(of)?;
        let Some(mailbox) = row.log.filter(|_| !row.is_room) else { return Ok(true) };
        if !matches!(self.db.need_log(&mailbox)?.state, LogState::Live | LogState::Creating) {
            return Ok(true);
        }
        Ok(member_of(&self.members(&mailbox)?, device).is_some())
    }

    /// Writes a segment, as a file that is to be stored. All of it is noted, or none.
    fn give_segment(&mut self, mut archive: ArchiveRow) -> Result<ArchiveRow, Error> {
        let Some(begins) = archive.rest.take() else { return Ok(archive) };
        let Some(log) = self.own_log()? else {
            archive.rest = Some(begins);
            return self.put_off(archive);
        };
        let writer = match archive.segments {
            0 => SegmentWriter::first(&self.head(Some(&archive.id))?),
            _ => SegmentWriter::following(Purpose::History),
        };
        let written = self.write_segment(writer, Some(&archive.id), begins.clone())?;
        let Written { bytes, messages, times, rest } = written;
        let (key, read_key) = (FileKey::generate()?, SigningKey::generate()?.seed());
        let sealed = key.seal(&bytes)?;
        let (newest, oldest) = times.unwrap_or_default();
        let segment = SegmentRow {
            archive: archive.id,
            number: archive.segments,
            blob: BlobId::new(random_bytes()?),
            read_key,
            file_key: zeroize::Zeroizing::new(*key.as_bytes()),
            size: sealed.len() as u64,
            messages,
            newest,
            oldest,
            begins: Some(begins),
            told: false,
        };
        // Written again, it has the same name: a try that was cut off leaves nothing behind.
        let (address, name) = (address_of(&segment, &log.relay)?, file_of(&segment));
        if let Err(error) = self.files.put(&name, &sealed) {
            tracing::warn!(kind = %error.kind(), "a segment of history could not be written");
            archive.rest = segment.begins;
            return self.put_off(archive);
        }
        self.db.put_transfer(&new_row(Direction::Upload, &address, Some(log.mailbox), &name)?)?;
        self.db.put_segment(&segment)?;
        archive.segments += 1;
        // ARC-6: what is older is left out.
        archive.rest = rest.filter(|_| archive.segments < SEGMENTS);
        self.db.put_archive(&archive)?;
        Ok(archive)
    }

    /// Nothing can be given now.
    fn put_off(&mut self, mut archive: ArchiveRow) -> Result<ArchiveRow, Error> {
        archive.due = self.now.after(HISTORY_RETRY);
        self.db.put_archive(&archive)?;
        Ok(archive)
    }

    /// Tells of the segments that are stored by now.
    fn tell_segments(&mut self, mut archive: ArchiveRow) -> Result<(), Error> {
        let Way::To(device) = archive.way else { return Ok(()) };
        let (stored, lost) = self.stored_segments(&archive)?;
        if !lost.is_empty() {
            for segment in &lost {
                self.store_again(segment, &archive)?;
            }
            archive = self.put_off(archive)?;
        }
        let Some(last) = stored.last().map(|segment| segment.number) else { return Ok(()) };
        archive.whole = archive.rest.is_none() && last + 1 == archive.segments;
        let manifest = Manifest {
            archive: archive.id,
            number: archive.manifests,
            last: archive.whole,
            messages: archive.messages,
            relay: archive.relay.parse()?,
            segments: stored.iter().map(manifest_segment).collect(),
        };
        let told = StateRecord::History(device, Box::new(manifest));
        self.tell_record(&told)?;
        archive.manifests += 1;
        self.db.put_archive(&archive)?;
        for segment in stored {
            self.forget_file(&file_of(&segment));
            self.db.put_segment(&SegmentRow { told: true, ..segment })?;
        }
        Ok(())
    }

    /// Of the segments that were not told, those at the relay, up to the first that is not; and
    /// those that could not be stored.
    fn stored_segments(
        &self,
        archive: &ArchiveRow,
    ) -> Result<(Vec<SegmentRow>, Vec<SegmentRow>), Error> {
        let (mut stored, mut lost, mut is_whole) = (Vec::new(), Vec::new(), true);
        for segment in self.db.segments(&archive.id)?.into_iter().filter(|it| !it.told) {
            match self.db.transfer_of(&segment.blob)?.map(|transfer| transfer.state) {
                Some(TransferState::Done) if is_whole => stored.push(segment),
                Some(TransferState::Done) => {}
                Some(TransferState::Waiting | TransferState::Running) => is_whole = false,
                Some(TransferState::Cancelled | TransferState::Failed(_)) | None => {
                    is_whole = false;
                    lost.push(segment);
                }
            }
        }
        Ok((stored, lost))
    }

    /// What could not be stored is tried again, as the same blob.
    fn store_again(&mut self, segment: &SegmentRow, archive: &ArchiveRow) -> Result<(), Error> {
        let Some(log) = self.own_log()? else { return Ok(()) };
        let (address, name) = (address_of(segment, &archive.relay)?, file_of(segment));
        self.db.put_transfer(&new_row(Direction::Upload, &address, Some(log.mailbox), &name)?)
    }

    /// The device has so many segments, or wants what is left anew.
    pub(in crate::engine) fn take_taken(
        &mut self,
        taker: &PublicKey,
        id: &ArchiveId,
        taken: HistoryTaken,
    ) -> Result<(), Error> {
        let archive = self.db.archive(id)?.filter(|archive| archive.way == Way::To(*taker));
        let Some(mut archive) = archive else { return Ok(()) };
        let segments = self.db.segments(id)?;
        let (has, left) = segments
            .into_iter()
            .partition::<Vec<_>, _>(|segment| segment.told && segment.number < taken.segments);
        for segment in has {
            archive.taken = segment.number + 1;
            archive.done += u64::from(segment.messages);
            self.withdraw_segment(&segment)?;
            self.db.drop_segment(id, segment.number)?;
        }
        if taken.anew {
            return self.begin_rest(&archive, left.first());
        }
        if archive.is_over() {
            self.db.note_given(id)?;
            return self.db.drop_archive(id);
        }
        self.db.put_archive(&archive)
    }

    /// What is left of an archive is given as another one.
    fn begin_rest(
        &mut self,
        archive: &ArchiveRow,
        first: Option<&SegmentRow>,
    ) -> Result<(), Error> {
        let begins = first.and_then(|segment| segment.begins.clone());
        let rest = begins.or_else(|| archive.rest.clone());
        let id = ArchiveId::new(random_bytes()?);
        self.db.move_shares(&archive.id, &id)?;
        self.drop_given(archive)?;
        self.db.put_archive(&ArchiveRow {
            id,
            messages: archive.messages.saturating_sub(archive.done),
            done: 0,
            manifests: 0,
            segments: 0,
            taken: 0,
            whole: false,
            rest,
            ..archive.clone()
        })
    }

    fn drop_given(&mut self, archive: &ArchiveRow) -> Result<(), Error> {
        for segment in self.db.segments(&archive.id)? {
            self.withdraw_segment(&segment)?;
        }
        self.db.drop_archive(&archive.id)
    }

    /// The relay need not keep a segment any more.
    fn withdraw_segment(&mut self, segment: &SegmentRow) -> Result<(), Error> {
        self.forget_file(&file_of(segment));
        match self.db.transfer_of(&segment.blob)? {
            Some(row) => self.call_off(row),
            None => Ok(()),
        }
    }
}

/// The name of a segment's file until it is stored.
fn file_of(segment: &SegmentRow) -> String {
    format!(".{}-{}", HEXLOWER.encode(segment.archive.as_bytes()), segment.number)
}

/// Where a segment is.
pub(super) fn address_of(segment: &SegmentRow, relay: &str) -> Result<BlobAddress, Error> {
    Ok(BlobAddress {
        relay: relay.parse()?,
        blob: segment.blob,
        key: segment.read_key.clone(),
        size: segment.size,
    })
}

fn manifest_segment(segment: &SegmentRow) -> ManifestSegment {
    ManifestSegment {
        number: segment.number,
        blob: segment.blob,
        read_key: segment.read_key.clone(),
        file_key: segment.file_key.clone(),
        size: BlobSize::new(segment.size),
        messages: segment.messages,
        newest: segment.newest.into(),
        oldest: segment.oldest.into(),
    }
}
