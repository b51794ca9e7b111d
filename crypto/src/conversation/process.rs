//! Reading the log: what a record of the current epoch means, and what it changes (CNV-11).

use openmls::prelude::{
    ContentType, MlsMessageBodyIn, MlsMessageIn, ProcessedMessageContent, ProposalType,
    ProtocolMessage, Sender, StagedCommit,
};
use restante_spec::ids::PublicKey;
use tls_codec::Deserialize;
use zeroize::Zeroizing;

use super::group::Conversation;
use super::leaf::Member;
use super::provider::{self, Provider, Storage};
use crate::error::Error;
use crate::file::FileKey;
use crate::record::{LargeMessage, LeafNumber, RecordPlace};

/// What a record was.
#[derive(Debug)]
pub enum Processed {
    /// A content.
    Application {
        /// Who sent it. Without a certificate it is muted (CNV-3).
        sender: Member,
        /// The content's exact bytes.
        content: Zeroizing<Vec<u8>>,
    },
    /// A commit of another device, applied. A pending commit of our own has lost and is cleared.
    Commit {
        /// Who committed.
        committer: Member,
        /// The key of the new epoch as MLS has it, to compare with the one the relay announced:
        /// another one means that the log is captured (CNV-12).
        next_key: PublicKey,
        /// Devices that were added.
        added: Vec<Member>,
        /// Devices that were removed, as they were before.
        removed: Vec<Member>,
        /// What the group's context says from now on (CNV-13), if this commit wrote it anew.
        state: Option<Vec<u8>>,
    },
    /// A commit of another device has removed this one.
    Removed {
        /// It has added this device again (CNV-19).
        again: bool,
    },
    /// The record says where its message lies (REC-6): read it again with the blob. Nothing was
    /// changed.
    Large(LargeMessage),
    /// Our own commit: if its envelope is the pending one's, merge it; if not, see below.
    OwnCommit,
    /// Our own message. If its envelope's id is not one we used, our state was copied.
    OwnMessage,
    /// Not to be read by anyone: shown as such and passed over. Nothing was changed.
    Refused(Error),
}

