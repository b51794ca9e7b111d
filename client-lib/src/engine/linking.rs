//! Linking: how a new device becomes one of the account's, both sides (DEV-2 to DEV-7).
//!
//! ```text
//!  new device    code -------------------------------> first device
//!  first device  list, inbox, a key of it (letter) --> new device; both show a number
//!  new device    key packages (letter) --------------> first device, once the person agreed
//!  first device  Welcome of the own conversation (letter), the whole state in it
//! ```

use restante_crypto::{
    DeviceCertificate, DeviceList, DeviceNumber, LinkCode, OpenedLetter, Recipient,
    SignedLetterKey, SigningKey, Suite, generate_reader, link_check, random_bytes,
};
use restante_spec::content::{InboxGrant, LetterContent, LinkLetter, LinkedLetter};
use restante_spec::ids::EnvelopeId;
use restante_spec::limits::{DEVICE_LABEL_BYTES, DEVICES};
use restante_spec::token::Entrance;
use zeroize::Zeroizing;

use super::account::Account;
use super::commands::checked_name;
use super::inbox::Arrived;
use super::membership::member_of;
use super::{Engine, Work};
use crate::error::Error;
use crate::events::Notice;
use crate::limits::LINKED_AGAIN;
use crate::store::{Job, JobKind, LinkRow, Meta, NewJob, ReturnRow, Wish};

impl Engine {
    /// What a device that is to be linked shows; `None` once it is.
    pub(crate) fn link_code(&self) -> Result<Option<String>, Error> {
        let code = self.store.read().meta(Meta::LinkCode)?;
        Ok(code.map(|code| String::from_utf8_lossy(&code).into_owned()))
    }

    /// The number to compare, once an account would take this device in.
    pub(crate) fn link_check(&self) -> Result<Option<String>, Error> {
        let Some(offer) = self.store.read().meta(Meta::LinkOffer)? else { return Ok(None) };
        let list = DeviceList::parse(&link_of(&offer)?.devices)?;
        Ok(Some(link_check(&self.account.id().fingerprint(), list.account())))
    }

    /// The person has compared the numbers: this device becomes the account's.
    pub(crate) fn finish_link(&mut self) -> Result<(), Error> {
        self.transact(|work| work.become_linked())
    }

    /// The person would not: what came is forgotten, and so is the code.
    pub(crate) fn refuse_link(&mut self) -> Result<(), Error> {
        self.transact(|work| work.db.drop_meta(Meta::LinkOffer))
    }

    /// Throws this device's keys away and asks to be linked anew, keeping what people have said:
    /// after its home was copied, or it was removed (DEV-15).
    pub(crate) fn relink(&mut self, entrance: &Entrance) -> Result<(), Error> {
        self.transact(|work| work.begin_anew(entrance))
    }

    /// Takes the device that shows this code into the account; gives the number to compare.
    pub(crate) fn link_device(&mut self, code: &str, label: &str) -> Result<String, Error> {
        self.transact(|work| work.link_device(code.trim(), label.trim()))
    }
}

