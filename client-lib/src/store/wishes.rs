//! The table of wishes: what this device wants its next commits to do. A wish stays until a commit
//! that fulfils it was echoed, or until somebody else's made it pointless.

use restante_spec::content::{Policy, Role, Who};
use restante_spec::ids::{MailboxId, PublicKey, Seconds, UnixTime};
use rusqlite::Row;
use serde::{Deserialize, Serialize};

use super::mls::MessagePack;
use super::{Db, from_sql, to_sql};
use crate::error::Error;
use openmls_sqlite_storage::Codec;

/// A wish's number: rising in the order they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WishId(pub(super) i64);

/// What a commit of this device should do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wish {
    /// Devices of an account in; of so many the key package has yet to be taken from its inbox.
    Add { account: [u8; 32], packages: Vec<Vec<u8>>, missing: u8 },
    /// Every device of an account out.
    Remove { account: [u8; 32] },
    /// One device out.
    RemoveDevice { device: [u8; 32] },
    /// Another name.
    Name(String),
    /// Another picture.
    Picture(Vec<u8>),
    /// Another time for which messages are kept after they were read; 0: without end.
    Timer(u32),
    /// Another policy: who adds, who writes, who edits; whether everybody.
    Policy([bool; 3]),
    /// Another role for an account: 1 member, 2 administrator, 3 owner.
    Role { account: [u8; 32], role: u8 },
    /// A fresh leaf of its own.
    Update,
    /// First the other accounts' leaves and readers out, then an end: nobody writes any more.
    Close { removes: bool },
    /// A device that cannot read on out, and in again with this key package.
    Readd { device: [u8; 32], package: Vec<u8> },
    /// A fresh leaf of its own after many messages: somebody else's comes first if it does.
    Renew,
}

/// A noted wish.
#[derive(Clone, Debug)]
pub(crate) struct WishRow {
    pub(crate) id: WishId,
    pub(crate) not_before: UnixTime,
    pub(crate) what: Wish,
}

impl Wish {
    pub(crate) const fn policy(policy: Policy) -> Self {
        const fn all(who: Who) -> bool {
            matches!(who, Who::Everybody)
        }
        Self::Policy([all(policy.adders), all(policy.writers), all(policy.editors)])
    }

    pub(crate) const fn role(account: &PublicKey, role: Role) -> Self {
        let number = match role {
            Role::Member => 1,
            Role::Administrator => 2,
            Role::Owner => 3,
        };
        Self::Role { account: *account.as_bytes(), role: number }
    }

    /// What the wish changes of a group's state.
    pub(crate) fn apply(&self, state: &mut restante_spec::content::GroupState) {
        let who = |all| if all { Who::Everybody } else { Who::Administrators };
        match self {
            Self::Name(name) => state.name.clone_from(name),
            Self::Picture(picture) => state.picture.clone_from(picture),
            Self::Timer(timer) => state.timer = (*timer > 0).then_some(Seconds::new(*timer)),
            Self::Policy([adders, writers, editors]) => {
                state.policy =
                    Policy { adders: who(*adders), writers: who(*writers), editors: who(*editors) };
            }
            Self::Role { account, role } => {
                let role = match role {
                    3 => Role::Owner,
                    2 => Role::Administrator,
                    _ => Role::Member,
                };
                state.set_role(PublicKey::new(*account), role);
            }
            Self::Add { .. }
            | Self::Remove { .. }
            | Self::RemoveDevice { .. }
            | Self::Update
            | Self::Renew
            | Self::Close { .. }
            | Self::Readd { .. } => {}
        }
    }

    /// Whether a commit can do it: what is to be added is here.
    pub(crate) const fn is_ready(&self) -> bool {
        !matches!(self, Self::Add { missing: 1.., .. })
    }
}

impl WishRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let what: Vec<u8> = row.get("what")?;
        Ok(Self {
            id: WishId(row.get("id")?),
            not_before: UnixTime::new(from_sql(row.get("not_before")?)),
            what: MessagePack::from_slice(&what).map_err(|_| rusqlite::Error::InvalidQuery)?,
        })
    }
}

impl Db<'_> {
    /// Notes a wish, unless the same is noted already.
    pub(crate) fn put_wish(
        self,
        of: &MailboxId,
        wish: &Wish,
        not_before: UnixTime,
    ) -> Result<(), Error> {
        let what = pack(wish)?;
        let sql = "INSERT INTO wishes (mailbox, not_before, what) SELECT ?1, ?2, ?3
            WHERE NOT EXISTS (SELECT 1 FROM wishes WHERE mailbox = ?1 AND what = ?3)";
        let wish = (of.as_bytes(), to_sql(not_before.get()), what);
        self.sql.prepare_cached(sql)?.execute(wish)?;
        Ok(())
    }

    /// A wish is another now.
    pub(crate) fn change_wish(self, id: WishId, wish: &Wish) -> Result<(), Error> {
        self.sql.execute("UPDATE wishes SET what = ?2 WHERE id = ?1", (id.0, pack(wish)?))?;
        Ok(())
    }

    /// The wishes for a log, in their order.
    pub(crate) fn wishes(self, of: &MailboxId) -> Result<Vec<WishRow>, Error> {
        let sql = "SELECT * FROM wishes WHERE mailbox = ?1 ORDER BY id";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([of.as_bytes()], WishRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Nothing is wished of this log before then.
    pub(crate) fn put_off_wishes(self, of: &MailboxId, until: UnixTime) -> Result<(), Error> {
        let sql = "UPDATE wishes SET not_before = max(not_before, ?2) WHERE mailbox = ?1";
        self.sql.execute(sql, (of.as_bytes(), to_sql(until.get())))?;
        Ok(())
    }

    /// This one is not fulfilled before then.
    pub(crate) fn put_off_wish(self, id: WishId, until: UnixTime) -> Result<(), Error> {
        let sql = "UPDATE wishes SET not_before = max(not_before, ?2) WHERE id = ?1";
        self.sql.prepare_cached(sql)?.execute((id.0, to_sql(until.get())))?;
        Ok(())
    }

    /// When the first wish that waits for its time may be fulfilled.
    pub(crate) fn next_wish(self, now: UnixTime) -> Result<Option<UnixTime>, Error> {
        let sql = "SELECT min(not_before) FROM wishes WHERE not_before > ?1";
        let next: Option<i64> = self.sql.query_row(sql, [to_sql(now.get())], |row| row.get(0))?;
        Ok(next.map(|next| UnixTime::new(from_sql(next))))
    }

    /// A wish is fulfilled, or pointless.
    pub(crate) fn take_wish(self, id: WishId) -> Result<(), Error> {
        self.sql.prepare_cached("DELETE FROM wishes WHERE id = ?1")?.execute([id.0])?;
        Ok(())
    }

    /// Nothing is wanted of this log any more.
    pub(crate) fn drop_wishes(self, of: &MailboxId) -> Result<(), Error> {
        self.sql.execute("DELETE FROM wishes WHERE mailbox = ?1", [of.as_bytes()])?;
        Ok(())
    }
}

fn pack(wish: &Wish) -> Result<Vec<u8>, Error> {
    MessagePack::to_vec(wish).map_err(|_| Error::Damaged("a wish that cannot be written"))
}
