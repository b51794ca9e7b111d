//! Letting devices back in: who asks by letter is removed and added again, or waits for a person's
//! consent (CNV-19); and how members are written to.

use restante_crypto::{
    DeviceCertificate, DeviceList, KeyPackage, Member, OpenedLetter, Recipient, random_bytes,
};
use restante_spec::content::{InboxGrant, LetterContent, ReaddLetter, RemovedLetter, Role};
use restante_spec::ids::{EnvelopeId, MailboxId, PublicKey};

use super::commands::id_of_key;
use super::membership::{accounts, member_of};
use super::{Engine, Work};
use crate::error::Error;
use crate::events::Event;
use crate::limits::CALLERS;
use crate::store::{CallerRow, ConversationRow, InboxRef, JobKind, LogRow, LogState, NewJob, Wish};
use crate::types::{ContactId, ContactState, ConversationId, Standing};

/// How letters are written to a member, and how it may answer.
pub(super) struct Way {
    pub(super) inbox: InboxRef,
    pub(super) list: DeviceList,
    pub(super) grant: InboxGrant,
    /// The contact it is, if it is one.
    pub(super) contact: Option<ContactId>,
}

impl Engine {
    pub(crate) fn callers(&self, of: ConversationId) -> Result<Vec<ContactId>, Error> {
        let db = self.store.read();
        db.need_conversation(of)?;
        let mut who: Vec<ContactId> =
            db.callers(of)?.iter().map(|caller| id_of_key(&caller.account)).collect();
        who.sort();
        who.dedup();
        Ok(who)
    }

    pub(crate) fn consent(
        &mut self,
        of: ConversationId,
        who: ContactId,
        agreed: bool,
    ) -> Result<(), Error> {
        self.transact(|work| work.consent(of, who, agreed))
    }
}