/// The first device's side.
impl Work<'_> {
    fn link_device(&mut self, code: &str, label: &str) -> Result<String, Error> {
        self.check_may_act()?;
        self.account.need_key()?;
        let parsed = LinkCode::parse(code).map_err(|_| Error::BadLinkCode)?;
        // IDN-6
        if self.account.list.devices().len() >= DEVICES {
            return Err(Error::TooMany { what: "devices", max: DEVICES });
        }
        if !label.is_empty() {
            checked_name("label", label, DEVICE_LABEL_BYTES)?;
        }
        self.make_own_key()?;
        let key = SigningKey::generate()?.seed();
        let after = Some(self.allow_device(key.clone())?);
        let envelope = EnvelopeId::new(random_bytes()?);
        let code = Zeroizing::new(code.to_owned());
        self.db.put_link(&LinkRow { envelope, code, label: label.to_owned(), key })?;
        let invite = parsed.invite();
        let (key, envelope) = (Some(invite.write_key()?.seed()), Some(envelope));
        let new = NewJob::new(invite.relay().to_string(), *invite.inbox(), JobKind::Link);
        self.db.put_job(&NewJob { key, envelope, after, ..new })?;
        Ok(link_check(invite.account(), self.account.id()))
    }

    /// The first device has a key that may do everything at the inbox, too: what manages it may not
    /// write or take.
    pub(super) fn make_own_key(&mut self) -> Result<(), Error> {
        if self.account.key.is_none() || self.account.own_key.is_some() {
            return Ok(());
        }
        let seed = SigningKey::generate()?.seed();
        self.db.set_meta(Meta::OwnKey, seed.as_ref())?;
        self.allow_device(seed)?;
        self.stale = true;
        Ok(())
    }

    /// Notes that the relay must let a key of a device of this account do everything at the inbox.
    pub(super) fn allow_device(
        &mut self,
        seed: Zeroizing<[u8; 32]>,
    ) -> Result<crate::store::JobId, Error> {
        self.db.put_job(&NewJob { key: Some(seed), ..self.own_job(JobKind::AllowDevice) })
    }

    /// Certifies the device whose card is here and seals the letter that links it (DEV-4).
    pub(super) fn seal_link(&mut self, job: &Job, card: &[u8]) -> Result<Vec<u8>, Error> {
        let link = self.link_of_job(job)?;
        let code = LinkCode::parse(&link.code)?;
        let passing = code.open_card(card)?;
        let new = passing.devices().first().ok_or(Error::Damaged("a list without devices"))?;
        let account = self.account.need_key()?;
        let device = *new.certificate.device();
        let number = self.next_device_number()?;
        let certificate =
            account.certify(&device, DeviceNumber::new(number), self.now, &link.label)?;
        let mut devices = entries(&self.account.list);
        devices.push((certificate, new.letter_key.clone()));
        // IDN-7
        let list = account.sign_list(self.account.list.version() + 1, &devices)?;
        self.db.set_meta(Meta::DeviceList, list.as_bytes())?;
        // IDN-4
        self.db.set_meta_number(Meta::NextDevice, u64::from(number) + 1)?;
        self.db.put_device_key(&device, &link.key)?;
        self.stale = true;
        let (relay, inbox, key) =
            (self.account.relay.clone(), self.account.inbox, link.key.clone());
        let content = LetterContent::Link(LinkLetter {
            devices: list.as_bytes().to_vec(),
            nick: self.db.need_text(Meta::Nickname)?,
            inbox: InboxGrant { relay, inbox, key },
        });
        let recipient = Recipient::Account(&passing);
        let body = self.seal_letter(job.what.mailbox, job.what.envelope, recipient, &content)?;
        self.queue_profile()?;
        Ok(body)
    }

    /// Numbers only rise, whatever was removed (IDN-4).
    fn next_device_number(&self) -> Result<u32, Error> {
        let noted = u32::try_from(self.db.meta_number(Meta::NextDevice)?).unwrap_or(u32::MAX);
        let devices = self.account.list.devices();
        let last = devices.iter().map(|listed| listed.certificate.number().get()).max();
        Ok(noted.max(last.unwrap_or(0).saturating_add(1)))
    }

    fn link_of_job(&self, job: &Job) -> Result<LinkRow, Error> {
        let envelope = job.what.envelope.ok_or(Error::Damaged("a letter without id"))?;
        self.db.link(&envelope)?.ok_or(Error::Damaged("a link that was not noted"))
    }

    /// The letter is with the new device's relay.
    pub(super) fn link_sent(&mut self, job: &Job) -> Result<(), Error> {
        let link = self.link_of_job(job)?;
        self.db.drop_link(&link.envelope)
    }

    /// The code is over or was used: the device is none of the account's.
    pub(super) fn link_refused(&mut self, job: &Job) -> Result<(), Error> {
        let link = self.link_of_job(job)?;
        self.db.drop_link(&link.envelope)?;
        let given = self.db.device_keys()?.into_iter().find(|(_, key)| **key == *link.key);
        match given {
            Some((device, _)) => self.strike_device(&device)?,
            None => self.revoke(&SigningKey::from_seed(&link.key).public())?,
        }
        self.notice(Notice::LinkFailed);
        Ok(())
    }

    /// A new device is ready: it is added to the own conversation, and when it is there to all
    /// others (DEV-6).
    pub(super) fn take_linked(
        &mut self,
        letter: &OpenedLetter,
        linked: LinkedLetter,
    ) -> Result<(), Error> {
        let own = match (&self.account.key, self.own_log()?) {
            (Some(_), _) => self.make_own_conversation()?,
            // REV-8
            (None, Some(log)) if !linked.devices.is_empty() => log.mailbox,
            (None, _) => return Ok(()),
        };
        let device = letter.sender.device();
        if member_of(&self.members(&own)?, device).is_some() {
            if self.db.author(&own, device)?.is_some_and(|counted| counted.counter > 0) {
                // It has come in since it wrote that.
                return Ok(());
            }
            // It came too late for its Welcome, and says so again; one device is to answer.
            let log = self.db.need_log(&own)?;
            let package = linked.key_packages.first().filter(|_| self.account.key.is_some());
            return match package {
                Some(package) => self.wish_readd(&log, device, package),
                None => Ok(()),
            };
        }
        let account = *self.account.id().key().as_bytes();
        let wish = Wish::Add { account, packages: linked.key_packages, missing: 0 };
        self.db.put_wish(&own, &wish, self.now)
    }
}

