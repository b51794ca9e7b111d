//! Tombstones: of a message that was taken back or whose time has passed nothing stays but its id,
//! its place and who wrote it, so that no late copy brings it back (CNT-16).

use restante_spec::content::GroupKind;

use crate::engine::{Engine, Work};
use crate::error::Error;
use crate::store::Place;
use crate::types::{ContactId, ConversationId, MessageId, MessageKind};

impl Engine {
    /// Messages whose time has passed disappear.
    pub(in crate::engine) fn let_go(&mut self) -> Result<(), Error> {
        let gone = self.store.read().to_disappear(self.now)?;
        if gone.is_empty() {
            return Ok(());
        }
        self.transact(|work| gone.iter().try_for_each(|(of, id)| work.bury(*of, id, None)))
    }
}

impl Work<'_> {
    /// Tells that another number of messages has not been read.
    pub(in crate::engine) fn tell_unread(&mut self, of: ConversationId) -> Result<(), Error> {
        let conversation = self.db.need_conversation(of)?;
        match conversation.state.kind {
            GroupKind::Direct => self.tell_contact(&self.db.need_contact(of.contact())?),
            GroupKind::Group(_) | GroupKind::Own => self.tell_conversation(&conversation),
        }
    }

    /// A message of this account has its place: from now on its time passes, if the timer was set
    /// there (CNT-18).
    pub(in crate::engine) fn begin_own_timer(
        &mut self,
        kind: MessageKind,
        of: ConversationId,
        id: &MessageId,
        place: &Place,
    ) -> Result<(), Error> {
        let Some(mailbox) = place.mailbox.filter(|_| kind.is_said()) else { return Ok(()) };
        let log = self.db.need_log(&mailbox)?;
        // CNT-18
        match self.state_at(&log, place.seq)?.timer {
            Some(timer) => self.db.begin_timer(of, id, timer, self.now),
            None => Ok(()),
        }
    }

    /// Wipes a message and what stands on it. `by`: who took it back; `None`: its time has passed.
    pub(in crate::engine) fn bury(
        &mut self,
        of: ConversationId,
        id: &MessageId,
        by: Option<ContactId>,
    ) -> Result<(), Error> {
        let unread = self.db.unread_of(of)?;
        // CNT-16
        self.forget_attachment(of, id)?;
        self.db.bury(of, id, by)?;
        self.tell_changed(of, id)?;
        if self.db.unread_of(of)? == unread {
            return Ok(());
        }
        self.tell_unread(of)
    }
}
