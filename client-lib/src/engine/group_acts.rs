//! Groups, this side's acts: making one, adding, removing, naming, leaving.

use restante_crypto::{DeviceList, SigningKey, Suite, generate_reader, random_bytes};
use restante_spec::codes::Code;
use restante_spec::content::{Body, GroupKind, GroupState, Policy, Role};
use restante_spec::ids::{MailboxId, PublicKey, Seconds, Slot};
use restante_spec::limits::{GROUP_NAME_BYTES, GROUP_PICTURE_BYTES};
use zeroize::Zeroizing;

use super::commands::{checked_name, id_of_key};
use super::membership::{account, accounts};
use super::{Engine, Work};
use crate::error::Error;
use crate::events::Notice;
use crate::limits::CONVERSATIONS;
use crate::store::{ContactRow, ConversationRow, Job, JobKind, LogRow, LogState, NewJob, Wish};
use crate::types::{
    ContactId, ContactState, Conversation, ConversationId, ConversationKind, GroupMember, Standing,
};

impl Engine {
    pub(crate) fn create_group(&mut self, name: &str, large: bool) -> Result<Conversation, Error> {
        let name = checked_name("name", name, GROUP_NAME_BYTES)?;
        self.transact(|work| {
            let row = work.create_group_conversation(name, large)?;
            work.show_conversation(&row)
        })
    }

    pub(crate) fn add_member(&mut self, id: ConversationId, who: ContactId) -> Result<(), Error> {
        self.transact(|work| work.add_member(id, who))
    }

    pub(crate) fn remove_member(
        &mut self,
        id: ConversationId,
        who: ContactId,
    ) -> Result<(), Error> {
        self.transact(|work| work.remove_member(id, who))
    }

    pub(crate) fn set_role(
        &mut self,
        id: ConversationId,
        who: ContactId,
        role: Role,
    ) -> Result<(), Error> {
        self.transact(|work| work.wish_role(id, who, role))
    }

    pub(crate) fn set_group_name(&mut self, id: ConversationId, name: &str) -> Result<(), Error> {
        let wish = Wish::Name(checked_name("name", name, GROUP_NAME_BYTES)?.to_owned());
        self.transact(|work| work.wish_edit(id, &wish))
    }

    pub(crate) fn set_group_picture(
        &mut self,
        id: ConversationId,
        picture: Vec<u8>,
    ) -> Result<(), Error> {
        let (what, bytes, max) = ("picture", picture.len(), GROUP_PICTURE_BYTES);
        if bytes > max {
            return Err(Error::TooLong { what, bytes, max });
        }
        self.transact(|work| work.wish_edit(id, &Wish::Picture(picture)))
    }

    pub(crate) fn set_timer(
        &mut self,
        id: ConversationId,
        timer: Option<Seconds>,
    ) -> Result<(), Error> {
        let wish = Wish::Timer(timer.map_or(0, Seconds::get));
        self.transact(|work| work.wish_edit(id, &wish))
    }

    pub(crate) fn set_policy(&mut self, id: ConversationId, policy: Policy) -> Result<(), Error> {
        self.transact(|work| work.wish_policy(id, policy))
    }

    pub(crate) fn leave_group(&mut self, id: ConversationId) -> Result<Conversation, Error> {
        self.transact(|work| work.leave_group(id))
    }

    pub(crate) fn conversations(&mut self) -> Result<Vec<Conversation>, Error> {
        self.transact(|work| {
            let all = work.db.conversations()?;
            all.iter().map(|row| work.show_conversation(row)).collect()
        })
    }

    pub(crate) fn conversation(&mut self, id: ConversationId) -> Result<Conversation, Error> {
        self.transact(|work| {
            let row = work.db.need_conversation(id)?;
            work.show_conversation(&row)
        })
    }

    pub(crate) fn group_members(&mut self, id: ConversationId) -> Result<Vec<GroupMember>, Error> {
        self.transact(|work| work.group_members(id))
    }
}