/// The new device's side.
impl Work<'_> {
    /// An account would take this device in: nothing holds before the person has agreed (DEV-5).
    pub(super) fn take_link(&mut self, arrived: &Arrived) -> Result<(), Error> {
        if self.db.meta(Meta::LinkOffer)?.is_some() {
            return Ok(());
        }
        let Ok(link) = link_of(&arrived.letter.content) else { return Ok(()) };
        let list = DeviceList::parse(&link.devices)?;
        let sender = &arrived.letter.sender;
        let listed = list.device(&self.account.device.public());
        let key = listed.map(|listed| listed.letter_key.key());
        // DEV-4
        if sender.account() != list.account()
            || list.device(sender.device()).is_none()
            || key != Some(&self.account.letter_key.public())
        {
            return Err(restante_crypto::Error::WrongAccount.into());
        }
        let past = self.db.fixed_meta::<32>(Meta::PastAccount)?;
        // DEV-15
        if past.is_some_and(|past| *past != *list.account().as_bytes()) {
            return Err(restante_crypto::Error::WrongAccount.into());
        }
        self.db.set_meta(Meta::LinkOffer, &arrived.letter.content)?;
        let check = link_check(&self.account.id().fingerprint(), list.account());
        self.notice(Notice::LinkOffered { check });
        Ok(())
    }

    fn begin_anew(&mut self, entrance: &Entrance) -> Result<(), Error> {
        if !self.is_cloned()? && self.db.meta(Meta::ShutOut)?.is_none() {
            return Err(Error::NoLink);
        }
        if self.account.key.is_some() {
            // DEV-15: the account's key is here and perhaps nowhere else.
            return Err(Error::FirstDevice);
        }
        self.drop_archives()?;
        self.db.forget_device()?;
        for gone in [
            Meta::Cloned,
            Meta::ShutOut,
            Meta::OwnKey,
            Meta::LetterNumber,
            Meta::InboxCursor,
            Meta::OwesStates,
        ] {
            self.db.drop_meta(gone)?;
        }
        self.groups.forget_all();
        self.db.set_meta(Meta::PastAccount, self.account.id().as_bytes())?;
        Account::create_passing(self.db, entrance, self.now)?;
        self.stale = true;
        self.db.clear_all_dirty()
    }

    /// The passing account goes, with its inbox; this device is the account's (DEV-6).
    fn become_linked(&mut self) -> Result<(), Error> {
        let offer = self.db.meta(Meta::LinkOffer)?.ok_or(Error::NoLink)?;
        let link = link_of(&offer)?;
        let passing = self.account;
        self.db.drop_jobs_of(&passing.inbox)?;
        self.db.put_job(&NewJob {
            key: Some(passing.manage.seed()),
            ..self.own_job(JobKind::DeleteInbox)
        })?;
        // DEV-1
        for gone in [Meta::AccountKey, Meta::LinkCode, Meta::LinkOffer, Meta::PastAccount] {
            self.db.drop_meta(gone)?;
        }
        let (relay, key) = (link.inbox.relay.to_string(), link.inbox.key);
        self.db.set_meta(Meta::DeviceList, &link.devices)?;
        self.db.set_meta(Meta::Nickname, link.nick.as_bytes())?;
        self.db.set_meta(Meta::Relay, relay.as_bytes())?;
        self.db.set_meta(Meta::Inbox, link.inbox.inbox.as_bytes())?;
        self.db.set_meta(Meta::ManageKey, key.as_ref())?;
        self.db.set_meta(Meta::OwnKey, key.as_ref())?;
        self.db.set_meta(Meta::InboxReader, generate_reader()?.as_bytes())?;
        self.db.set_meta_number(Meta::InboxCursor, 0)?;
        self.stale = true;
        let job = |kind| NewJob {
            key: Some(key.clone()),
            ..NewJob::new(relay.clone(), link.inbox.inbox, kind)
        };
        self.db.put_job(&job(JobKind::AddReader))?;
        Account::load(self.db)?.note_prekeys(self.db)?;
        let envelope = Some(EnvelopeId::new(random_bytes()?));
        self.db.put_job(&NewJob { envelope, ..job(JobKind::SayLinked) })?;
        // It has nothing to tell that the others do not know.
        self.db.clear_all_dirty()
    }

    /// The letter is at the relay. That keeps it for no device that was away for long (MBX-10), and
    /// this one may be the only other. Who has the account's key waits for nobody (REV-8).
    pub(super) fn linked_said(&self) -> Result<(), Error> {
        if self.account.key.is_some() {
            return Ok(());
        }
        let (mailbox, due) = (self.account.inbox, self.now.after(LINKED_AGAIN));
        self.db.put_return(&ReturnRow::new(mailbox, due))
    }

    /// Says it again, if this device is in no own conversation yet.
    pub(super) fn say_linked_again(&mut self) -> Result<(), Error> {
        self.db.drop_return(&self.account.inbox)?;
        let is_in = self.own_conversation()?.is_some_and(|own| own.log.is_some());
        if is_in {
            return Ok(());
        }
        // DEV-6
        let (key, envelope) = (self.account.need_own_key()?.seed(), random_bytes()?);
        let (key, envelope) = (Some(key), Some(EnvelopeId::new(envelope)));
        self.db.put_job(&NewJob { key, envelope, ..self.own_job(JobKind::SayLinked) })?;
        Ok(())
    }

    /// Seals the letter that says that this device is ready.
    pub(super) fn seal_linked(&mut self, job: &Job) -> Result<Vec<u8>, Error> {
        let key_packages = vec![self.make_key_package(Suite::Hybrid, false)?];
        // REV-8: who has the account's key was linked by nobody.
        let devices = match self.account.key {
            Some(_) => self.account.list.as_bytes().to_vec(),
            None => Vec::new(),
        };
        let content = LetterContent::Linked(LinkedLetter { devices, key_packages });
        let recipient = Recipient::Account(&self.account.list);
        self.seal_letter(job.what.mailbox, job.what.envelope, recipient, &content)
    }
}

/// What a list is signed over.
pub(super) fn entries(list: &DeviceList) -> Vec<(DeviceCertificate, SignedLetterKey)> {
    let devices = list.devices().iter();
    devices.map(|listed| (listed.certificate.clone(), listed.letter_key.clone())).collect()
}

fn link_of(content: &[u8]) -> Result<LinkLetter, Error> {
    match LetterContent::decode(content) {
        Ok(LetterContent::Link(link)) => Ok(link),
        _ => Err(Error::NoLink),
    }
}
