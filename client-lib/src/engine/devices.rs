//! The account's devices: which there are, how one is removed, and how the others come into every
//! conversation (DEV-7, DEV-12 to DEV-14).

use restante_crypto::{DeviceList, Member, SigningKey};
use restante_spec::content::{GroupKind, GroupState, StateRecord, WelcomeLetter, WelcomePart};
use restante_spec::ids::{MailboxId, PublicKey, ReaderSecret, Seq};

use super::commands::{id_of, id_of_key};
use super::group_acts::slot;
use super::linking::entries;
use super::membership::{account, accounts, member_of};
use super::{Engine, Work};
use crate::error::Error;
use crate::events::Notice;
use crate::limits::{LEAVE_DELAY, LEAVE_SPREAD};
use crate::store::{ContactRow, ConversationRow, LogRow, LogState, Meta, RecordName, Wish};
use crate::types::{ContactState, ConversationId, Device, Standing};

impl Engine {
    pub(crate) fn devices(&self) -> Vec<Device> {
        let own = self.account.device.public();
        let devices = self.account.list.devices().iter();
        let shown = devices.map(|listed| Device {
            number: listed.certificate.number().get(),
            label: listed.certificate.label().to_owned(),
            since: listed.certificate.created(),
            is_this: *listed.certificate.device() == own,
        });
        shown.collect()
    }

    pub(crate) fn remove_device(&mut self, number: u32) -> Result<(), Error> {
        self.transact(|work| {
            work.check_may_act()?;
            let devices = work.account.list.devices();
            let found = devices.iter().find(|l| l.certificate.number().get() == number);
            let device = *found.ok_or(Error::NoSuchDevice)?.certificate.device();
            if device == work.account.device.public() {
                return Err(Error::NoSuchDevice);
            }
            work.strike_device(&device)
        })
    }
}