impl Work<'_> {
    /// Makes a group on the own relay, with this account as its owner.
    fn create_group_conversation(
        &mut self,
        name: &str,
        large: bool,
    ) -> Result<ConversationRow, Error> {
        self.check_may_act()?;
        if self.db.conversations()?.len() >= CONVERSATIONS {
            return Err(Error::TooMany { what: "conversations", max: CONVERSATIONS });
        }
        let id = ConversationId::new(random_bytes()?);
        let mut state = GroupState::new(GroupKind::Group(*id.as_bytes()), 1);
        name.clone_into(&mut state.name);
        state.set_role(*self.account.id().key(), Role::Owner);
        let mut row = ConversationRow::new(id, state);
        let suite = if large { Suite::Classical } else { Suite::Hybrid };
        row.log = Some(self.create_log(&row, suite)?);
        self.take_part(&mut row)?;
        Ok(row)
    }

    /// Makes the group and notes that its mailbox is to be made on the own relay. Nothing but a
    /// commit may stand in the first epoch, so one is wished for.
    pub(super) fn create_log(
        &mut self,
        row: &ConversationRow,
        suite: Suite,
    ) -> Result<MailboxId, Error> {
        self.create_log_on(row, suite, self.account.relay.to_string())
    }

    /// The same on any relay.
    pub(super) fn create_log_on(
        &mut self,
        row: &ConversationRow,
        suite: Suite,
        relay: String,
    ) -> Result<MailboxId, Error> {
        let mailbox = MailboxId::new(random_bytes()?);
        let (generation, reader) = (row.state.generation, generate_reader()?);
        let mut log =
            LogRow::new(mailbox, row.id, relay.clone(), generation, LogState::Creating, reader);
        self.create_mls_group(&log, suite, &row.state)?;
        log.chain = Some(self.begun_chain(&mailbox)?);
        self.db.put_log(&log)?;
        self.db.put_wish(&mailbox, &Wish::Update, self.now)?;
        self.db.put_job(&NewJob::new(relay, mailbox, JobKind::CreateConversation))?;
        if row.state.kind != GroupKind::Own {
            self.add_own_devices(row.id, &mailbox)?;
        }
        Ok(mailbox)
    }

    /// This account takes part in a group from now on: its members are given a key to its inbox,
    /// and are told what it is called once that key is allowed.
    pub(super) fn take_part(&mut self, row: &mut ConversationRow) -> Result<(), Error> {
        row.standing = Standing::Open;
        let seed = SigningKey::generate()?.seed();
        row.own_key = Some(seed.clone());
        self.db.put_conversation(row)?;
        self.allow_members_key(row.id, seed)?;
        self.tell_conversation(row)
    }

    /// Notes that the relay must let the key of a group's members in.
    pub(super) fn allow_members_key(
        &mut self,
        id: ConversationId,
        seed: Zeroizing<[u8; 32]>,
    ) -> Result<(), Error> {
        self.db.put_job(&NewJob {
            conversation: Some(id),
            key: Some(seed),
            ..self.own_job(JobKind::AllowMembers)
        })?;
        Ok(())
    }

    /// The group's members may write letters to this account: now they can be told how.
    pub(super) fn members_allowed(&mut self, id: ConversationId) -> Result<(), Error> {
        match self.db.conversation(id)? {
            Some(row) if row.standing == Standing::Open => self.queue_profile_to(id),
            _ => Ok(()),
        }
    }

    /// The log of a group this account may add somebody to.
    pub(super) fn check_may_add(&self, id: ConversationId) -> Result<MailboxId, Error> {
        let (row, mailbox) = self.open_group(id)?;
        if !row.state.policy.adders.includes(row.state.role(self.account.id().key())) {
            return Err(Error::NotAllowed);
        }
        Ok(mailbox)
    }

    /// Adds a contact who came by a link to a group (INV-6), if that can still be done.
    pub(super) fn admit(&mut self, id: ConversationId, contact: &ContactRow) -> Result<(), Error> {
        let added = match self.check_may_add(id) {
            Ok(mailbox) if self.has_group(&mailbox)? => self.wish_contact(id, &mailbox, contact),
            // This device waits to be let in itself.
            Ok(_) => Err(Error::NotAMember),
            Err(error) => Err(error),
        };
        match added {
            Err(
                Error::NotAllowed
                | Error::NotAMember
                | Error::WrongStanding { .. }
                | Error::NoSuchConversation,
            ) => {
                let nickname = contact.nickname.clone();
                self.notice(Notice::CannotAdd { conversation: id, nickname });
                Ok(())
            }
            other => other,
        }
    }

    fn add_member(&mut self, id: ConversationId, who: ContactId) -> Result<(), Error> {
        let mailbox = self.check_may_add(id)?;
        let contact = self.db.need_contact(who)?;
        if contact.state != ContactState::Active {
            return Err(Error::WrongState { state: contact.state });
        }
        self.wish_contact(id, &mailbox, &contact)
    }

    /// Wishes for a contact in a conversation, with key packages from their inbox.
    pub(super) fn wish_contact(
        &mut self,
        id: ConversationId,
        mailbox: &MailboxId,
        contact: &ContactRow,
    ) -> Result<(), Error> {
        let state = contact.state;
        let (Some(account), Some(inbox), Some(devices)) =
            (&contact.account, &contact.inbox, &contact.devices)
        else {
            return Err(Error::WrongState { state });
        };
        let list = DeviceList::parse(devices)?;
        let suite = self.suite_of(mailbox)?;
        self.take_packages(id, mailbox, account, suite, (inbox, &list))
    }

    /// A key package of an account that is to be added is here, or will not come.
    pub(super) fn prekey_taken(&mut self, job: &Job, package: Option<&[u8]>) -> Result<(), Error> {
        let Some(id) = job.what.conversation else { return Ok(()) };
        let row = self.db.need_conversation(id)?;
        let Some(mailbox) = row.log else { return Ok(()) };
        // Without a contact: a device of this account.
        let who = job.what.contact.unwrap_or_else(|| self.own_contact());
        for mut wish in self.db.wishes(&mailbox)? {
            let Wish::Add { account, packages, missing } = &mut wish.what else { continue };
            let key = PublicKey::new(*account);
            if id_of_key(&key) != who || *missing == 0 {
                continue;
            }
            packages.extend(package.map(<[u8]>::to_vec));
            *missing -= 1;
            if *missing == 0 && packages.is_empty() {
                self.db.take_wish(wish.id)?;
                return match job.what.contact {
                    Some(_) => self.notice_unaddable(&row, &key),
                    None => Ok(()),
                };
            }
            return self.db.change_wish(wish.id, &wish.what);
        }
        Ok(())
    }

    fn remove_member(&mut self, id: ConversationId, who: ContactId) -> Result<(), Error> {
        let (row, mailbox) = self.open_group(id)?;
        let account = self.account_in(&mailbox, who)?;
        let mine = row.state.role(self.account.id().key());
        if mine < Role::Administrator || mine <= row.state.role(&account) {
            return Err(Error::NotAllowed);
        }
        let wish = Wish::Remove { account: *account.as_bytes() };
        self.db.put_wish(&mailbox, &wish, self.now)
    }

    fn wish_role(&mut self, id: ConversationId, who: ContactId, role: Role) -> Result<(), Error> {
        let (row, mailbox) = self.open_group(id)?;
        let account = self.account_in(&mailbox, who)?;
        let (mine, theirs) = (row.state.role(self.account.id().key()), row.state.role(&account));
        let up = mine == Role::Administrator && theirs == Role::Member && role == mine;
        let down = account == *self.account.id().key() && role < mine;
        if mine != Role::Owner && !up && !down {
            return Err(Error::NotAllowed);
        }
        self.db.put_wish(&mailbox, &Wish::role(&account, role), self.now)
    }

    /// A change of name, picture or timer; a direct conversation has a timer only.
    fn wish_edit(&mut self, id: ConversationId, wish: &Wish) -> Result<(), Error> {
        let row = self.db.need_conversation(id)?;
        if row.is_room || (!row.is_group() && !matches!(wish, Wish::Timer(_))) {
            return Err(Error::NotAGroup);
        }
        let mailbox = self.open_log(&row)?;
        let mine = row.state.role(self.account.id().key());
        if row.is_group() && !row.state.policy.editors.includes(mine) {
            return Err(Error::NotAllowed);
        }
        self.db.put_wish(&mailbox, wish, self.now)
    }

    fn wish_policy(&mut self, id: ConversationId, policy: Policy) -> Result<(), Error> {
        let (row, mailbox) = self.open_group(id)?;
        if row.state.role(self.account.id().key()) < Role::Administrator {
            return Err(Error::NotAllowed);
        }
        self.db.put_wish(&mailbox, &Wish::policy(policy), self.now)
    }

    /// Says goodbye: members' devices remove this account's, and until then it hears what is said.
    fn leave_group(&mut self, id: ConversationId) -> Result<Conversation, Error> {
        let (mut row, mailbox) = self.open_group(id)?;
        if self.is_alone(&mailbox)? {
            row.standing = Standing::Left;
            self.db.put_wish(&mailbox, &Wish::Close { removes: false }, self.now)?;
            // Nobody is left to read what waits.
            self.refuse_outbox(id, Code::Revoked)?;
        } else {
            row.standing = Standing::Leaving;
            self.queue_body(id, &Body::Leave)?;
        }
        self.db.put_conversation(&row)?;
        self.tell_conversation(&row)?;
        self.show_conversation(&row)
    }

    fn open_group(&self, id: ConversationId) -> Result<(ConversationRow, MailboxId), Error> {
        let row = self.db.need_conversation(id)?;
        if !row.is_group() {
            return Err(Error::NotAGroup);
        }
        let mailbox = self.open_log(&row)?;
        Ok((row, mailbox))
    }

    /// The log of a conversation this account takes part in.
    fn open_log(&self, row: &ConversationRow) -> Result<MailboxId, Error> {
        match row.log {
            Some(mailbox) if row.standing == Standing::Open => Ok(mailbox),
            _ => Err(Error::WrongStanding { standing: row.standing }),
        }
    }

    fn account_in(&mut self, mailbox: &MailboxId, who: ContactId) -> Result<PublicKey, Error> {
        let all = accounts(&self.members(mailbox)?);
        all.into_iter().find(|account| id_of_key(account) == who).ok_or(Error::NotAMember)
    }

    fn group_members(&mut self, id: ConversationId) -> Result<Vec<GroupMember>, Error> {
        let row = self.db.need_conversation(id)?;
        let Some(mailbox) = row.log else { return Ok(Vec::new()) };
        if row.is_room {
            return self.room_people(&row);
        }
        if !self.has_group(&mailbox)? {
            return self.known_members(&row);
        }
        let leaves = self.members(&mailbox)?;
        let mut shown = Vec::new();
        for key in accounts(&leaves) {
            let devices = leaves.iter().filter(|member| account(member) == Some(key)).count();
            shown.push(GroupMember {
                id: id_of_key(&key),
                nickname: self.nickname_of(id, &key)?,
                role: row.state.role(&key),
                devices: u32::try_from(devices).unwrap_or(u32::MAX),
                is_me: key == *self.account.id().key(),
            });
        }
        Ok(shown)
    }

    /// Who was in a group that this device is not in.
    fn known_members(&self, row: &ConversationRow) -> Result<Vec<GroupMember>, Error> {
        let known = self.db.members(row.id)?.into_iter();
        let shown = known.map(|member| {
            Ok(GroupMember {
                id: id_of_key(&member.account),
                nickname: self.nickname_of(row.id, &member.account)?,
                role: row.state.role(&member.account),
                devices: 0,
                is_me: member.account == *self.account.id().key(),
            })
        });
        shown.collect()
    }

    /// What an account is called in a conversation; empty if nobody has said so.
    pub(super) fn nickname_of(
        &self,
        of: ConversationId,
        account: &PublicKey,
    ) -> Result<String, Error> {
        if account == self.account.id().key() {
            return self.db.need_text(crate::store::Meta::Nickname);
        }
        if let Some(contact) = self.db.contact(id_of_key(account))?
            && !contact.nickname.is_empty()
        {
            return Ok(contact.nickname);
        }
        Ok(self.db.member(of, account)?.nickname)
    }

    /// A conversation as the app sees it.
    pub(super) fn show_conversation(&self, row: &ConversationRow) -> Result<Conversation, Error> {
        let (kind, name) = match row.state.kind {
            GroupKind::Direct => {
                let contact = self.db.contact(row.id.contact())?;
                let name = contact.map(|contact| contact.nickname).unwrap_or_default();
                (ConversationKind::Direct, name)
            }
            GroupKind::Group(_) if row.is_room => (ConversationKind::Room, row.state.name.clone()),
            GroupKind::Group(_) => (ConversationKind::Group, row.state.name.clone()),
            GroupKind::Own => (ConversationKind::Own, row.state.name.clone()),
        };
        Ok(Conversation {
            id: row.id,
            kind,
            name,
            picture: row.state.picture.clone(),
            standing: row.standing,
            unread: self.db.unread_of(row.id)?,
            timer: row.state.timer,
            policy: row.state.policy,
            role: row.state.role(self.account.id().key()),
        })
    }
}

/// Where the prekeys of a device for a suite lie: its number and the suite's.
pub(super) const fn slot(device: u32, suite: Suite) -> Slot {
    Slot::new((device << 16) | suite.number() as u32)
}
