//! Attachments: a message and the file that lies sealed in a blob beside its conversation.
//!
//! ```text
//!  a file --sealed--> HOME/files --upload--> blob       then the message goes into the outbox
//!  a message taken --> its row --download--> HOME/files
//! ```
//!
//! Knows rows, keys of files and transfers; must not know links. What is begun stands in the store
//! before anything of it lies on the disk: what nothing names there any more is litter, noted as
//! such in the transaction that lets go of it.

use restante_crypto::{FileLayout, random_bytes};
use restante_spec::codes::Code;
use restante_spec::content::{Attachment as Said, Body, ContentError};
use restante_spec::ids::EnvelopeId;
use restante_spec::limits::FILE_BYTES;
use zeroize::Zeroizing;

use super::transfers::{new_blob, new_row, upload_place};
use super::{Engine, Work};
use crate::attachment::AttachOptions;
use crate::error::Error;
use crate::events::Event;
use crate::files::Files;
use crate::limits::{ATTACHMENT_FETCH_BYTES, ATTACHMENT_FETCHES, TRANSFERS};
use crate::sealing::{AttachmentReader, SealedFile};
use crate::store::{AttachmentRow, Errand, Meta, NewMessage, TransferRow};
use crate::transfer::{BlobAddress, Direction, TransferFailure, TransferState};
use crate::types::{ConversationId, Message, MessageId, MessageKind};

impl Engine {
    /// A file is about to be sealed for this conversation: gives where it is to lie. Until the
    /// message is there it is litter of this process.
    pub(crate) fn begin_attachment(
        &mut self,
        to: ConversationId,
    ) -> Result<(Files, String), Error> {
        let file = new_file_name()?;
        self.transact(|work| {
            work.check_attachable(to)?;
            work.db.put_litter(&file, true)
        })?;
        Ok((self.transfers.files.clone(), file))
    }

    /// The file is sealed: the message is there, and its upload begins.
    pub(crate) fn attach(
        &mut self,
        to: ConversationId,
        file: &str,
        sealed: SealedFile,
        options: AttachOptions,
    ) -> Result<Message, Error> {
        self.transact(|work| work.attach(to, file, sealed, options))
    }

    /// A file that was to be sealed is of no use.
    pub(crate) fn drop_file(&mut self, file: &str) -> Result<(), Error> {
        self.transact(|work| work.db.put_litter(file, false))
    }

    /// Begins to download a file, unless it is here or on its way.
    pub(crate) fn fetch(&mut self, id: MessageId) -> Result<Message, Error> {
        let kept = self.attachment(id)?;
        self.transact(|work| {
            let of = kept.conversation;
            if !kept.whole && kept.transfer.is_none() {
                work.fetch_attachment(kept)?;
            }
            work.db.message_of(of, &id)?.ok_or(Error::NoSuchMessage)
        })
    }

    /// Begins downloads of what is to be fetched by itself, a few at once.
    pub(crate) fn fetch_wanted(&mut self) -> Result<(), Error> {
        let wanted = self.store.read().wanted_attachments(ATTACHMENT_FETCHES)?;
        if wanted.is_empty() {
            return Ok(());
        }
        let owed = self.store.read().owed_transfers()?;
        let downloads = owed.iter().filter(|row| row.errand() == Errand::Download).count();
        let free = ATTACHMENT_FETCHES.saturating_sub(downloads);
        let free = free.min(TRANSFERS.saturating_sub(owed.len()));
        for kept in wanted.into_iter().take(free) {
            self.transact(|work| work.fetch_attachment(kept))?;
        }
        Ok(())
    }

    /// Ends the transfer of a file: an upload is taken back with its message, of a download
    /// nothing is left. One that has ended stays as it is.
    pub(crate) fn cancel_attachment(&mut self, id: MessageId) -> Result<(), Error> {
        match self.attachment(id)?.transfer {
            Some(transfer) => self.cancel_transfer(transfer),
            None => Ok(()),
        }
    }