impl Work<'_> {
    /// A member's device cannot read on. If its leaf stands in the tree it is added again by the
    /// next commit; a device that does not, of an account that does, needs a person's consent.
    pub(super) fn take_readd(
        &mut self,
        letter: &OpenedLetter,
        readd: &ReaddLetter,
    ) -> Result<(), Error> {
        let Some(log) = self.db.log(&readd.mailbox)? else { return Ok(()) };
        let row = self.db.need_conversation(log.conversation)?;
        if row.is_room {
            return Ok(());
        }
        let (account, device) = (*letter.sender.account().key(), *letter.sender.device());
        // REV-7: who was not let in either cannot say who is in it.
        if !self.has_group(&log.mailbox)? {
            return Ok(());
        }
        self.check_listed(letter, &log.mailbox)?;
        let members = self.members(&log.mailbox)?;
        if !accounts(&members).contains(&account) || self.was_closed(&row, &log)? {
            return match row.is_group() || account == *self.account.id().key() {
                true => self.say_removed(&row, &log, &account),
                false => Err(super::joining::not_a_member()),
            };
        }
        let list = checked_list(letter, readd)?;
        let is_in = member_of(&members, &device).is_some();
        let mine = account == *self.account.id().key();
        if matches!(log.state, LogState::Gone | LogState::Lost | LogState::Captured)
            && row.log == Some(log.mailbox)
        {
            // Neither can read on: it must be begun anew, unless others can let both in.
            if is_in && !mine {
                self.plan_restart(&row)?;
            }
            return Ok(());
        }
        let can_answer =
            mine || self.is_way_given(&row, readd) || self.way_to(&row, &account)?.is_some();
        if !self.can_let_in(&row, &log)? || !can_answer {
            return Ok(());
        }
        let Some(package) = self.package_for(&log.mailbox, readd)? else { return Ok(()) };
        // CNV-19
        match (is_in, mine) {
            (true, _) => {
                self.learn_way(&row, &account, readd)?;
                self.wish_readd(&log, &device, &package)
            }
            (false, true) => self.wish_in(&log.mailbox, &account, package),
            (false, false) => self.note_caller(&row, &letter.sender, &list, readd),
        }
    }

    /// A device whose leaf is not in the tree, of an account that is: a person must say whether it
    /// is theirs. Until then nothing it says of its account holds.
    fn note_caller(
        &mut self,
        row: &ConversationRow,
        sender: &DeviceCertificate,
        list: &DeviceList,
        readd: &ReaddLetter,
    ) -> Result<(), Error> {
        let (account, device, conversation) = (*sender.account().key(), *sender.device(), row.id);
        let known = self.list_of(row.id, &account)?;
        // DEV-14
        if known.is_some_and(|known| list.may_follow(&known).is_err()) {
            return Ok(());
        }
        // CNV-14: who may not add it need not be asked.
        let role = row.state.role(self.account.id().key());
        if row.is_group() && !row.state.policy.adders.includes(role) {
            return Ok(());
        }
        if self.db.callers(row.id)?.len() >= CALLERS {
            return Ok(());
        }
        let letter = LetterContent::Readd(readd.clone()).encode();
        let letter = letter.map_err(|_| Error::Damaged("a letter's content"))?;
        self.db.put_caller(&CallerRow { conversation, device, account, letter })?;
        self.events.push(Event::AsksToReturn { conversation, who: id_of_key(&account) });
        Ok(())
    }

    /// Whether a letter says how its writer is answered, and this account can be answered too.
    fn is_way_given(&self, row: &ConversationRow, readd: &ReaddLetter) -> bool {
        row.is_shared() && row.own_key.is_some() && readd.inbox.is_some()
    }

    /// How a member who asks to be let in is answered, which this device may not know.
    fn learn_way(
        &mut self,
        row: &ConversationRow,
        account: &PublicKey,
        readd: &ReaddLetter,
    ) -> Result<(), Error> {
        self.learn_devices(row, account, &readd.devices)?;
        if let Some(inbox) = readd.inbox.as_ref().filter(|_| row.is_shared()) {
            // CNV-19
            let mut member = self.db.member(row.id, account)?;
            member.inbox = Some(InboxRef::from(inbox));
            self.db.put_member(row.id, &member)?;
        }
        Ok(())
    }

    /// The key package in a letter that fits the group of a log.
    fn package_for(
        &mut self,
        mailbox: &MailboxId,
        readd: &ReaddLetter,
    ) -> Result<Option<Vec<u8>>, Error> {
        let suite = self.suite_of(mailbox)?;
        let fits = |package: &&Vec<u8>| KeyPackage::parse_for(package, suite).is_ok();
        Ok(readd.key_packages.iter().find(fits).cloned())
    }

    /// Who asks is in the group no more, and cannot know that: who may remove members says so; if
    /// the group was closed, everybody does.
    pub(super) fn say_removed(
        &mut self,
        row: &ConversationRow,
        log: &LogRow,
        account: &PublicKey,
    ) -> Result<(), Error> {
        let able = row.state.role(self.account.id().key()) >= Role::Administrator;
        let can_say = row.is_group() && able && self.can_let_in(row, log)?;
        if !can_say && !self.was_closed(row, log)? {
            return Ok(());
        }
        let Some(way) = self.way_to(row, account)? else { return Ok(()) };
        // CNV-19
        let content = LetterContent::Removed(RemovedLetter { mailbox: log.mailbox });
        let job = self.letter_job(JobKind::Letter, &way.inbox, &way.list, &content)?;
        self.db.put_job(&NewJob { contact: way.contact, ..job })?;
        Ok(())
    }

    /// Who leaves lets others in until they have let it go: nobody else may be left who can.
    fn can_let_in(&self, row: &ConversationRow, log: &LogRow) -> Result<bool, Error> {
        let current = log.state == LogState::Live && row.log == Some(log.mailbox);
        Ok(current && (row.standing == Standing::Leaving || self.takes_part(row.id)?))
    }

    /// Whether a group's log was closed with this device in it, which has read it to its end: then
    /// nobody is in the group.
    pub(super) fn was_closed(
        &mut self,
        row: &ConversationRow,
        log: &LogRow,
    ) -> Result<bool, Error> {
        let is_read = log.state == LogState::Closed && log.epoch.is_some();
        // CNV-21
        Ok(row.is_group()
            && row.log == Some(log.mailbox)
            && is_read
            && self.is_in_group(&log.mailbox)?)
    }

    /// The newest key package of a device is the one it can be reached with.
    pub(super) fn wish_readd(
        &mut self,
        log: &LogRow,
        device: &PublicKey,
        package: &[u8],
    ) -> Result<(), Error> {
        for wish in self.db.wishes(&log.mailbox)? {
            if matches!(&wish.what, Wish::Readd { device: d, .. } if d == device.as_bytes()) {
                self.db.take_wish(wish.id)?;
            }
        }
        let wish = Wish::Readd { device: *device.as_bytes(), package: package.to_vec() };
        self.db.put_wish(&log.mailbox, &wish, self.now)
    }

    fn consent(&mut self, of: ConversationId, who: ContactId, agreed: bool) -> Result<(), Error> {
        let row = self.db.need_conversation(of)?;
        for caller in self.db.callers(of)? {
            if id_of_key(&caller.account) != who {
                continue;
            }
            self.db.drop_caller(of, &caller.device)?;
            if let Some(mailbox) = row.log.filter(|_| agreed) {
                self.let_in(&row, &mailbox, &caller)?;
            }
        }
        Ok(())
    }

    /// A person has said that a device is its account's: the list it brought holds, and it is
    /// added, unless it or its account was removed meanwhile.
    fn let_in(
        &mut self,
        row: &ConversationRow,
        mailbox: &MailboxId,
        caller: &CallerRow,
    ) -> Result<(), Error> {
        let Ok(LetterContent::Readd(readd)) = LetterContent::decode(&caller.letter) else {
            return Ok(());
        };
        self.learn_devices(row, &caller.account, &readd.devices)?;
        let list = self.list_of(row.id, &caller.account)?;
        // DEV-14
        let is_listed = list.is_some_and(|list| list.device(&caller.device).is_some());
        let is_member = accounts(&self.members(mailbox)?).contains(&caller.account);
        match self.package_for(mailbox, &readd)?.filter(|_| is_listed && is_member) {
            Some(package) => {
                self.learn_way(row, &caller.account, &readd)?;
                self.wish_in(mailbox, &caller.account, package)
            }
            None => Ok(()),
        }
    }

    /// Devices that are in the group now wait for nobody.
    pub(super) fn forget_callers(&self, of: ConversationId, added: &[Member]) -> Result<(), Error> {
        for device in added.iter().filter_map(|member| member.device.as_ref()) {
            self.db.drop_caller(of, device.device())?;
        }
        Ok(())
    }

    /// A device that is in the group no more is to be added.
    fn wish_in(
        &self,
        mailbox: &MailboxId,
        account: &PublicKey,
        package: Vec<u8>,
    ) -> Result<(), Error> {
        let (account, packages) = (*account.as_bytes(), vec![package]);
        self.db.put_wish(mailbox, &Wish::Add { account, packages, missing: 0 }, self.now)
    }

    /// A letter to all devices of an account, sealed.
    pub(super) fn letter_job(
        &mut self,
        kind: JobKind,
        inbox: &InboxRef,
        list: &DeviceList,
        content: &LetterContent,
    ) -> Result<NewJob, Error> {
        let envelope = EnvelopeId::new(random_bytes()?);
        let recipient = Recipient::Account(list);
        let body = self.seal_letter(inbox.mailbox, Some(envelope), recipient, content)?;
        Ok(NewJob {
            key: Some(inbox.key.clone()),
            envelope: Some(envelope),
            body: Some(body),
            // The own inbox may not know the key yet.
            after: self.db.job_in(&inbox.mailbox, JobKind::AllowDevice)?,
            ..NewJob::new(inbox.relay.clone(), inbox.mailbox, kind)
        })
    }

    /// How letters are written to this account's devices.
    pub(super) fn own_inbox(&self) -> Result<InboxRef, Error> {
        let (relay, mailbox) = (self.account.relay.to_string(), self.account.inbox);
        Ok(InboxRef { relay, mailbox, key: self.account.need_own_key()?.seed() })
    }

    /// How to write letters to an account: as to a contact, else as to a member of this
    /// conversation; `None`: there is no way.
    pub(super) fn way_to(
        &self,
        row: &ConversationRow,
        account: &PublicKey,
    ) -> Result<Option<Way>, Error> {
        let contact = self.db.contact(id_of_key(account))?;
        let contact = contact.filter(|contact| contact.state == ContactState::Active);
        let (inbox, devices, contact, grant) = match contact {
            Some(contact)
                if contact.inbox.is_some()
                    && contact.devices.is_some()
                    && contact.own_key.is_some() =>
            {
                let grant = self.grant(&contact)?;
                (contact.inbox, contact.devices, Some(contact.id), grant)
            }
            Some(_) | None => {
                let Some(key) = row.own_key.clone() else { return Ok(None) };
                let member = self.db.member(row.id, account)?;
                let (relay, inbox) = (self.account.relay.clone(), self.account.inbox);
                (member.inbox, member.devices, None, InboxGrant { relay, inbox, key })
            }
        };
        // LET-7: a list that was taken and is refused by now is none.
        let list = devices.and_then(|devices| DeviceList::parse(&devices).ok());
        Ok(inbox.zip(list).map(|(inbox, list)| Way { inbox, list, grant, contact }))
    }
}

/// The list in a letter, if it is that of the writer's account and has the writer, whose packages
/// they must be.
fn checked_list(letter: &OpenedLetter, readd: &ReaddLetter) -> Result<DeviceList, Error> {
    let (sender, list) = (&letter.sender, DeviceList::parse(&readd.devices)?);
    let mut is_theirs =
        list.account() == sender.account() && list.device(sender.device()).is_some();
    for package in &readd.key_packages {
        is_theirs &= KeyPackage::parse(package)?.device() == sender;
    }
    // CNV-19
    if is_theirs { Ok(list) } else { Err(restante_crypto::Error::WrongAccount.into()) }
}
