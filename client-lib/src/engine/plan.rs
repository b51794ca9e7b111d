//! What the next commit does: the wishes that still make sense, as many as one commit holds.

use std::collections::BTreeSet;

use restante_crypto::{DeviceCertificate, KeyPackage, LeafNumber, Member, Suite};
use restante_spec::content::{GroupKind, GroupState, Role};
use restante_spec::ids::PublicKey;
use restante_spec::limits::COMMIT_READERS;

use super::Work;
use super::membership::{account, accounts};
use super::policy::{rank, settled};
use crate::error::Error;
use crate::events::Notice;
use crate::store::{ConversationRow, LogRow, Wish, WishId, WishRow};
use crate::types::Standing;

/// A commit to be made.
#[derive(Debug)]
pub(super) enum Plan {
    /// The last one of the log.
    Close(WishId),
    /// One that goes on.
    Change(ChangePlan),
}

/// What a commit changes.
#[derive(Debug, Default)]
pub(super) struct ChangePlan {
    pub(super) change: Changes,
    /// The accounts whose devices are added: they are sent the Welcome.
    pub(super) accounts: Vec<PublicKey>,
    /// The wishes it fulfils.
    pub(super) wishes: Vec<WishId>,
}

/// The same, as the group takes it.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) add: Vec<KeyPackage>,
    pub(super) remove: Vec<LeafNumber>,
    /// The bytes of the group's context, if they change.
    pub(super) state: Option<Vec<u8>>,
}

/// Whether a wish goes into this commit.
enum Fit {
    Taken,
    /// It is done already, or may not be done.
    Pointless,
    /// Not in this commit.
    Later,
}

/// The plan while it grows.
struct Draft<'a> {
    members: &'a [Member],
    own: PublicKey,
    suite: Suite,
    rank: Role,
    /// Accounts that are to be added, by this commit or another.
    coming: Vec<PublicKey>,
    /// Who is to be an owner.
    heirs: Vec<PublicKey>,
    /// Leaves the group may have.
    room: usize,
    state: GroupState,
    plan: ChangePlan,
}