impl Conversation {
    /// Reads a record that stood at `place`, in the order of the log.
    ///
    /// What MLS accepts is merged, whoever committed it: policy is judged afterwards (CNV-11). But
    /// no commit makes its own leaf another member (CNV-5).
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Internal`]: roll back, drop the conversation, load it again.
    /// [`Error::Removed`] once this device is no member. A bad record is no error but
    /// [`Processed::Refused`].
    pub fn process<S: Storage>(
        &mut self,
        storage: &S,
        place: &RecordPlace,
        record: &[u8],
    ) -> Result<Processed, Error> {
        self.process_with(storage, place, record, None)
    }

    /// The same for a record that names a blob, which is `blob` (REC-6).
    ///
    /// # Errors
    /// As for [`Conversation::process`].
    pub fn process_large<S: Storage>(
        &mut self,
        storage: &S,
        place: &RecordPlace,
        record: &[u8],
        blob: &[u8],
    ) -> Result<Processed, Error> {
        self.process_with(storage, place, record, Some(blob))
    }

    fn process_with<S: Storage>(
        &mut self,
        storage: &S,
        place: &RecordPlace,
        record: &[u8],
        blob: Option<&[u8]>,
    ) -> Result<Processed, Error> {
        if !self.is_member() {
            return Err(Error::Removed);
        }
        match self.process_message(storage, place, record, blob) {
            Err(error @ (Error::Storage { .. } | Error::Internal { .. })) => Err(error),
            Err(refused) => Ok(Processed::Refused(refused)),
            Ok(processed) => Ok(processed),
        }
    }

    fn process_message<S: Storage>(
        &mut self,
        storage: &S,
        place: &RecordPlace,
        record: &[u8],
        blob: Option<&[u8]>,
    ) -> Result<Processed, Error> {
        if place.mailbox != *self.mailbox() {
            return Err(Error::Undecryptable);
        }
        let mut opened = self.record_key()?.open(place, record)?;
        // REC-6
        if let Some(large) = opened.large().cloned() {
            let Some(blob) = blob else { return Ok(Processed::Large(large)) };
            let message = FileKey::new(large.key).open(blob)?;
            opened = opened.with_message(message.to_vec());
        }
        let sender = self.member(opened.leaf()).ok_or(Error::NotAMember)?;
        // REC-4
        opened.verify(place, sender.key.as_ref().ok_or(Error::BadKey)?)?;
        let message = private_message(opened.message())?;
        if sender.leaf == self.own_leaf() {
            return own(&message);
        }
        let provider = Provider::new(storage);
        let processed =
            self.group.process_message(&provider, message).map_err(provider::processing)?;
        // REC-5
        if *processed.sender() != Sender::Member(super::leaf::index(sender.leaf)) {
            return Err(Error::NotAMember);
        }
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => {
                let content = Zeroizing::new(message.into_bytes());
                Ok(Processed::Application { sender, content })
            }
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                self.apply(&provider, sender, *staged)
            }
            // REC-5: a record signed by another cannot carry a message under our own leaf.
            ProcessedMessageContent::OwnPrivateMessage
            | ProcessedMessageContent::OwnPendingCommit => Err(Error::NotAMember),
            // CNV-5
            ProcessedMessageContent::ProposalMessage(_)
            | ProcessedMessageContent::ExternalJoinProposalMessage(_) => {
                Err(Error::Unsupported { what: "mls proposal outside a commit" })
            }
        }
    }

    fn apply<S: Storage>(
        &mut self,
        provider: &Provider<'_, S>,
        committer: Member,
        staged: StagedCommit,
    ) -> Result<Processed, Error> {
        let index = super::leaf::index(committer.leaf);
        let is_another = |node| Member::read(index, node, &self.known) != committer;
        // CNV-5: who a leaf is was judged when it came.
        if staged.update_path_leaf_node().is_some_and(is_another) {
            return Err(Error::Unsupported { what: "commit that makes its leaf another" });
        }
        let leaves =
            staged.remove_proposals().map(|queued| queued.remove_proposal().removed().u32());
        let removed: Vec<Member> =
            leaves.filter_map(|leaf| self.member(LeafNumber::new(leaf))).collect();
        if staged.self_removed() {
            let leaf = self.own_leaf();
            let device = self.member(leaf).and_then(|own| own.device);
            let again = staged.add_proposals().any(|queued| {
                let node = queued.add_proposal().key_package().leaf_node();
                Member::read(super::leaf::index(leaf), node, &self.known).device == device
            });
            self.group.merge_staged_commit(provider, staged).map_err(provider::merging)?;
            return Ok(Processed::Removed { again });
        }
        let next_key = self.staged_epoch_key(&staged)?.public();
        let writes_state = staged.queued_proposals().any(|queued| {
            queued.proposal().proposal_type() == ProposalType::GroupContextExtensions
        });
        let before = self.members();
        // CNV-11
        self.group.merge_staged_commit(provider, staged).map_err(provider::merging)?;
        let mut added = self.members();
        // A leaf freed by this commit may be taken again by it.
        added.retain(|member| {
            let stayed = |old: &Member| old.leaf == member.leaf && !removed.contains(old);
            !before.iter().any(stayed)
        });
        let state = writes_state.then(|| self.state().to_vec());
        Ok(Processed::Commit { committer, next_key, added, removed, state })
    }
}

/// The one framing a record may hold (CNV-5).
fn private_message(bytes: &[u8]) -> Result<ProtocolMessage, Error> {
    let message = MlsMessageIn::tls_deserialize_exact(bytes)
        .map_err(|_| Error::Malformed { what: "mls message" })?;
    match message.extract() {
        MlsMessageBodyIn::PrivateMessage(message) => Ok(message.into()),
        // CNV-5
        _ => Err(Error::Unsupported { what: "mls message that is not private" }),
    }
}

/// Ours, by our own signature: MLS cannot decrypt it, and need not.
fn own(message: &ProtocolMessage) -> Result<Processed, Error> {
    match message.content_type() {
        ContentType::Application => Ok(Processed::OwnMessage),
        ContentType::Commit => Ok(Processed::OwnCommit),
        ContentType::Proposal => Err(Error::Unsupported { what: "mls proposal outside a commit" }),
    }
}
