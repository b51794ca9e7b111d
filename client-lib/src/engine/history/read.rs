//! Records of an archive, into the tables: what is here already stays as it is (ARC-5).

use restante_spec::archive::{
    Conversation, Head, KeptKind, KeptMessage, Member, Purpose, Record, SegmentReader, Tombstone,
};
use restante_spec::content::{Body, Content, GroupState, LogPosition, StateRecord, UnixMillis};
use restante_spec::limits::TTL_MAX;

use crate::engine::commands::cleaned_nickname;
use crate::engine::{Work, outbox};
use crate::error::Error;
use crate::store::{ConversationRow, InboxRef, Place, Put};
use crate::types::{ContactId, ConversationId, MessageId, Standing};

impl Work<'_> {
    /// The reader of a segment; of the first one behind its head, which must be this account's.
    pub(in crate::engine) fn begin_segment<'s>(
        &self,
        bytes: &'s [u8],
        is_first: bool,
    ) -> Result<SegmentReader<'s>, Error> {
        if !is_first {
            return SegmentReader::following(Purpose::History, bytes).map_err(Error::from);
        }
        let (head, reader): (Head, _) = SegmentReader::first(Purpose::History, bytes)?;
        // ARC-3
        if head.account != *self.account.id().key() {
            return Err(restante_crypto::Error::WrongAccount.into());
        }
        Ok(reader)
    }

    /// Takes a record of history, or of a recovery file behind the account; gives back where a
    /// message stands that was not here, or was not taken back here.
    pub(in crate::engine) fn take_kept(
        &mut self,
        record: Record,
    ) -> Result<Option<(ConversationId, LogPosition)>, Error> {
        match record {
            Record::Conversation(conversation) => self.take_kept_conversation(&conversation)?,
            Record::Member(member) => self.take_kept_member(*member)?,
            Record::Tombstone(gone) => {
                let of = ConversationId::new(*gone.conversation.as_bytes());
                return Ok(self.take_tombstone(&gone)?.then_some((of, gone.position)));
            }
            Record::Message(message) => {
                let is_new = self.take_kept_message(&message)?;
                let of = ConversationId::new(*message.conversation.as_bytes());
                return Ok(is_new.then_some((of, message.position)));
            }
            // DEV-9: told by themselves. The account was read before anything else.
            _ => {}
        }
        Ok(None)
    }

    /// What its members had agreed on, where this device is in no group of it.
    fn take_kept_conversation(&mut self, kept: &Conversation) -> Result<(), Error> {
        let id = ConversationId::new(*kept.id.as_bytes());
        let Ok(state) = GroupState::decode(&kept.state) else { return Ok(()) };
        let row = match self.db.conversation(id)? {
            Some(row) if row.log.is_some() => return Ok(()),
            Some(row) => ConversationRow { state, ..row },
            None => {
                ConversationRow { standing: Standing::Broken, ..ConversationRow::new(id, state) }
            }
        };
        self.db.put_conversation(&row)?;
        self.forget_changes(StateRecord::CONVERSATION, id.as_bytes())?;
        if let Some(log) = kept.logs.last() {
            // DEV-23
            self.learn_log(&row, log)?;
        }
        self.tell_conversation(&row)
    }

    fn take_kept_member(&mut self, kept: Member) -> Result<(), Error> {
        let of = ConversationId::new(*kept.conversation.as_bytes());
        let mut member = self.db.member(of, &kept.account)?;
        if member.nickname.is_empty() {
            member.nickname = cleaned_nickname(&kept.nick);
        }
        let devices = (!kept.devices.is_empty()).then_some(kept.devices);
        member.devices = member.devices.or(devices);
        member.inbox = member.inbox.or(kept.inbox.as_ref().map(InboxRef::from));
        self.db.put_member(of, &member)
    }

    fn take_kept_message(&mut self, kept: &KeptMessage) -> Result<bool, Error> {
        // ARC-5
        if !kept.may_be_kept(self.now.into(), false) {
            return Ok(false);
        }
        let of = ConversationId::new(*kept.conversation.as_bytes());
        let id = MessageId::new(*kept.id.as_bytes());
        let waited = !self.db.acts_on(of, &id)?.is_empty();
        let put = self.db.put_kept(kept, &said(kept), self.now)?;
        if put == Put::New
            && kept.kind == KeptKind::File
            && let Ok(Body::Attachment(said)) = Body::decode(Body::ATTACHMENT, &kept.content)
        {
            self.note_attachment(of, id, &said, false)?;
        }
        if put == Put::New && waited {
            // What was done to it came before it.
            self.settle_acts(of, &id)?;
        }
        if kept.author.is_none() {
            match put {
                Put::New => self.settle_receipts(of, kept)?,
                Put::Known | Put::Bury => self.learn_place(of, kept)?,
            }
        }
        Ok(put == Put::New)
    }

    /// Another device has read where something stands that was written here: the relay's answer may
    /// have been lost.
    fn learn_place(&mut self, of: ConversationId, kept: &KeptMessage) -> Result<(), Error> {
        let LogPosition { generation, seq } = kept.position;
        if !kept.is_placed() {
            return Ok(());
        }
        let log = self.db.need_conversation(of)?.log;
        let log = log.map(|mailbox| self.db.need_log(&mailbox)).transpose()?;
        let log = log.filter(|log| log.generation == generation).map(|log| log.mailbox);
        let expires_at = kept.relay_until.map(UnixMillis::seconds);
        let expires_at = expires_at.unwrap_or_else(|| self.now.after(TTL_MAX));
        // DEV-22
        self.take_own(of, &kept.id, &Place { mailbox: log, generation, seq, expires_at })
    }

    /// Receipts that came before their message have waited for it.
    fn settle_receipts(&mut self, of: ConversationId, kept: &KeptMessage) -> Result<(), Error> {
        let mut is_new = false;
        for (who, how) in self.db.take_early_receipts(of, &kept.id)? {
            is_new |= self.db.reach(of, &kept.id, who, how, self.now)?;
        }
        if is_new && self.db.settle_fate(of, &MessageId::new(*kept.id.as_bytes()))? {
            self.tell_fate(of, &kept.id)?;
        }
        Ok(())
    }

    /// Says whether that is new here.
    fn take_tombstone(&mut self, gone: &Tombstone) -> Result<bool, Error> {
        let put = self.db.put_tombstone(gone)?;
        if put == Put::Bury {
            let of = ConversationId::new(*gone.conversation.as_bytes());
            let by = gone.by.map(|by| ContactId::new(*by.as_bytes()));
            self.bury(of, &MessageId::new(*gone.id.as_bytes()), by)?;
        }
        Ok(put != Put::Known)
    }
}

/// What a message says: it says so itself, or its content does (ARC-4).
fn said(kept: &KeptMessage) -> String {
    let silent = kept.text.is_empty() && kept.kind == KeptKind::Text;
    match Content::decode(&kept.content) {
        Ok(content) if silent => outbox::shown(&content).text,
        _ => kept.text.clone(),
    }
}