impl Work<'_> {
    /// Plans the next commit of a log, of so many wishes at most; `None`: there is nothing to do.
    pub(super) fn plan(&mut self, log: &LogRow, most: usize) -> Result<Option<Plan>, Error> {
        let now = self.now;
        let mut wishes = self.db.wishes(&log.mailbox)?;
        let coming = wishes.iter().filter_map(|wish| match &wish.what {
            Wish::Add { account, .. } => Some(PublicKey::new(*account)),
            _ => None,
        });
        let coming: Vec<PublicKey> = coming.collect();
        let is_heir = |it: &&PublicKey| {
            let owns = Wish::role(it, Role::Owner);
            wishes.iter().any(|wish| wish.what == owns)
        };
        let heirs: Vec<PublicKey> = coming.iter().filter(is_heir).copied().collect();
        wishes.retain(|wish| wish.what.is_ready() && wish.not_before <= now);
        if wishes.is_empty() {
            return Ok(None);
        }
        let conversation = self.db.need_conversation(log.conversation)?;
        let members = self.members(&log.mailbox)?;
        let own = *self.account.id().key();
        let close = wishes.iter().find(|wish| matches!(wish.what, Wish::Close { .. }));
        if let Some(WishRow { id, what: Wish::Close { removes }, .. }) = close {
            let others = leaves(&members, |member| account(member) != Some(own));
            let is_leaving =
                conversation.standing == Standing::Leaving && conversation.log == Some(log.mailbox);
            if is_leaving && !self.do_all_leave(&conversation, log)? {
                // All had left, and somebody came in who stays.
                self.db.take_wish(*id)?;
            } else if !removes || others.is_empty() {
                return Ok(Some(Plan::Close(*id)));
            } else {
                let change = Changes { remove: others, ..Changes::default() };
                let plan = ChangePlan { change, accounts: Vec::new(), wishes: vec![*id] };
                return Ok(Some(Plan::Change(plan)));
            }
        }
        let mut draft = Draft {
            members: &members,
            own,
            suite: self.suite_of(&log.mailbox)?,
            rank: rank(&conversation.state, &self.parties(&conversation)?, &own),
            coming,
            heirs,
            room: self.leaves_left(&log.mailbox)?,
            state: conversation.state.clone(),
            plan: ChangePlan::default(),
        };
        for wish in wishes {
            if draft.plan.wishes.len() == most {
                break;
            }
            match draft.take(&conversation, &wish.what) {
                Fit::Taken => draft.plan.wishes.push(wish.id),
                Fit::Later => {}
                Fit::Pointless => {
                    self.db.take_wish(wish.id)?;
                    if let Some(account) = draft.refused(&wish.what) {
                        self.notice_unaddable(&conversation, &account)?;
                    }
                    if let Some(account) = draft.removed(&wish.what) {
                        self.say_removed(&conversation, log, &account)?;
                    }
                }
            }
        }
        self.finish(log, draft)
    }

    fn finish(&mut self, log: &LogRow, draft: Draft<'_>) -> Result<Option<Plan>, Error> {
        let Draft { mut plan, mut state, members, rank, .. } = draft;
        if plan.wishes.is_empty() {
            return Ok(None);
        }
        if rank >= Role::Administrator {
            // CNV-3
            let bad = leaves(members, |member| member.device.is_none());
            let room = COMMIT_READERS.saturating_sub(plan.change.remove.len());
            plan.change.remove.extend(bad.into_iter().take(room));
        }
        let again: Vec<&DeviceCertificate> =
            plan.change.add.iter().map(KeyPackage::device).collect();
        let stays = |member: &&Member| {
            // CNV-19: who comes in again keeps what they were.
            let is_back = member.device.as_ref().is_some_and(|device| again.contains(&device));
            is_back || !plan.change.remove.contains(&member.leaf)
        };
        let mut staying: Vec<Member> = members.iter().filter(stays).cloned().collect();
        // Who comes in with a role has it from the beginning (CNV-20).
        let added = again.iter().map(|device| Some((*device).clone()));
        staying.extend(added.map(|device| Member::new(LeafNumber::new(u32::MAX), device)));
        state = settled(state, &staying);
        let context = state.encode().map_err(|_| Error::Damaged("the state of a group"))?;
        // CNV-13
        if context != self.group_context(&log.mailbox)? {
            plan.change.state = Some(context);
        }
        Ok(Some(Plan::Change(plan)))
    }

    /// Tells that an account cannot be added now.
    pub(super) fn notice_unaddable(
        &mut self,
        conversation: &ConversationRow,
        account: &PublicKey,
    ) -> Result<(), Error> {
        let nickname = self.nickname_of(conversation.id, account)?;
        self.notice(Notice::CannotAdd { conversation: conversation.id, nickname });
        Ok(())
    }
}

