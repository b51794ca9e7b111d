//! The recovery file: everything the account has, out of the tables; and a home with a new device
//! of the account, made of it (REV-5, REV-6).

use std::io::Read;
use std::path::Path;

use restante_crypto::{AccountKey, RecoveryReader, generate_reader};
use restante_spec::archive::{
    Account as KeptAccount, ArchiveError, Conversation, Purpose, Record, SegmentReader,
    SegmentWriter,
};
use restante_spec::content::{GroupState, StateRecord};
use restante_spec::ids::UnixTime;

use super::write::Written;
use crate::engine::account::Account;
use crate::engine::groups::Groups;
use crate::engine::lists::Lists;
use crate::engine::membership::accounts;
use crate::engine::{Engine, Work};
use crate::error::Error;
use crate::files::Files;
use crate::key::StoreKey;
use crate::limits::{RETURN_DELAY, RETURN_SPREAD};
use crate::store::{ConversationRow, Db, LogRow, LogState, Mark, Meta, ReturnRow, Stage, Store};
use crate::types::{ConversationId, Standing};

impl Engine {
    /// A segment of a recovery file, from a mark on; the first one without.
    pub(crate) fn recovery_segment(&mut self, from: Option<Mark>) -> Result<Written, Error> {
        self.transact(|work| {
            let Some(mark) = from else {
                work.note_silent_members()?;
                let mut writer = SegmentWriter::first(&work.head(None)?);
                writer.push(&Record::Account(Box::new(work.kept_account()?)))?;
                return work.write_segment(writer, None, Mark::before(Stage::States));
            };
            work.write_segment(SegmentWriter::following(Purpose::Recovery), None, mark)
        })
    }

    /// Makes the home of a new device of the account of a recovery file.
    pub(crate) fn restore(
        home: &Path,
        key: &StoreKey,
        file: RecoveryReader<impl Read>,
        now: UnixTime,
    ) -> Result<Self, Error> {
        Store::create(home, key, |db| restore(db, &Files::of(home), file, now))?;
        Self::open(home, key, now)
    }
}

impl Work<'_> {
    /// Notes also those members who have not said anything of themselves yet: who restores has no
    /// tree, and can be let in only by whom the file names (REV-7).
    fn note_silent_members(&mut self) -> Result<(), Error> {
        for row in self.db.conversations()? {
            let Some(mailbox) = row.log.filter(|_| row.is_group()) else { continue };
            if row.standing != Standing::Open || !self.has_group(&mailbox)? {
                continue;
            }
            for account in accounts(&self.members(&mailbox)?) {
                if !self.db.has_member(row.id, &account)? {
                    self.db.put_member(row.id, &self.db.member(row.id, &account)?)?;
                }
            }
        }
        Ok(())
    }

    fn kept_account(&self) -> Result<KeptAccount, Error> {
        let number = self.db.meta_number(Meta::NextDevice)?;
        Ok(KeptAccount {
            // REV-5: only who has the account's key.
            seed: self.account.need_key()?.seed(),
            nick: self.db.need_text(Meta::Nickname)?,
            devices: self.account.list.as_bytes().to_vec(),
            next_device: u32::try_from(number).unwrap_or(u32::MAX),
            relay: self.account.relay.clone(),
            inbox: self.account.inbox,
            manage_key: self.account.manage.seed(),
        })
    }

    /// Takes what stands in a recovery file behind the account.
    fn restore_record(&mut self, record: Record) -> Result<(), Error> {
        match record {
            Record::Account(_) => Err(ArchiveError::Misplaced { what: "the account" }.into()),
            Record::State(state) => match StateRecord::from_record(&state) {
                Ok(Some(state)) => self.apply(state),
                Ok(None) | Err(_) => Ok(()),
            },
            Record::Conversation(conversation) => self.restore_conversation(&conversation),
            other => self.take_kept(other).map(drop),
        }
    }

    /// A conversation as it was: this device is in no group of it. Its logs stand as `Gone`, so
    /// that nothing is opened and nothing sent before the device was let in again.
    fn restore_conversation(&mut self, kept: &Conversation) -> Result<(), Error> {
        let id = ConversationId::new(*kept.id.as_bytes());
        let Ok(state) = GroupState::decode(&kept.state) else { return Ok(()) };
        let Some(row) = self.db.conversation(id)? else { return Ok(()) };
        for log in &kept.logs {
            let (relay, reader) = (log.relay.to_string(), generate_reader()?);
            let gone = LogState::Gone;
            let row = LogRow::new(log.mailbox, id, relay, log.generation, gone, reader);
            self.db.put_log(&row)?;
        }
        // REV-6
        let standing = match row.standing {
            // Asked for when everything is here.
            Standing::Open => Standing::Restored,
            // There is nothing to agree to any more.
            Standing::Invited => Standing::Broken,
            Standing::Leaving => Standing::Left,
            ended
            @ (Standing::Left | Standing::Removed | Standing::Broken | Standing::Restored) => ended,
        };
        let log = kept.logs.last().map(|log| log.mailbox);
        self.db.put_conversation(&ConversationRow { state, standing, log, ..row })
    }

    /// What went on is asked for, as by a device that has read up to the newest message of the
    /// file.
    fn ask_for_all(&self) -> Result<(), Error> {
        for row in self.db.conversations()? {
            let Some(mailbox) = row.log.filter(|_| row.standing == Standing::Restored) else {
                continue;
            };
            let mut log = self.db.need_log(&mailbox)?;
            let last = self.db.last_place(row.id)?.unwrap_or_default();
            if last.0 == log.generation {
                log.cursor = last.1;
                self.db.put_log(&log)?;
            }
            let due = self.later(RETURN_DELAY, RETURN_SPREAD)?;
            // REV-7
            self.db.put_return(&ReturnRow::new(mailbox, due))?;
        }
        Ok(())
    }
}

/// Everything in one transaction: there is a home with all of it, or none.
fn restore(
    db: Db<'_>,
    files: &Files,
    mut file: RecoveryReader<impl Read>,
    now: UnixTime,
) -> Result<(), Error> {
    let none = ArchiveError::Malformed { what: "account" };
    let first = file.next_segment()?.ok_or(none)?;
    let (head, mut records) = SegmentReader::first(Purpose::Recovery, &first)?;
    let Some(Ok(Record::Account(kept))) = records.next() else { return Err(none.into()) };
    // ARC-3
    if *AccountKey::from_seed(&kept.seed).id().key() != head.account {
        return Err(restante_crypto::Error::WrongAccount.into());
    }
    Account::restore(db, &kept, now)?;
    let account = &Account::load(db)?;
    let (groups, lists) = (&mut Groups::default(), &mut Lists::default());
    let events = &mut Vec::new();
    let mut work = Work { db, account, groups, lists, files, events, now, stale: false };
    let mut refused = work.restore_records(records)?;
    while let Some(segment) = file.next_segment()? {
        refused += work.restore_records(SegmentReader::following(Purpose::Recovery, &segment)?)?;
    }
    work.ask_for_all()?;
    if refused > 0 {
        // ARC-2
        tracing::warn!(refused, "records of a recovery file were refused");
    }
    // There is nobody to tell yet.
    db.clear_all_dirty()
}

impl Work<'_> {
    /// Takes the records of a segment; gives how many were refused.
    fn restore_records(&mut self, records: SegmentReader<'_>) -> Result<u32, Error> {
        let mut refused = 0;
        for record in records {
            match record {
                Ok(record) => self.restore_record(record)?,
                Err(_) => refused += 1,
            }
            // Nobody has seen anything else.
            self.events.clear();
        }
        Ok(refused)
    }
}
