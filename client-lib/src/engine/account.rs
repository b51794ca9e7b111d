//! The own account on this device: its keys and where its inbox is.
//!
//! Sans-IO: knows the keys and the single values they are kept as; must not know contacts.

use restante_crypto::{
    AccountId, AccountKey, DeviceCertificate, DeviceKey, DeviceList, DeviceNumber, Invite,
    KemSecret, LinkCode, SigningKey, Suite, generate_reader, random_bytes,
};
use restante_spec::address::RelayAddress;
use restante_spec::archive;
use restante_spec::ids::{EnvelopeId, MailboxId, ReaderSecret, Slot, UnixTime};
use restante_spec::limits::DEVICES;
use restante_spec::token::Entrance;
use zeroize::Zeroizing;

use super::group_acts::slot;
use super::letter_keys::PastLetterKey;
use super::linking::entries;
use crate::error::Error;
use crate::limits::{LINK_TTL, RESTORED_NUMBER_GAP, RESTORED_NUMBER_SPREAD};
use crate::store::{Db, JobKind, Meta, NewJob};

/// What this device is and holds.
#[derive(Debug)]
pub(crate) struct Account {
    /// Only on the account's first device (DEV-1).
    pub(super) key: Option<AccountKey>,
    pub(crate) device: DeviceKey,
    pub(crate) list: DeviceList,
    pub(crate) letter_key: KemSecret,
    /// Those before it, of which letters may still come.
    pub(super) past_letter_keys: Vec<PastLetterKey>,
    pub(crate) relay: RelayAddress,
    pub(crate) inbox: MailboxId,
    /// Reads and manages the own inbox.
    pub(crate) manage: SigningKey,
    /// May do everything there; made when there is a second device.
    pub(super) own_key: Option<SigningKey>,
    pub(crate) reader: ReaderSecret,
}

impl Account {
    /// Makes an account with one device and notes that its inbox is to be made.
    pub(crate) fn create(
        db: Db<'_>,
        entrance: &Entrance,
        nickname: &str,
        now: UnixTime,
    ) -> Result<(), Error> {
        Self::make(db, entrance, nickname, now)?;
        Self::load(db)?.note_prekeys(db)
    }

    fn make(db: Db<'_>, entrance: &Entrance, nickname: &str, now: UnixTime) -> Result<(), Error> {
        let relay = &entrance.address;
        let (key, device) = (AccountKey::generate()?, DeviceKey::generate()?);
        let letter_key = KemSecret::generate()?;
        let certificate = key.certify(&device.public(), DeviceNumber::new(1), now, "")?;
        let signed = device.sign_letter_key(&letter_key.public(), now);
        let list = key.sign_list(1, &[(certificate, signed)])?;
        let (manage, reader) = (SigningKey::generate()?, generate_reader()?);
        let inbox = MailboxId::new(random_bytes()?);
        db.set_meta(Meta::AccountKey, key.seed().as_ref())?;
        db.set_meta(Meta::DeviceKey, device.seed().as_ref())?;
        db.set_meta(Meta::DeviceList, list.as_bytes())?;
        db.set_meta(Meta::LetterKey, letter_key.seed().as_ref())?;
        db.set_meta(Meta::Nickname, nickname.as_bytes())?;
        db.set_meta(Meta::Relay, relay.to_string().as_bytes())?;
        db.set_meta(Meta::Inbox, inbox.as_bytes())?;
        db.set_meta(Meta::ManageKey, manage.seed().as_ref())?;
        db.set_meta(Meta::InboxReader, reader.as_bytes())?;
        if let Some(token) = &entrance.token {
            db.set_token(&relay.to_string(), token)?;
        }
        db.put_job(&NewJob::new(relay.to_string(), inbox, JobKind::CreateInbox))?;
        Ok(())
    }

    /// Makes a passing account for a device that is to be linked: with an inbox of its own, a code
    /// to show, and a key that may write one letter there (DEV-2, DEV-3).
    pub(crate) fn create_passing(
        db: Db<'_>,
        entrance: &Entrance,
        now: UnixTime,
    ) -> Result<(), Error> {
        Self::make(db, entrance, "", now)?;
        let account = Self::load(db)?;
        let code = Invite::generate(account.relay.clone(), account.inbox, account.id())?;
        let code = LinkCode::new(code);
        db.set_meta(Meta::LinkCode, code.text().as_bytes())?;
        db.put_job(&NewJob {
            key: Some(code.invite().write_key()?.seed()),
            body: Some(code.seal_card(&account.list)?),
            uses: 1,
            expires_at: now.after(LINK_TTL),
            ..NewJob::new(account.relay.to_string(), account.inbox, JobKind::AllowInvite)
        })?;
        Ok(())
    }

