//! Letter keys: the one that letters to this device are sealed to is replaced when it is old, and
//! those before it open for a while what was sealed to them.
//!
//! A list with another key is signed with the account's key (DEV-1): the device that has it
//! replaces its own.

use restante_crypto::KemSecret;
use restante_spec::ids::UnixTime;
use zeroize::Zeroizing;

use super::linking::entries;
use super::{Engine, Work};
use crate::error::Error;
use crate::limits::{LETTER_KEY_EVERY, LETTER_KEY_KEPT};
use crate::store::{Db, Meta};

/// A letter key that was replaced.
#[derive(Debug)]
pub(super) struct PastLetterKey {
    /// From then on no letter comes that is sealed to it.
    until: UnixTime,
    pub(super) key: KemSecret,
}

/// Layout: until when a key is kept (8), its seed (32).
const KEPT: usize = 8 + 32;

impl PastLetterKey {
    /// Those of an open store.
    pub(super) fn load(db: Db<'_>) -> Result<Vec<Self>, Error> {
        let kept = db.meta(Meta::PastLetterKeys)?.unwrap_or_default();
        kept.chunks(KEPT).map(Self::read).collect()
    }

    fn read(kept: &[u8]) -> Result<Self, Error> {
        let damaged = || Error::Damaged("a letter key of before");
        let (until, seed) = kept.split_first_chunk::<8>().ok_or_else(damaged)?;
        let seed: &[u8; 32] = seed.try_into().map_err(|_| damaged())?;
        let until = UnixTime::new(u64::from_be_bytes(*until));
        Ok(Self { until, key: KemSecret::from_seed(seed) })
    }
}

impl Engine {
    /// Replaces the letter key when it is old.
    pub(super) fn renew_letter_key(&mut self) -> Result<(), Error> {
        let account = &self.account;
        let listed = account.list.device(&account.device.public());
        let made = listed.map(|listed| listed.letter_key.created());
        // IDN-8
        let is_old = made.is_some_and(|made| made.after(LETTER_KEY_EVERY) <= self.now);
        if !is_old || account.key.is_none() {
            return Ok(());
        }
        // DEV-4: whoever links this device takes the key of the card.
        if self.store.read().meta(Meta::LinkCode)?.is_some() {
            return Ok(());
        }
        self.transact(|work| work.replace_letter_key())
    }
}

impl Work<'_> {
    fn replace_letter_key(&mut self) -> Result<(), Error> {
        let (account, fresh) = (self.account, KemSecret::generate()?);
        let own = account.device.public();
        let mut devices = entries(&account.list);
        let listed = devices.iter_mut().find(|(certificate, _)| *certificate.device() == own);
        if let Some((_, key)) = listed {
            *key = account.device.sign_letter_key(&fresh.public(), self.now);
        }
        // IDN-7
        let list = account.need_key()?.sign_list(account.list.version() + 1, &devices)?;
        self.db.set_meta(Meta::DeviceList, list.as_bytes())?;
        self.db.set_meta(Meta::LetterKey, fresh.seed().as_ref())?;
        self.keep_letter_keys(Some((self.now.after(LETTER_KEY_KEPT), &account.letter_key)))?;
        self.queue_profile()
    }

    /// Lets go of the letter keys whose time is over.
    pub(super) fn forget_letter_keys(&mut self) -> Result<(), Error> {
        if self.account.past_letter_keys.iter().all(|past| past.until > self.now) {
            return Ok(());
        }
        self.keep_letter_keys(None)
    }

    /// Keeps the letter keys whose time is not over, and one more.
    fn keep_letter_keys(&mut self, more: Option<(UnixTime, &KemSecret)>) -> Result<(), Error> {
        let past = &self.account.past_letter_keys;
        let mut kept = Zeroizing::new(Vec::<u8>::with_capacity((past.len() + 1) * KEPT));
        let all = past.iter().map(|past| (past.until, &past.key)).chain(more);
        // IDN-8
        for (until, key) in all.filter(|(until, _)| *until > self.now) {
            kept.extend_from_slice(&until.get().to_be_bytes());
            kept.extend_from_slice(key.seed().as_slice());
        }
        self.db.set_meta(Meta::PastLetterKeys, &kept)?;
        self.stale = true;
        Ok(())
    }
}
