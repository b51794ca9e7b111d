//! The taker: segments are fetched in their order, each is put into the tables in one transaction
//! with the note that it is here, and the giver is told (DEV-16).

use std::collections::BTreeMap;

use restante_crypto::FileKey;
use restante_spec::archive::{Manifest, ManifestSegment, Record};
use restante_spec::content::{HistoryTaken, LogPosition, StateRecord};
use restante_spec::ids::{ArchiveId, PublicKey};

use super::give::address_of;
use crate::engine::large::name_of;
use crate::engine::transfers::new_row;
use crate::engine::{Engine, Work};
use crate::error::Error;
use crate::events::{Event, Notice};
use crate::limits::{HISTORY_FETCHES, HISTORY_RETRY};
use crate::store::{ArchiveRow, Db, SegmentRow, Way};
use crate::transfer::{Direction, TransferFailure, TransferState};
use crate::types::{ConversationId, HistoryProgress};

/// How far the next segment is.
enum Next {
    /// The sealed file.
    Here(Vec<u8>),
    Waiting,
    /// This device could not keep it: later.
    Later,
    /// The relay does not have it, or it is not what it should be.
    Gone,
}

impl Engine {
    /// Takes the segments that are here, and fetches the next ones.
    pub(super) fn take(&mut self, mut archive: ArchiveRow) -> Result<(), Error> {
        loop {
            let goes_on = self.transact(|work| work.take_next(archive))?;
            let Some(taken) = goes_on else { return Ok(()) };
            archive = taken;
        }
    }
}