    /// Makes a new device of the account of a recovery file, and notes that the inbox is to know
    /// it, and the devices of before (REV-6, REV-8).
    pub(super) fn restore(db: Db<'_>, kept: &archive::Account, now: UnixTime) -> Result<(), Error> {
        let (key, device) = (AccountKey::from_seed(&kept.seed), DeviceKey::generate()?);
        let (letter_key, known) = (KemSecret::generate()?, DeviceList::parse(&kept.devices)?);
        if known.account() != key.id() {
            return Err(restante_crypto::Error::WrongAccount.into());
        }
        let last = known.devices().last().map_or(0, |listed| listed.certificate.number().get());
        let [by] = random_bytes::<1>()?;
        let gap = RESTORED_NUMBER_GAP + u32::from(by) % RESTORED_NUMBER_SPREAD;
        // REV-6
        let number = kept.next_device.max(last.saturating_add(1)).saturating_add(gap);
        let version = known.version().saturating_add(1).max(now.get());
        let number_of = DeviceNumber::new(number);
        let certificate = key.certify(&device.public(), number_of, now, "")?;
        let mut devices = entries(&known);
        devices.drain(..devices.len().saturating_sub(DEVICES - 1));
        devices.push((certificate, device.sign_letter_key(&letter_key.public(), now)));
        let list = key.sign_list(version, &devices)?;
        let own = SigningKey::generate()?.seed();
        db.set_meta(Meta::AccountKey, kept.seed.as_ref())?;
        db.set_meta(Meta::DeviceKey, device.seed().as_ref())?;
        db.set_meta(Meta::DeviceList, list.as_bytes())?;
        db.set_meta(Meta::LetterKey, letter_key.seed().as_ref())?;
        db.set_meta(Meta::Nickname, kept.nick.as_bytes())?;
        db.set_meta(Meta::Relay, kept.relay.to_string().as_bytes())?;
        db.set_meta(Meta::Inbox, kept.inbox.as_bytes())?;
        db.set_meta(Meta::ManageKey, kept.manage_key.as_ref())?;
        db.set_meta(Meta::InboxReader, generate_reader()?.as_bytes())?;
        db.set_meta(Meta::OwnKey, own.as_ref())?;
        db.set_meta_number(Meta::NextDevice, u64::from(number) + 1)?;
        let job = |kind, key: &Zeroizing<[u8; 32]>| NewJob {
            key: Some(key.clone()),
            ..NewJob::new(kept.relay.to_string(), kept.inbox, kind)
        };
        db.put_job(&job(JobKind::AddReader, &kept.manage_key))?;
        let after = Some(db.put_job(&job(JobKind::AllowDevice, &own))?);
        Self::load(db)?.note_prekeys(db)?;
        // REV-8
        let envelope = Some(EnvelopeId::new(random_bytes()?));
        db.put_job(&NewJob { envelope, after, ..job(JobKind::SayLinked, &own) })?;
        Ok(())
    }

    /// Notes that prekeys are to be stored: key packages of this device for either suite.
    pub(crate) fn note_prekeys(&self, db: Db<'_>) -> Result<(), Error> {
        for slot in self.prekey_slots()? {
            for kind in [JobKind::PutLastResort, JobKind::PutPrekeys] {
                let relay = self.relay.to_string();
                db.put_job(&NewJob { slot, ..NewJob::new(relay, self.inbox, kind) })?;
            }
        }
        Ok(())
    }

    /// Where this device's prekeys lie.
    pub(crate) fn prekey_slots(&self) -> Result<[Slot; 2], Error> {
        let number = self.certificate()?.number().get();
        Ok(Suite::ALL.map(|suite| slot(number, suite)))
    }

    /// The account of an open store.
    pub(crate) fn load(db: Db<'_>) -> Result<Self, Error> {
        let list = DeviceList::parse(&db.need_meta(Meta::DeviceList)?)?;
        Ok(Self {
            key: db.fixed_meta(Meta::AccountKey)?.map(|seed| AccountKey::from_seed(&seed)),
            device: DeviceKey::from_seed(&*db.need_fixed(Meta::DeviceKey)?),
            list,
            letter_key: KemSecret::from_seed(&*db.need_fixed(Meta::LetterKey)?),
            past_letter_keys: PastLetterKey::load(db)?,
            relay: db.need_text(Meta::Relay)?.parse()?,
            inbox: MailboxId::new(*db.need_fixed(Meta::Inbox)?),
            manage: SigningKey::from_seed(&*db.need_fixed(Meta::ManageKey)?),
            own_key: db.fixed_meta(Meta::OwnKey)?.map(|seed| SigningKey::from_seed(&seed)),
            reader: ReaderSecret::new(*db.need_fixed(Meta::InboxReader)?),
        })
    }

    /// The account's public name.
    pub(crate) fn id(&self) -> AccountId {
        self.list.account()
    }

    /// The account's key, on the device that has it.
    pub(super) fn need_key(&self) -> Result<&AccountKey, Error> {
        // DEV-1
        self.key.as_ref().ok_or(Error::NotFirstDevice)
    }

    /// What this device writes to the own inbox with.
    pub(super) fn need_own_key(&self) -> Result<&SigningKey, Error> {
        self.own_key.as_ref().ok_or(Error::Damaged("a key for the own inbox is missing"))
    }

    /// Whether the account has other devices.
    pub(super) fn has_others(&self) -> bool {
        self.list.devices().len() > 1
    }

    /// This device's certificate.
    pub(crate) fn certificate(&self) -> Result<&DeviceCertificate, Error> {
        let listed = self.list.device(&self.device.public());
        let listed = listed.ok_or(Error::Damaged("the device is not in its own list"))?;
        Ok(&listed.certificate)
    }
}
