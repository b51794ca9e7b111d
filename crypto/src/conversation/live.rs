//! Live records of a conversation: sealed and opened beside the log (LIV-1 to LIV-4).

use restante_spec::message::EnvelopeClass;
use zeroize::Zeroizing;

use super::group::{Conversation, OwnDevice};
use super::leaf::Member;
use crate::error::Error;
use crate::labels::EXPORT_LIVE_KEY;
use crate::live::{LiveKey, LiveSender};
use crate::record::RecordPlace;

/// A live record that was read.
#[derive(Debug)]
pub struct Live {
    /// Who sent it. Without a certificate it is muted (CNV-3).
    pub sender: Member,
    /// The content's exact bytes.
    pub content: Zeroizing<Vec<u8>>,
}

impl Conversation {
    /// Seals a content as a live record of this epoch. Nothing is stored, and nothing need be.
    /// `counter` must be above the last one this device used in this epoch (LIV-4).
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Removed`], [`Error::Randomness`]; [`Error::Internal`] for a
    /// place that is not live, or in another mailbox.
    pub fn seal_live(
        &self,
        own: &OwnDevice<'_>,
        place: &RecordPlace,
        counter: u64,
        content: &[u8],
    ) -> Result<Vec<u8>, Error> {
        if place.mailbox != *self.mailbox() || place.class != EnvelopeClass::Live {
            return Err(Error::Internal { what: "a live record for another place" });
        }
        let sender = LiveSender { leaf: self.own_leaf(), device: own.key, counter };
        self.live_key()?.seal(place, &sender, content)
    }

    /// Opens a live record that stood at `place` in this epoch. What is refused was of another
    /// epoch, of nobody here, or a copy: it is dropped in silence.
    ///
    /// # Errors
    /// [`Error::Undecryptable`], [`Error::Malformed`], [`Error::BadPadding`],
    /// [`Error::NotAMember`], [`Error::BadSignature`], [`Error::BadKey`],
    /// [`Error::OldLiveRecord`], [`Error::Removed`].
    pub fn open_live(&mut self, place: &RecordPlace, record: &[u8]) -> Result<Live, Error> {
        if place.mailbox != *self.mailbox() || place.class != EnvelopeClass::Live {
            return Err(Error::Undecryptable);
        }
        let opened = self.live_key()?.open(place, record)?;
        let sender = self.member(opened.leaf()).ok_or(Error::NotAMember)?;
        // LIV-3
        opened.verify(place, sender.key.as_ref().ok_or(Error::BadKey)?)?;
        // LIV-4
        let generation = self.generation();
        self.live.take(generation, opened.leaf(), opened.counter())?;
        Ok(Live { sender, content: opened.into_content() })
    }

    fn live_key(&self) -> Result<LiveKey, Error> {
        if !self.is_member() {
            return Err(Error::Removed);
        }
        Ok(LiveKey::new(self.export(EXPORT_LIVE_KEY)?))
    }
}