impl Draft<'_> {
    fn take(&mut self, conversation: &ConversationRow, wish: &Wish) -> Fit {
        match wish {
            Wish::Add { account, packages, .. } => {
                self.add(conversation, &PublicKey::new(*account), packages)
            }
            Wish::Remove { account } => self.remove_account(&PublicKey::new(*account)),
            Wish::RemoveDevice { device } => {
                let device = PublicKey::new(*device);
                self.remove(leaves(self.members, |member| {
                    member.device.as_ref().is_some_and(|found| *found.device() == device)
                }))
            }
            Wish::Readd { device, package } => self.readd(&PublicKey::new(*device), package),
            Wish::Update | Wish::Renew => Fit::Taken,
            Wish::Name(_) | Wish::Picture(_) | Wish::Timer(_) => {
                let may = conversation.state.policy.editors.includes(self.rank);
                self.apply(wish, may)
            }
            Wish::Policy(_) => self.apply(wish, self.rank >= Role::Administrator),
            Wish::Role { account, .. } => {
                let account = PublicKey::new(*account);
                let added = &self.plan.accounts;
                let here = accounts(self.members).contains(&account) || added.contains(&account);
                let own = account == self.own && self.heirs.iter().any(|it| !added.contains(it));
                if own || (!here && self.coming.contains(&account)) {
                    return Fit::Later;
                }
                self.apply(wish, here && self.rank >= Role::Administrator)
            }
            Wish::Close { .. } => Fit::Later,
        }
    }

    fn add(
        &mut self,
        conversation: &ConversationRow,
        account: &PublicKey,
        packages: &[Vec<u8>],
    ) -> Fit {
        let group = matches!(conversation.state.kind, GroupKind::Group(_));
        if group && *account != self.own && !conversation.state.policy.adders.includes(self.rank) {
            return Fit::Pointless;
        }
        let here = self.members.iter().filter_map(|member| member.device.as_ref());
        let added = self.plan.change.add.iter().map(KeyPackage::device);
        // Each device once, however often it was asked for.
        let mut devices: BTreeSet<PublicKey> =
            here.chain(added).map(|device| *device.device()).collect();
        let fit = packages.iter().filter_map(|it| KeyPackage::parse_for(it, self.suite).ok());
        let fresh: Vec<KeyPackage> = fit
            .filter(|package| package.device().account().key() == account)
            .filter(|package| devices.insert(*package.device().device()))
            .collect();
        if fresh.is_empty() {
            return Fit::Pointless;
        }
        let readers = self.plan.change.add.len() + self.plan.change.remove.len() + fresh.len();
        if readers > COMMIT_READERS || self.plan.change.add.len() + fresh.len() > self.room {
            // Alone in a commit it would fit, or never.
            return if self.plan.wishes.is_empty() { Fit::Pointless } else { Fit::Later };
        }
        self.plan.change.add.extend(fresh);
        self.plan.accounts.push(*account);
        Fit::Taken
    }

    /// A device out and in again: as long as its leaf stands (CNV-19).
    fn readd(&mut self, device: &PublicKey, package: &[u8]) -> Fit {
        let is = |m: &&Member| m.device.as_ref().is_some_and(|found| found.device() == device);
        let package = KeyPackage::parse_for(package, self.suite);
        let (Some(member), Ok(package)) = (self.members.iter().find(is), package) else {
            return Fit::Pointless;
        };
        let Some(account) = account(member) else { return Fit::Pointless };
        if Some(package.device()) != member.device.as_ref()
            || self.plan.change.remove.contains(&member.leaf)
        {
            return Fit::Pointless;
        }
        if self.plan.change.add.len() + self.plan.change.remove.len() + 2 > COMMIT_READERS {
            return Fit::Later;
        }
        self.plan.change.remove.push(member.leaf);
        self.plan.change.add.push(package);
        if !self.plan.accounts.contains(&account) {
            self.plan.accounts.push(account);
        }
        Fit::Taken
    }

    /// The account of a device that was to come in again, and was removed before.
    fn removed(&self, wish: &Wish) -> Option<PublicKey> {
        let Wish::Readd { package, .. } = wish else { return None };
        let account = *KeyPackage::parse(package).ok()?.device().account().key();
        (!accounts(self.members).contains(&account)).then_some(account)
    }

    /// The account an addition was refused for, unless it is here.
    fn refused(&self, wish: &Wish) -> Option<PublicKey> {
        let Wish::Add { account, .. } = wish else { return None };
        let account = PublicKey::new(*account);
        let taken = self.plan.accounts.contains(&account);
        (!taken && !accounts(self.members).contains(&account)).then_some(account)
    }

    fn remove_account(&mut self, account: &PublicKey) -> Fit {
        if *account == self.own {
            return Fit::Pointless;
        }
        let leaves = leaves(self.members, |member| self::account(member) == Some(*account));
        self.remove(leaves)
    }

    fn remove(&mut self, leaves: Vec<LeafNumber>) -> Fit {
        let already = |leaf: &LeafNumber| self.plan.change.remove.contains(leaf);
        let fresh: Vec<LeafNumber> = leaves.into_iter().filter(|leaf| !already(leaf)).collect();
        if fresh.is_empty() {
            return Fit::Pointless;
        }
        let readers = self.plan.change.add.len() + self.plan.change.remove.len() + fresh.len();
        if readers > COMMIT_READERS {
            return Fit::Later;
        }
        self.plan.change.remove.extend(fresh);
        Fit::Taken
    }

    fn apply(&mut self, wish: &Wish, may: bool) -> Fit {
        let mut state = self.state.clone();
        wish.apply(&mut state);
        if !may || state == self.state {
            return Fit::Pointless;
        }
        self.state = state;
        Fit::Taken
    }
}

fn leaves(members: &[Member], which: impl Fn(&Member) -> bool) -> Vec<LeafNumber> {
    members.iter().filter(|member| which(member)).map(|member| member.leaf).collect()
}