    /// The content of a file that is here.
    pub(crate) fn open_attachment(&self, id: MessageId) -> Result<AttachmentReader, Error> {
        let kept = self.attachment(id)?;
        if !kept.whole {
            return Err(if kept.relay.is_some() { Error::NotHere } else { Error::Unfetchable });
        }
        let said = kept.said()?;
        let file = self.transfers.files.open(&kept.file).map_err(|_| Error::NotHere)?;
        AttachmentReader::open(file, said.file_key, said.size)
    }

    /// Attachments up to so many bytes are fetched by themselves from now on; with 0 none is.
    pub(crate) fn set_fetch_bytes(&mut self, bytes: u64) -> Result<(), Error> {
        self.transact(|work| work.db.set_meta_number(Meta::FetchBytes, bytes))
    }

    /// Removes the files that nothing names any more. One that cannot be removed is tried again
    /// when the home is opened anew.
    pub(crate) fn remove_litter(&mut self) -> Result<(), Error> {
        let litter = self.store.read().litter()?;
        if litter.is_empty() {
            return Ok(());
        }
        let owed = self.store.read().owed_transfers()?;
        self.transfers.moving.retain(|id, _| owed.iter().any(|row| row.id == *id));
        let files = self.transfers.files.clone();
        self.transact(|work| {
            for file in litter {
                match files.forget(&file) {
                    Ok(()) => work.db.take_litter(&file)?,
                    Err(error) => {
                        tracing::warn!(kind = %error.kind(), "a file could not be removed");
                        work.db.put_litter(&file, true)?;
                    }
                }
            }
            Ok(())
        })
    }

    fn attachment(&self, id: MessageId) -> Result<AttachmentRow, Error> {
        let db = self.store.read();
        let message = db.message(&id)?.ok_or(Error::NoSuchMessage)?;
        db.attachment(message.conversation, &id)?.ok_or(Error::NoSuchFile)
    }
}

