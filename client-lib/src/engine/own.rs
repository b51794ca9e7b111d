//! The own conversation: what one device of the account changes, the others are told as records;
//! of one record the last word in the log's order holds, on every device (DEV-8 to DEV-11).
//!
//! The store notes by itself which records have changed. Behind each transaction they become
//! contents; so nothing that is durable here is ever forgotten to be told.

use restante_crypto::Suite;
use restante_spec::content::{
    Body, GroupKind, GroupState, LogPosition, StateRecord, Sync, SyncRecord,
};
use restante_spec::ids::{MailboxId, PublicKey, Seq};
use restante_spec::limits::SYNC_RECORDS;

use super::commands::id_of_key;
use super::contents::Speaker;
use super::{Engine, Work};
use crate::error::Error;
use crate::limits::{CLAIM_WAIT, NOTES, SYNC_CHUNK};
use crate::store::{
    ClaimRow, ConversationRow, LastWord, LogRow, LogState, Meta, Place, RecordName,
};
use crate::types::{ContactId, ContactState, ConversationId};

impl Engine {
    /// Whether this device is to tell every record in a log (DEV-9).
    pub(super) fn owes_states(&self, log: &LogRow) -> Result<bool, Error> {
        let own = ConversationId::from(id_of_key(self.account.id().key()));
        let db = self.store.read();
        let owes = log.conversation == own && db.meta(Meta::OwesStates)?.is_some();
        // It may know less by now.
        Ok(owes && db.absent_since(&log.mailbox)?.is_none())
    }

    /// Keeps what is written and not sent in a conversation, on every device.
    pub(crate) fn set_draft(&mut self, of: ConversationId, text: &str) -> Result<(), Error> {
        self.transact(|work| {
            work.db.need_conversation(of)?;
            work.set_note(StateRecord::DRAFT, of.as_bytes(), text.as_bytes())
        })
    }

    /// What is written and not sent in a conversation.
    pub(crate) fn draft(&self, of: ConversationId) -> Result<String, Error> {
        let name = RecordName { kind: StateRecord::DRAFT, key: of.as_bytes().to_vec() };
        let text = self.store.read().note(&name)?.unwrap_or_default();
        String::from_utf8(text).map_err(|_| Error::Damaged("a draft is not UTF-8"))
    }

    /// Keeps a setting of the app, on every device.
    pub(crate) fn set_setting(&mut self, name: &str, value: &[u8]) -> Result<(), Error> {
        self.transact(|work| work.set_note(StateRecord::SETTING, name.as_bytes(), value))
    }

    /// A setting of the app.
    pub(crate) fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let name = RecordName { kind: StateRecord::SETTING, key: name.as_bytes().to_vec() };
        self.store.read().note(&name)
    }
}