impl Work<'_> {
    /// A device of the account tells of segments; those for others are theirs.
    pub(in crate::engine) fn take_manifest(
        &mut self,
        giver: &PublicKey,
        device: &PublicKey,
        manifest: &Manifest,
    ) -> Result<(), Error> {
        if *device != self.account.device.public() {
            return Ok(());
        }
        let Some(mut archive) = self.place_of_manifest(giver, manifest)? else { return Ok(()) };
        for segment in &manifest.segments {
            self.db.put_segment(&segment_row(&archive.id, segment))?;
            archive.segments = segment.number + 1;
        }
        archive.manifests += 1;
        archive.whole = manifest.last;
        self.db.put_archive(&archive)?;
        self.tell_progress()
    }

    fn tell_progress(&mut self) -> Result<(), Error> {
        self.events.extend(progress(self.db)?.map(Event::History));
        Ok(())
    }

    /// The archive a manifest goes on with; `None`: it follows nothing that is here.
    fn place_of_manifest(
        &mut self,
        giver: &PublicKey,
        manifest: &Manifest,
    ) -> Result<Option<ArchiveRow>, Error> {
        let first = manifest.segments.first().map(|segment| segment.number);
        let way = Way::From(*giver);
        if let Some(archive) = self.db.archive(&manifest.archive)? {
            // ARC-6
            let follows = archive.way == way
                && archive.manifests == manifest.number
                && Some(archive.segments) == first
                && !archive.whole;
            return Ok(follows.then_some(archive));
        }
        if manifest.number != 0 {
            return Ok(None);
        }
        // Each gives one after the other.
        for before in self.db.archives()?.iter().filter(|archive| archive.way == way) {
            self.drop_taken(before)?;
        }
        Ok(Some(ArchiveRow {
            id: manifest.archive,
            way,
            relay: manifest.relay.to_string(),
            messages: manifest.messages,
            done: 0,
            manifests: 0,
            segments: 0,
            taken: 0,
            whole: false,
            rest: None,
            due: self.now,
        }))
    }

    /// Takes the next segment if it is here; `None`: nothing more can be done now.
    fn take_next(&mut self, mut archive: ArchiveRow) -> Result<Option<ArchiveRow>, Error> {
        let segments = self.db.segments(&archive.id)?;
        let Some(segment) = segments.first() else { return Ok(None) };
        let next = self.fetch_segment(&archive, segment)?;
        for later in segments.iter().take(HISTORY_FETCHES).skip(1) {
            self.begin_fetching(&archive, later)?;
        }
        match next {
            Next::Waiting => Ok(None),
            Next::Later => {
                archive.due = self.now.after(HISTORY_RETRY);
                self.db.put_archive(&archive)?;
                Ok(None)
            }
            Next::Gone => self.want_anew(&archive).map(|()| None),
            Next::Here(file) => {
                let taken = self.attempt(|work| work.take_segment(&archive, segment, &file))?;
                if taken.is_none() {
                    return self.want_anew(&archive).map(|()| None);
                }
                self.db.drop_segment(&archive.id, segment.number)?;
                archive.taken = segment.number + 1;
                archive.done += u64::from(segment.messages);
                self.db.put_archive(&archive)?;
                self.tell_taken(&archive, false)?;
                self.tell_progress()?;
                Ok(Some(archive))
            }
        }
    }

    /// Every record of a segment; of those that are refused it is told (ARC-2).
    fn take_segment(
        &mut self,
        archive: &ArchiveRow,
        segment: &SegmentRow,
        file: &[u8],
    ) -> Result<(), Error> {
        let bytes = FileKey::new(segment.file_key.clone()).open(file)?;
        let mut refused = 0_u32;
        let mut fresh: BTreeMap<ConversationId, LogPosition> = BTreeMap::new();
        for record in self.begin_segment(&bytes, segment.number == 0)? {
            match record {
                // REV-5
                Ok(Record::Account(_)) | Err(_) => refused += 1,
                Ok(record) => {
                    if let Some((of, at)) = self.take_kept(record)? {
                        let oldest = fresh.entry(of).or_insert(at);
                        *oldest = at.min(*oldest);
                    }
                }
            }
        }
        self.share_taken(archive, &fresh)?;
        if refused > 0 {
            tracing::warn!(refused, "records of history were refused");
            // ARC-2
            self.notice(Notice::Junk { conversation: None });
        }
        Ok(())
    }

    /// What this device did not have, those do not have either that got their history from it.
    fn share_taken(
        &self,
        archive: &ArchiveRow,
        fresh: &BTreeMap<ConversationId, LogPosition>,
    ) -> Result<(), Error> {
        for (of, behind) in fresh {
            for (device, _) in self.db.shared_with(*of)? {
                if archive.way != Way::From(device) {
                    // DEV-22
                    self.db.put_share(&device, *of, *behind, self.now)?;
                }
            }
        }
        Ok(())
    }

    fn fetch_segment(&mut self, archive: &ArchiveRow, at: &SegmentRow) -> Result<Next, Error> {
        let name = name_of(&at.blob);
        match self.files.read(&name) {
            Ok(Some(file)) => {
                self.forget_large(&[at.blob]);
                return Ok(Next::Here(file));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(kind = %error.kind(), "a segment of history could not be read");
                return Ok(Next::Later);
            }
        }
        match self.db.transfer_of(&at.blob)?.map(|transfer| transfer.state) {
            Some(TransferState::Waiting | TransferState::Running) => Ok(Next::Waiting),
            Some(TransferState::Failed(TransferFailure::DiskFull | TransferFailure::File)) => {
                self.put_download(archive, at)?;
                Ok(Next::Later)
            }
            Some(TransferState::Failed(_) | TransferState::Cancelled) => Ok(Next::Gone),
            // It was here, and what was done with it was undone: it is fetched again.
            Some(TransferState::Done) | None => {
                self.put_download(archive, at)?;
                Ok(Next::Waiting)
            }
        }
    }

    /// The same for one whose turn comes later.
    fn begin_fetching(&mut self, archive: &ArchiveRow, at: &SegmentRow) -> Result<(), Error> {
        match self.db.transfer_of(&at.blob)? {
            None => self.put_download(archive, at),
            Some(_) => Ok(()),
        }
    }

    fn put_download(&mut self, archive: &ArchiveRow, at: &SegmentRow) -> Result<(), Error> {
        let address = address_of(at, &archive.relay)?;
        self.db.put_transfer(&new_row(Direction::Download, &address, None, &name_of(&at.blob))?)
    }

    /// What is left cannot be had so: the giver begins with it anew.
    fn want_anew(&mut self, archive: &ArchiveRow) -> Result<(), Error> {
        self.tell_taken(archive, true)?;
        self.drop_taken(archive)
    }

    /// A device tells of no more segments: those it has told are all there are.
    pub(in crate::engine) fn end_taking(&mut self, giver: &PublicKey) -> Result<(), Error> {
        for mut archive in self.db.archives()? {
            if archive.way == Way::From(*giver) {
                archive.whole = true;
                self.db.put_archive(&archive)?;
            }
        }
        Ok(())
    }

    pub(super) fn tell_taken(&mut self, archive: &ArchiveRow, anew: bool) -> Result<(), Error> {
        let taken = HistoryTaken { segments: archive.taken, anew };
        self.tell_record(&StateRecord::Taken(archive.id, taken))
    }

    pub(super) fn drop_taken(&mut self, archive: &ArchiveRow) -> Result<(), Error> {
        for segment in self.db.segments(&archive.id)? {
            if let Some(row) = self.db.transfer_of(&segment.blob)? {
                self.call_off(row)?;
            }
            self.forget_large(&[segment.blob]);
        }
        self.db.drop_archive(&archive.id)
    }
}

/// How far the history is that this device takes, from whomever; `None`: from nobody.
pub(super) fn progress(db: Db<'_>) -> Result<Option<HistoryProgress>, Error> {
    let archives = db.archives()?.into_iter().filter(ArchiveRow::is_taken).map(|archive| {
        let (done, is_complete) = (archive.done, archive.is_over());
        let total = if is_complete { done } else { archive.messages.max(done) };
        HistoryProgress { done, total, is_complete }
    });
    Ok(archives.reduce(|all, one| HistoryProgress {
        done: all.done + one.done,
        total: all.total + one.total,
        is_complete: all.is_complete && one.is_complete,
    }))
}

fn segment_row(archive: &ArchiveId, told: &ManifestSegment) -> SegmentRow {
    SegmentRow {
        archive: *archive,
        number: told.number,
        blob: told.blob,
        read_key: told.read_key.clone(),
        file_key: told.file_key.clone(),
        size: told.size.get(),
        messages: told.messages,
        newest: told.newest.seconds(),
        oldest: told.oldest.seconds(),
        begins: None,
        told: true,
    }
}