impl Work<'_> {
    fn check_attachable(&self, to: ConversationId) -> Result<(), Error> {
        self.check_may_act()?;
        self.check_can_queue(to, true)?;
        upload_place(self.db, to).map(drop)
    }

    fn attach(
        &mut self,
        to: ConversationId,
        file: &str,
        sealed: SealedFile,
        options: AttachOptions,
    ) -> Result<Message, Error> {
        self.check_attachable(to)?;
        if let Some(answered) = &options.reply_to {
            self.shown_message(to, answered)?;
        }
        let (relay, mailbox) = upload_place(self.db, to)?;
        let size = FileLayout::of_content(sealed.size)?.sealed_size();
        let blob = new_blob(&relay, size.get())?;
        let transfer = new_row(Direction::Upload, &blob, Some(mailbox), file)?;
        let said = said_of(sealed, blob, mailbox, options);
        let (caption, reply_to) = (said.caption.clone(), said.reply_to);
        let body = body_of(said)?;
        self.note_transfer(&transfer)?;
        self.db.take_litter(file)?;
        let id = EnvelopeId::new(random_bytes()?);
        let message = MessageId::new(*id.as_bytes());
        self.db.put_attachment(&AttachmentRow {
            conversation: to,
            message,
            body,
            relay: Some(relay),
            file: file.to_owned(),
            whole: true,
            wanted: false,
            transfer: Some(transfer.id),
            failure: None,
        })?;
        let message = self.db.put_message(&NewMessage {
            text: &caption,
            reply_to,
            ..NewMessage::queued(id, to, MessageKind::Attachment, self.now)
        })?;
        message.ok_or(Error::NoSuchMessage)
    }

    /// Keeps what a message that was taken says of its file, and gives the message with it.
    pub(super) fn keep_attachment(
        &mut self,
        message: Message,
        said: &Said,
    ) -> Result<Message, Error> {
        let limit = match self.db.meta(Meta::FetchBytes)? {
            Some(_) => self.db.meta_number(Meta::FetchBytes)?,
            None => ATTACHMENT_FETCH_BYTES,
        };
        let (of, id) = (message.conversation, message.id);
        self.note_attachment(of, id, said, said.size <= limit)?;
        self.db.message_of(of, &id)?.ok_or(Error::NoSuchMessage)
    }

    /// Notes what a message says of its file, and whether it is fetched before anybody asks.
    pub(super) fn note_attachment(
        &mut self,
        of: ConversationId,
        message: MessageId,
        said: &Said,
        wanted: bool,
    ) -> Result<(), Error> {
        // DEV-17
        if self.is_removed()? {
            return Ok(());
        }
        let log = self.db.log(&said.mailbox)?.filter(|log| log.conversation == of);
        // CNT-8
        let relay = log.map(|log| log.relay).filter(|relay| same_relay(relay, said));
        let relay = relay.filter(|_| (1..=FILE_BYTES).contains(&said.size));
        self.db.put_attachment(&AttachmentRow {
            conversation: of,
            message,
            body: body_of(without_words(said.clone()))?,
            wanted: wanted && relay.is_some(),
            relay,
            file: new_file_name()?,
            whole: false,
            transfer: None,
            failure: None,
        })
    }

    fn fetch_attachment(&mut self, mut kept: AttachmentRow) -> Result<(), Error> {
        // CNT-8: by the address this device knows, whatever the message says.
        let relay = kept.relay.as_ref().ok_or(Error::Unfetchable)?.parse()?;
        let said = kept.said()?;
        let size = FileLayout::of_content(said.size)?.sealed_size().get();
        let blob = BlobAddress { relay, blob: said.blob, key: said.read_key, size };
        let transfer = new_row(Direction::Download, &blob, None, &kept.file)?;
        self.note_transfer(&transfer)?;
        (kept.transfer, kept.failure, kept.wanted) = (Some(transfer.id), None, false);
        self.save_attachment(&kept)
    }

    /// A transfer has ended; what that means for the message whose file it moved.
    pub(super) fn attachment_moved(&mut self, transfer: &TransferRow) -> Result<(), Error> {
        let Some(mut kept) = self.db.attachment_moved_by(&transfer.id)? else { return Ok(()) };
        kept.transfer = None;
        match (transfer.direction, transfer.state) {
            (_, TransferState::Waiting | TransferState::Running) => Ok(()),
            (Direction::Upload, TransferState::Done) => self.uploaded(kept),
            (Direction::Upload, TransferState::Cancelled) => {
                let own = self.own_contact();
                self.bury(kept.conversation, &kept.message, Some(own))
            }
            (Direction::Upload, TransferState::Failed(failure)) => self.not_sent(kept, failure),
            (Direction::Download, TransferState::Failed(failure)) => {
                kept.failure = Some(failure);
                self.save_attachment(&kept)
            }
            (Direction::Download, state) => {
                kept.whole = state == TransferState::Done;
                self.save_attachment(&kept)
            }
        }
    }

    /// All of the file is at the relay: now its message may leave.
    fn uploaded(&mut self, mut kept: AttachmentRow) -> Result<(), Error> {
        if self.check_writable(kept.conversation).is_err() {
            return self.not_sent(kept, TransferFailure::Ended);
        }
        let id = EnvelopeId::new(*kept.message.as_bytes());
        self.introduce_in_room(kept.conversation, Body::ATTACHMENT)?;
        // CNT-8
        self.db.put_outbox(kept.conversation, &id, Body::ATTACHMENT, &kept.body, self.now)?;
        kept.body = body_of(without_words(kept.said()?))?;
        self.save_attachment(&kept)
    }

    /// The file did not get to the relay: its message is not sent, and says why.
    fn not_sent(&mut self, mut kept: AttachmentRow, failure: TransferFailure) -> Result<(), Error> {
        kept.failure = Some(failure);
        if self.db.refuse_message(kept.conversation, &kept.message, code_of(failure))? {
            let id = EnvelopeId::new(*kept.message.as_bytes());
            self.tell_fate(kept.conversation, &id)?;
        }
        self.save_attachment(&kept)
    }

    fn save_attachment(&mut self, kept: &AttachmentRow) -> Result<(), Error> {
        self.db.put_attachment(kept)?;
        let message = self.db.message_of(kept.conversation, &kept.message)?;
        self.events.extend(message.map(Event::Changed));
        Ok(())
    }

    /// Forgets the file of a message that is let go, with its keys; one under way is cancelled.
    pub(super) fn forget_attachment(
        &mut self,
        of: ConversationId,
        message: &MessageId,
    ) -> Result<(), Error> {
        let Some(kept) = self.db.attachment(of, message)? else { return Ok(()) };
        let moving = kept.transfer.map(|id| self.db.transfer(&id)).transpose()?.flatten();
        if let Some(row) = moving.filter(|row| !row.state.is_final()) {
            self.call_off(row)?;
        }
        self.db.drop_attachment(of, message)?;
        self.db.put_litter(&kept.file, false)
    }

    /// The same for every message: this device was removed (DEV-17).
    pub(super) fn forget_attachments(&mut self) -> Result<(), Error> {
        let all = self.db.attachments()?;
        all.iter().try_for_each(|(of, message)| self.forget_attachment(*of, message))
    }
}