impl Work<'_> {
    /// How the own conversation is named: as a direct one with this account would be.
    pub(super) fn own_conversation_id(&self) -> ConversationId {
        id_of_key(self.account.id().key()).into()
    }

    /// The own conversation, if there is one: none that others have made is told anything.
    pub(super) fn own_conversation(&self) -> Result<Option<ConversationRow>, Error> {
        let row = self.db.conversation(self.own_conversation_id())?;
        // CNV-13
        Ok(row.filter(|row| row.state.kind == GroupKind::Own))
    }

    /// Makes the own conversation unless it is there (DEV-7).
    pub(super) fn make_own_conversation(&mut self) -> Result<MailboxId, Error> {
        if let Some(ConversationRow { log: Some(mailbox), .. }) = self.own_conversation()? {
            return Ok(mailbox);
        }
        let state = GroupState::new(GroupKind::Own, 1);
        let mut row = ConversationRow::new(self.own_conversation_id(), state);
        let mailbox = self.create_log(&row, Suite::Hybrid)?;
        row.log = Some(mailbox);
        self.db.put_conversation(&row)?;
        Ok(mailbox)
    }

    /// Whether other devices read the own conversation too.
    pub(super) fn shares_state(&mut self) -> Result<bool, Error> {
        match self.own_conversation()? {
            Some(ConversationRow { log: Some(mailbox), .. }) => {
                let live = self.db.need_log(&mailbox)?.state == LogState::Live;
                Ok(live && self.own_leaves(&mailbox)? > 1)
            }
            _ => Ok(false),
        }
    }

    /// What has changed in this transaction is told to the other devices (DEV-8).
    pub(super) fn tell_own_devices(&mut self) -> Result<(), Error> {
        if self.db.dirty(1)?.is_empty() {
            return Ok(());
        }
        if self.is_cloned()? {
            return self.db.clear_all_dirty();
        }
        if self.own_conversation()?.is_none() {
            // A device that is on its way in tells when it is there.
            return if self.account.has_others() { Ok(()) } else { self.db.clear_all_dirty() };
        }
        let (mut records, mut size) = (Vec::new(), 0);
        loop {
            let names = self.db.dirty(SYNC_RECORDS)?;
            if names.is_empty() {
                break;
            }
            for name in names {
                self.db.clear_dirty(&name)?;
                let Some(record) = self.state_record(&name)? else { continue };
                let adds = record.key.len() + record.value.len() + RECORD_FRAME;
                if records.len() >= SYNC_RECORDS || size + adds > SYNC_CHUNK {
                    self.queue_records(std::mem::take(&mut records))?;
                    size = 0;
                }
                size += adds;
                records.push(record);
            }
        }
        self.queue_records(records)
    }

    pub(super) fn queue_records(&mut self, records: Vec<SyncRecord>) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        self.queue_body(self.own_conversation_id(), &Body::Sync(Sync { records }))?;
        Ok(())
    }

    /// A device has come in: it is told everything (DEV-9).
    pub(super) fn tell_everything(&mut self) -> Result<(), Error> {
        self.db.mark_everything_dirty()
    }

    /// Takes what another device has told (CNT-11).
    pub(super) fn take_sync(
        &mut self,
        of: ConversationId,
        speaker: Speaker<'_>,
        place: &Place,
        sync: &Sync,
    ) -> Result<(), Error> {
        // CNT-11
        if of != self.own_conversation_id() || speaker.account != self.account.id().key() {
            return Ok(());
        }
        self.take_records(place, sync, Some(speaker.device))
    }

    /// What this device has told has its place now.
    pub(super) fn take_own_sync(&mut self, place: &Place, sync: &Sync) -> Result<(), Error> {
        self.take_records(place, sync, None)
    }

    /// Records of another device, or of this one.
    fn take_records(
        &mut self,
        place: &Place,
        sync: &Sync,
        other: Option<&PublicKey>,
    ) -> Result<(), Error> {
        self.take_states(place, sync, other)?;
        for record in sync.records.iter().filter(|it| it.kind == StateRecord::ACCOUNT) {
            if let (Ok(Some(StateRecord::Account(account))), Some(log)) =
                (StateRecord::from_record(record), &place.mailbox)
            {
                let own = *self.account.id().key();
                self.mute_unlisted((log, place.seq), &own, &account.devices)?;
            }
        }
        Ok(())
    }

    fn take_states(
        &mut self,
        place: &Place,
        sync: &Sync,
        other: Option<&PublicKey>,
    ) -> Result<(), Error> {
        let foreign = other.is_some();
        // This device's words after another's count in their turn, until all have their place.
        let more = !foreign && self.db.outbox_count(self.own_conversation_id())? > 1;
        for record in &sync.records {
            // A newer version's, or nothing a reader can use.
            let Ok(Some(state)) = StateRecord::from_record(record) else { continue };
            if let StateRecord::Accepted(contact, device) = state {
                self.take_claim(ContactId::new(contact), device, place.seq)?;
                continue;
            }
            if self.take_history(&state, other)? {
                continue;
            }
            let name = RecordName { kind: record.kind, key: record.key.clone() };
            let last = self.db.last_word(&name)?;
            let here = (place.generation, place.seq);
            if last.is_some_and(|last| (last.generation, last.seq) >= here) {
                continue;
            }
            // DEV-10
            let overruled = last.is_some_and(|last| last.foreign);
            if foreign || overruled {
                self.apply(state)?;
                self.db.clear_dirty(&name)?;
            }
            let (generation, seq) = here;
            let foreign = foreign || (overruled && more);
            self.db.set_last_word(&name, LastWord { generation, seq, foreign })?;
        }
        Ok(())
    }

    /// What is said of history is no state (DEV-16, DEV-23); says whether it was that.
    fn take_history(
        &mut self,
        said: &StateRecord,
        other: Option<&PublicKey>,
    ) -> Result<bool, Error> {
        match (said, other) {
            (StateRecord::History(device, manifest), Some(giver)) => {
                self.take_manifest(giver, device, manifest)?;
            }
            (StateRecord::Taken(archive, taken), Some(taker)) => {
                self.take_taken(taker, archive, *taken)?;
            }
            (StateRecord::Wanted(of, wanted), Some(asker)) => {
                self.take_wanted(asker, ConversationId::new(*of), wanted)?;
            }
            (StateRecord::History(..) | StateRecord::Taken(..) | StateRecord::Wanted(..), None) => {
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Tells the other devices a record that is no state.
    pub(super) fn tell_record(&mut self, said: &StateRecord) -> Result<(), Error> {
        let record = said.to_record().map_err(super::outbox::unwritable)?;
        self.queue_records(vec![record])
    }

    /// The last word of this device on a record that has no place yet.
    pub(super) fn word_on_its_way(&self, name: &RecordName) -> Result<Option<StateRecord>, Error> {
        let mut last = None;
        for row in self.db.whole_outbox(self.own_conversation_id()) {
            let row = row?;
            let Ok(Body::Sync(sync)) = Body::decode(row.kind, &row.body) else { continue };
            let is_it = |it: &&SyncRecord| it.kind == name.kind && it.key == name.key;
            let word = sync.records.iter().rev().find(is_it);
            last = word.and_then(|it| StateRecord::from_record(it).ok().flatten()).or(last);
        }
        Ok(last)
    }

    /// The log of the own conversation, while it is in use.
    pub(super) fn own_log(&self) -> Result<Option<LogRow>, Error> {
        let mailbox = self.own_conversation()?.and_then(|own| own.log);
        let log = mailbox.map(|mailbox| self.db.need_log(&mailbox)).transpose()?;
        Ok(log.filter(|log| log.state == LogState::Live))
    }

    /// A draft or a setting is another now.
    fn set_note(&mut self, kind: u32, key: &[u8], value: &[u8]) -> Result<(), Error> {
        use restante_spec::limits::{SYNC_KEY_BYTES, SYNC_VALUE_BYTES};
        let (key_bytes, value_bytes) = (key.len(), value.len());
        if key_bytes > SYNC_KEY_BYTES {
            let what = "name";
            return Err(Error::TooLong { what, bytes: key_bytes, max: SYNC_KEY_BYTES });
        }
        if value_bytes > SYNC_VALUE_BYTES {
            let what = "value";
            return Err(Error::TooLong { what, bytes: value_bytes, max: SYNC_VALUE_BYTES });
        }
        let name = RecordName { kind, key: key.to_vec() };
        let fresh = self.db.note(&name)?.is_none();
        if fresh && !value.is_empty() && self.db.note_count()? >= NOTES {
            return Err(Error::TooMany { what: "drafts and settings", max: NOTES });
        }
        self.db.set_note(&name, value)?;
        self.db.mark_dirty(&name)
    }

    /// Everything of a conversation has been read, here and so on every device.
    pub(super) fn note_read(&mut self, of: ConversationId) -> Result<(), Error> {
        let Some((generation, seq)) = self.db.last_place(of)? else { return Ok(()) };
        if self.db.read_mark(of)? == Some((generation, seq)) {
            return Ok(());
        }
        self.db.set_read_mark(of, generation, seq, self.now)?;
        let key = of.as_bytes().to_vec();
        self.db.mark_dirty(&RecordName { kind: StateRecord::READ, key })
    }

    /// The mark of a conversation, as a record says it.
    pub(super) fn read_record(&self, of: [u8; 16]) -> Result<Option<StateRecord>, Error> {
        let mark = self.db.read_mark(ConversationId::new(of))?;
        Ok(mark.map(|(generation, seq)| StateRecord::Read(of, LogPosition { generation, seq })))
    }
}

/// Who makes the conversation with a contact that was agreed to on several devices (DEV-11).
impl Work<'_> {
    /// This device would.
    pub(super) fn claim_contact(&mut self, contact: ContactId) -> Result<(), Error> {
        let device = self.account.device.public();
        self.tell_record(&StateRecord::Accepted(*contact.as_bytes(), device))
    }

    /// A device would: the one that stands first in the log does.
    fn take_claim(&mut self, contact: ContactId, device: PublicKey, seq: Seq) -> Result<(), Error> {
        // DEV-11
        let later = self.db.claim(contact)?.is_some_and(|first| first.seq <= seq);
        if later || self.db.contact(contact)?.is_none() {
            return Ok(());
        }
        let until = self.now.after(CLAIM_WAIT);
        self.db.put_claim(&ClaimRow { contact, device, seq, until })
    }

    /// Everything of the own log up to here is known: what this device was the first to claim, it
    /// does.
    pub(super) fn settle_claims(&mut self, upto: Seq) -> Result<(), Error> {
        let own = self.account.device.public();
        for claim in self.db.claims()? {
            if claim.device != own || claim.seq > upto {
                continue;
            }
            let contact = self.db.need_contact(claim.contact)?;
            let unmade = self.db.need_conversation(claim.contact.into())?.log.is_none();
            let known = contact.request.is_some() || contact.inbox.is_some();
            if unmade && known && contact.state == ContactState::Active {
                self.make_direct(contact)?;
            }
        }
        Ok(())
    }

    /// Claims that came to nothing: the next may.
    pub(super) fn renew_claims(&mut self) -> Result<(), Error> {
        for claim in self.db.claims()? {
            let made = self.db.need_conversation(claim.contact.into())?.log.is_some();
            if made {
                self.db.drop_claim(claim.contact)?;
            } else if claim.until <= self.now {
                self.db.drop_claim(claim.contact)?;
                if self.db.need_contact(claim.contact)?.state == ContactState::Active {
                    self.claim_contact(claim.contact)?;
                }
            }
        }
        Ok(())
    }
}

/// Bytes a record takes beside key and value in the layout of protobuf, at most.
const RECORD_FRAME: usize = 24;
