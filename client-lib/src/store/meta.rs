//! Single values: the own account, device, inbox and what was last seen of each relay.

use restante_spec::ids::Incarnation;
use restante_spec::token::AdmissionToken;
use rusqlite::OptionalExtension;
use zeroize::Zeroizing;

use super::Db;
use crate::error::Error;

/// The names of the single values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meta {
    /// The account's secret key; only on its first device (DEV-1).
    AccountKey,
    /// The device's secret key.
    DeviceKey,
    /// The device list the account signed.
    DeviceList,
    /// The device's letter key.
    LetterKey,
    /// The letter keys before it, each with the time until which it is kept.
    PastLetterKeys,
    /// The own nickname.
    Nickname,
    /// Address of the own relay.
    Relay,
    /// Id of the own inbox.
    Inbox,
    /// Manage key of the own inbox.
    ManageKey,
    /// Reader of the own inbox.
    InboxReader,
    /// Everything of the own inbox up to this number is done.
    InboxCursor,
    /// Number of the last letter this device wrote.
    LetterNumber,
    /// Present: this home was copied, or this device was removed; it must not send.
    Cloned,
    /// Attachments up to so many bytes are fetched by themselves, if a person said how many.
    FetchBytes,
    /// Present: the relay does not let this linked device into the account's inbox.
    ShutOut,
    /// What others are told without being written to.
    Privacy,
    /// The seed of an allowed key of the own inbox with every right: what this device writes to it
    /// and, if it is not the first device, manages it with.
    OwnKey,
    /// The number the next new device is given.
    NextDevice,
    /// Present: this device is to be linked to an account; the code it shows.
    LinkCode,
    /// The account this home belongs to while its device is linked anew.
    PastAccount,
    /// The letter that would link it, until the person has compared the numbers.
    LinkOffer,
    /// Present: another own device is to be told every record.
    OwesStates,
    /// When this device last laid prekeys of last resort by their age.
    LastResortAt,
    /// Present: the own relay was restored; the prekeys it has may have been given before.
    StalePrekeys,
}

impl Meta {
    const fn name(self) -> &'static str {
        match self {
            Self::AccountKey => "account_key",
            Self::DeviceKey => "device_key",
            Self::DeviceList => "device_list",
            Self::LetterKey => "letter_key",
            Self::PastLetterKeys => "past_letter_keys",
            Self::Nickname => "nickname",
            Self::Relay => "relay",
            Self::Inbox => "inbox",
            Self::ManageKey => "manage_key",
            Self::InboxReader => "inbox_reader",
            Self::InboxCursor => "inbox_cursor",
            Self::LetterNumber => "letter_number",
            Self::Cloned => "cloned",
            Self::FetchBytes => "fetch_bytes",
            Self::ShutOut => "shut_out",
            Self::Privacy => "privacy",
            Self::OwnKey => "own_key",
            Self::NextDevice => "next_device",
            Self::LinkCode => "link_code",
            Self::PastAccount => "past_account",
            Self::LinkOffer => "link_offer",
            Self::OwesStates => "owes_states",
            Self::LastResortAt => "last_resort_at",
            Self::StalePrekeys => "stale_prekeys",
        }
    }
}

impl Db<'_> {
    /// A single value; wiped when dropped, since some are secret.
    pub(crate) fn meta(self, which: Meta) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let mut query = self.sql.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
        let value = query.query_row([which.name()], |row| row.get(0)).optional()?;
        Ok(value.map(Zeroizing::new))
    }

    /// A value that every store has.
    pub(crate) fn need_meta(self, which: Meta) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.meta(which)?.ok_or(Error::Damaged("a value every store has is missing"))
    }

    /// A value of fixed size, if it is there.
    pub(crate) fn fixed_meta<const N: usize>(
        self,
        which: Meta,
    ) -> Result<Option<Zeroizing<[u8; N]>>, Error> {
        let Some(value) = self.meta(which)? else { return Ok(None) };
        let value = value.as_slice().try_into();
        value.map(|value| Some(Zeroizing::new(value))).map_err(|_| Error::Damaged("a value's size"))
    }

    /// A value of fixed size that every store has.
    pub(crate) fn need_fixed<const N: usize>(
        self,
        which: Meta,
    ) -> Result<Zeroizing<[u8; N]>, Error> {
        let value = self.need_meta(which)?;
        let value = value.as_slice().try_into();
        value.map(Zeroizing::new).map_err(|_| Error::Damaged("a value has another size"))
    }

    /// A text that every store has.
    pub(crate) fn need_text(self, which: Meta) -> Result<String, Error> {
        let value = self.need_meta(which)?;
        String::from_utf8(value.to_vec()).map_err(|_| Error::Damaged("a text is not UTF-8"))
    }

    /// A number; 0 when it was never set.
    pub(crate) fn meta_number(self, which: Meta) -> Result<u64, Error> {
        match self.meta(which)? {
            None => Ok(0),
            Some(value) => {
                let bytes = value.as_slice().try_into();
                bytes.map(u64::from_be_bytes).map_err(|_| Error::Damaged("a number's size"))
            }
        }
    }

    /// Sets a single value.
    pub(crate) fn set_meta(self, which: Meta, value: &[u8]) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)";
        self.sql.prepare_cached(sql)?.execute((which.name(), value))?;
        Ok(())
    }

    /// Removes a single value.
    pub(crate) fn drop_meta(self, which: Meta) -> Result<(), Error> {
        self.sql.execute("DELETE FROM meta WHERE name = ?1", [which.name()])?;
        Ok(())
    }

    /// Sets a number.
    pub(crate) fn set_meta_number(self, which: Meta, number: u64) -> Result<(), Error> {
        self.set_meta(which, &number.to_be_bytes())
    }

    /// What admits this account at a relay.
    pub(crate) fn token(self, relay: &str) -> Result<Option<AdmissionToken>, Error> {
        let mut query = self.sql.prepare_cached("SELECT token FROM tokens WHERE relay = ?1")?;
        let token = query.query_row([relay], |row| row.get::<_, [u8; 16]>(0)).optional()?;
        Ok(token.map(AdmissionToken::new))
    }

    /// Notes what admits this account at a relay.
    pub(crate) fn set_token(self, relay: &str, token: &AdmissionToken) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO tokens (relay, token) VALUES (?1, ?2)";
        self.sql.execute(sql, (relay, token.as_bytes()))?;
        Ok(())
    }

    /// Notes a relay's incarnation; gives the one noted before if it was another.
    pub(crate) fn note_incarnation(
        self,
        relay: &str,
        now: &Incarnation,
    ) -> Result<Option<Incarnation>, Error> {
        let sql = "SELECT incarnation FROM relays WHERE address = ?1";
        let before = self.sql.query_row(sql, [relay], |row| row.get::<_, [u8; 16]>(0));
        let before = before.optional()?.map(Incarnation::new);
        if before.as_ref() == Some(now) {
            return Ok(None);
        }
        let sql = "INSERT OR REPLACE INTO relays (address, incarnation) VALUES (?1, ?2)";
        self.sql.execute(sql, (relay, now.as_bytes()))?;
        Ok(before)
    }
}