impl Work<'_> {
    /// A device is none of the account's any more: a list without it, its inbox key struck, its
    /// leaves to be removed (DEV-12).
    pub(super) fn strike_device(&mut self, device: &PublicKey) -> Result<(), Error> {
        let (key, list) = (self.account.need_key()?, &self.account.list);
        let mut left = entries(list);
        left.retain(|(certificate, _)| certificate.device() != device);
        // DEV-12
        let next = key.sign_list(list.version() + 1, &left)?;
        self.note_struck(Some(list.as_bytes()), next.as_bytes())?;
        self.db.set_meta(Meta::DeviceList, next.as_bytes())?;
        self.stale = true;
        self.stop_giving(device)?;
        self.end_taking(device)?;
        let given = self.db.device_keys()?.into_iter().find(|(of, _)| of == device);
        if let Some((_, seed)) = given {
            self.db.drop_device_key(device)?;
            self.revoke(&SigningKey::from_seed(&seed).public())?;
        }
        for log in self.db.live_logs()? {
            if self.db.is_room(&log.mailbox)? {
                continue;
            }
            let wish = Wish::RemoveDevice { device: *device.as_bytes() };
            self.db.put_wish(&log.mailbox, &wish, self.now)?;
        }
        self.queue_profile()
    }

    /// Removes leaves of this account's that are in its list no more: of devices that were removed,
    /// or that the file which this device came from did not know. Before that they hear of it.
    pub(super) fn remove_unlisted(&mut self, mailbox: &MailboxId) -> Result<(), Error> {
        let list = self.lists.read(&self.db.need_meta(Meta::DeviceList)?)?;
        let due = self.later(LEAVE_DELAY, LEAVE_SPREAD)?;
        for device in self.unlisted(mailbox, &list)? {
            // DEV-12
            let wish = Wish::RemoveDevice { device: *device.as_bytes() };
            self.db.put_wish(mailbox, &wish, due)?;
        }
        Ok(())
    }

    /// The same in every conversation: whoever struck a device may be in fewer of them.
    fn remove_unlisted_everywhere(&mut self) -> Result<(), Error> {
        for log in self.db.live_logs()? {
            if !self.db.is_room(&log.mailbox)? {
                self.remove_unlisted(&log.mailbox)?;
            }
        }
        Ok(())
    }

    /// Somebody may have added a device of this account without having heard that it was removed.
    pub(super) fn remove_again(&mut self, log: &LogRow, added: &[Member]) -> Result<(), Error> {
        let own = self.account.id();
        for certificate in added.iter().filter_map(|member| member.device.as_ref()) {
            if certificate.account() == own && !self.is_listed(log.conversation, certificate)? {
                // DEV-12
                let wish = Wish::RemoveDevice { device: *certificate.device().as_bytes() };
                self.db.put_wish(&log.mailbox, &wish, self.now)?;
            }
        }
        Ok(())
    }

    /// Takes over a newer list of the own devices; without this one it is the end (DEV-13).
    pub(super) fn learn_own_list(&mut self, devices: &[u8]) -> Result<(), Error> {
        let known = DeviceList::parse(&self.db.need_meta(Meta::DeviceList)?)?;
        let Ok(list) = DeviceList::parse(devices) else { return Ok(()) };
        // IDN-7
        if list.as_bytes() == known.as_bytes() || list.may_follow(&known).is_err() {
            return Ok(());
        }
        if list.device(&self.account.device.public()).is_none() {
            return self.take_unlinked();
        }
        self.note_struck(Some(known.as_bytes()), devices)?;
        self.db.set_meta(Meta::DeviceList, list.as_bytes())?;
        self.stale = true;
        let struck = known.devices().iter().map(|listed| *listed.certificate.device());
        let struck = Vec::from_iter(struck.filter(|device| list.device(device).is_none()));
        for device in &struck {
            self.stop_giving(device)?;
            self.end_taking(device)?;
        }
        if !struck.is_empty() {
            self.remove_unlisted_everywhere()?;
            // One of those may be who was asked.
            self.db.hasten_awaited(self.now)?;
        }
        Ok(())
    }

    /// This device was removed: it says so, stops (DEV-13) and lets go of files (DEV-17).
    pub(super) fn take_unlinked(&mut self) -> Result<(), Error> {
        if self.is_removed()? {
            return Ok(());
        }
        self.db.set_meta(Meta::Cloned, &REMOVED)?;
        self.notice(Notice::Unlinked);
        // DEV-17
        self.db.forget_attachment_contents()?;
        self.forget_attachments()?;
        self.drop_archives()
    }

    /// Whether this device was removed, and not only its home copied.
    pub(super) fn is_removed(&self) -> Result<bool, Error> {
        Ok(self.db.meta(Meta::Cloned)?.is_some_and(|why| *why == REMOVED))
    }

    /// A newer list of some account has come: who is in it no more is not heard any more (DEV-14).
    pub(super) fn note_struck(&mut self, before: Option<&[u8]>, now: &[u8]) -> Result<(), Error> {
        let before = before.map(DeviceList::parse);
        let (Some(Ok(before)), Ok(now)) = (before, DeviceList::parse(now)) else { return Ok(()) };
        for listed in before.devices() {
            if now.device(listed.certificate.device()).is_none() {
                self.db.note_struck(&listed.certificate)?;
            }
        }
        Ok(())
    }

    /// Who adds a device that was removed from its account may not have heard of that: it is not
    /// heard by those who have.
    pub(super) fn mute_struck(
        &mut self,
        log: &LogRow,
        seq: Seq,
        added: &[Member],
    ) -> Result<(), Error> {
        for certificate in added.iter().filter_map(|member| member.device.as_ref()) {
            if !self.is_listed(log.conversation, certificate)? {
                // DEV-14
                self.db.mute(&log.mailbox, certificate.device(), seq)?;
            }
        }
        Ok(())
    }

    /// A list of an account's devices stands in a log: what others of it say behind that is not
    /// heard by anybody (DEV-14), but of those newer than the list.
    pub(super) fn mute_unlisted(
        &mut self,
        place: (&MailboxId, Seq),
        owner: &PublicKey,
        devices: &[u8],
    ) -> Result<(), Error> {
        let Ok(list) = self.lists.read(devices) else { return Ok(()) };
        let (mailbox, seq) = place;
        if list.account().key() != owner || !self.has_group(mailbox)? {
            return Ok(());
        }
        for device in self.unlisted(mailbox, &list)? {
            // DEV-14
            self.db.mute(mailbox, &device, seq)?;
        }
        Ok(())
    }

    /// The devices of an account in a group that its list lacks, but for those newer than it.
    fn unlisted(
        &mut self,
        mailbox: &MailboxId,
        list: &DeviceList,
    ) -> Result<Vec<PublicKey>, Error> {
        let last = list.devices().last().map(|listed| listed.certificate.number());
        let mut unlisted = Vec::new();
        for certificate in self.members(mailbox)?.iter().filter_map(|m| m.device.as_ref()) {
            let (device, is_theirs) =
                (*certificate.device(), certificate.account() == list.account());
            if is_theirs
                && list.device(&device).is_none()
                && (Some(certificate.number()) <= last || self.db.is_struck(certificate)?)
            {
                unlisted.push(device);
            }
        }
        Ok(unlisted)
    }

    /// Adds this account's devices that are not in a conversation yet: their key packages are
    /// taken from the own inbox first (DEV-7).
    pub(super) fn add_own_devices(
        &mut self,
        of: ConversationId,
        mailbox: &MailboxId,
    ) -> Result<(), Error> {
        if !self.account.has_others() {
            return Ok(());
        }
        let (members, suite) = (self.members(mailbox)?, self.suite_of(mailbox)?);
        let mut slots = Vec::new();
        for listed in self.account.list.devices() {
            let slot = slot(listed.certificate.number().get(), suite);
            let is_here = member_of(&members, listed.certificate.device()).is_some();
            if !is_here && !self.db.takes_prekey(of, slot)? {
                slots.push(slot);
            }
        }
        let Ok(more @ 1..) = u8::try_from(slots.len()) else { return Ok(()) };
        self.want_own_devices(mailbox, more)?;
        slots.into_iter().try_for_each(|slot| self.take_own_prekey(slot, Some(of)))
    }

    /// The same for every conversation this account takes part in.
    pub(super) fn add_own_devices_everywhere(&mut self) -> Result<(), Error> {
        for row in self.db.conversations()? {
            let Some(mailbox) = row.log.filter(|_| row.standing.is_in()) else { continue };
            let live =
                matches!(self.db.need_log(&mailbox)?.state, LogState::Live | LogState::Creating);
            if live && row.state.kind != GroupKind::Own && !row.is_room {
                self.add_own_devices(row.id, &mailbox)?;
            }
        }
        Ok(())
    }

    /// So many more of this account's devices are to be added, with those that wait already.
    fn want_own_devices(&self, mailbox: &MailboxId, more: u8) -> Result<(), Error> {
        let own = *self.account.id().key().as_bytes();
        for mut wish in self.db.wishes(mailbox)? {
            if let Wish::Add { account, missing, .. } = &mut wish.what
                && *account == own
                && *missing > 0
            {
                *missing = missing.saturating_add(more);
                return self.db.change_wish(wish.id, &wish.what);
            }
        }
        let wish = Wish::Add { account: own, packages: Vec::new(), missing: more };
        self.db.put_wish(mailbox, &wish, self.now)
    }

    /// Another device of this account has let this one into a conversation: nobody is asked. One
    /// meant for others of them is left alone (DEV-7).
    pub(super) fn join_own(&mut self, welcome: &WelcomeLetter) -> Result<(), Error> {
        self.learn_own_list(&welcome.devices)?;
        if self.is_awaited(welcome)? {
            self.attempt(|work| work.take_welcome_back(work.own_contact(), welcome))?;
            return Ok(());
        }
        if !self.may_join(&welcome.mailbox)? {
            return Ok(());
        }
        if let WelcomePart::Blob(at) = &welcome.welcome {
            return self.keep_welcome(id_of(self.account.id()), welcome, at);
        }
        let joined = self.attempt(|work| work.join_checked(welcome))?;
        let Some((reader, state)) = joined else { return Ok(()) };
        let own = *self.account.id().key();
        let id = match state.kind {
            GroupKind::Own => id_of_key(&own).into(),
            GroupKind::Group(id) => ConversationId::new(id),
            GroupKind::Direct => self.direct_with(&welcome.mailbox)?.id.into(),
        };
        let log = self.joined_log(id, welcome, &state, LogState::Live, reader)?;
        if state.kind != GroupKind::Own {
            // DEV-7, DEV-12: whoever let this one in may not have heard of the newest list.
            self.remove_unlisted(&log.mailbox)?;
            self.add_own_devices(id, &log.mailbox)?;
        }
        if state.kind == GroupKind::Direct {
            let contact = self.db.need_contact(id.contact())?;
            self.choose_log(&contact, &log.mailbox)?;
            return self.tell_contact(&contact);
        }
        self.enter(id, state, &log)?;
        self.take_unheard(welcome)
    }

    fn join_checked(
        &mut self,
        welcome: &WelcomeLetter,
    ) -> Result<(ReaderSecret, GroupState), Error> {
        let reader = self.join_group(welcome)?;
        let state = self.agreed(&welcome.mailbox)?;
        // REV-8: the own conversation that is in use stays the only one.
        if state.kind == GroupKind::Own && self.own_log()?.is_some() {
            return Err(restante_crypto::Error::NotAMember.into());
        }
        Ok((reader, state))
    }

    fn enter(&mut self, id: ConversationId, state: GroupState, log: &LogRow) -> Result<(), Error> {
        let known = self.db.conversation(id)?;
        let mut row = known.unwrap_or_else(|| ConversationRow::new(id, state.clone()));
        if row.log.is_some() && row.state.generation < state.generation {
            // CNV-20
            return self.go_on_in(&mut row, state, log);
        }
        // DEV-19: another device may have said before that the account leaves.
        if row.standing != Standing::Leaving {
            row.standing = Standing::Open;
        }
        (row.state, row.log) = (state, Some(log.mailbox));
        self.db.put_conversation(&row)?;
        self.forget_changes(StateRecord::CONVERSATION, id.as_bytes())?;
        self.tell_conversation(&row)
    }

    /// What the others know better is not told to them.
    pub(super) fn forget_changes(&mut self, kind: u32, key: &[u8]) -> Result<(), Error> {
        self.db.clear_dirty(&RecordName { kind, key: key.to_vec() })
    }

    /// The contact of a direct conversation another device let this one into; what is known of
    /// them comes with the records of the own conversation.
    fn direct_with(&mut self, mailbox: &MailboxId) -> Result<ContactRow, Error> {
        let own = *self.account.id().key();
        let all = accounts(&self.members(mailbox)?);
        let other = all.into_iter().find(|account| *account != own);
        let other = other.ok_or(restante_crypto::Error::NotAMember)?;
        let id = id_of_key(&other);
        if let Some(known) = self.db.contact(id)? {
            return Ok(known);
        }
        let mut contact = self.new_contact(id, ContactState::Active)?;
        contact.account = Some(other);
        self.db.put_contact(&contact)?;
        self.forget_changes(StateRecord::CONTACT, id.as_bytes())?;
        self.forget_changes(StateRecord::CONVERSATION, id.as_bytes())?;
        Ok(contact)
    }

    /// How many devices of this account are in a group.
    pub(super) fn own_leaves(&mut self, mailbox: &MailboxId) -> Result<usize, Error> {
        let own = *self.account.id().key();
        Ok(self.members(mailbox)?.iter().filter(|m| account(m) == Some(own)).count())
    }
}

/// Layout: what stands in [`Meta::Cloned`] of a device that was removed.
const REMOVED: [u8; 1] = [2];