/// What a message says of a file that was sealed.
fn said_of(
    sealed: SealedFile,
    blob: BlobAddress,
    mailbox: restante_spec::ids::MailboxId,
    options: AttachOptions,
) -> Said {
    let picture = sealed.picture.as_ref();
    Said {
        relay: blob.relay,
        mailbox,
        blob: blob.blob,
        read_key: blob.key,
        file_key: sealed.key,
        size: sealed.size,
        name: sealed.name,
        media_type: picture.map_or("", |picture| picture.media_type).to_owned(),
        width: picture.map_or(0, |picture| picture.width),
        height: picture.map_or(0, |picture| picture.height),
        duration_ms: 0,
        thumbnail: sealed.picture.and_then(|picture| picture.thumbnail).unwrap_or_default(),
        caption: options.caption,
        reply_to: options.reply_to.map(|id| EnvelopeId::new(*id.as_bytes())),
    }
}

/// What is kept of it beside the message, whose words may change.
fn without_words(said: Said) -> Said {
    Said { caption: String::new(), ..said }
}

/// As contents write it.
fn body_of(said: Said) -> Result<Zeroizing<Vec<u8>>, Error> {
    Body::Attachment(Box::new(said)).encode().map_err(unsendable)
}

/// Whether a message means the relay of this address: its identity counts, not how it is reached.
fn same_relay(address: &str, said: &Said) -> bool {
    let known = address.parse::<restante_spec::address::RelayAddress>();
    known.is_ok_and(|known| known.identity() == said.relay.identity())
}

/// What an app has given cannot stand in a message.
fn unsendable(error: ContentError) -> Error {
    match error {
        ContentError::TooLarge { what, size, max } => Error::TooLong { what, bytes: size, max },
        ContentError::Malformed { what } => Error::Misleading { what },
        _ => super::outbox::unwritable(error),
    }
}

/// The name of a file of the home that says nothing.
fn new_file_name() -> Result<String, Error> {
    let random = Zeroizing::new(random_bytes::<16>()?);
    Ok(data_encoding::HEXLOWER.encode(random.as_slice()))
}

/// Why a message is not sent whose file did not get to the relay.
const fn code_of(failure: TransferFailure) -> Code {
    match failure {
        TransferFailure::Refused(code) => code,
        TransferFailure::Full => Code::Quota,
        TransferFailure::Gone => Code::NotFound,
        TransferFailure::Ended => Code::Gone,
        TransferFailure::Mismatch | TransferFailure::DiskFull | TransferFailure::File => {
            Code::Internal
        }
    }
}
