//! Policy: what a commit may change, judged from the log alone (CNV-14).
//!
//! MLS has accepted the commit and everybody has merged it, so nothing here can undo it: what was
//! not allowed counts as not done, is shown, and is put right by the next who may. Pure: the same
//! log gives every member the same verdict.

use std::collections::BTreeSet;

use restante_crypto::Member;
use restante_spec::content::{GroupKind, GroupState, Role};
use restante_spec::ids::PublicKey;

/// A commit, as its members see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act<'a> {
    /// The committer's account; `None`: a leaf without certificate.
    pub(super) committer: Option<PublicKey>,
    pub(super) added: &'a [Member],
    /// As they were before.
    pub(super) removed: &'a [Member],
    /// What the group's context says from now on; `None`: what it said before.
    pub(super) state: Option<&'a GroupState>,
}

/// What is known beside the commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    /// What held before.
    pub(super) before: &'a GroupState,
    /// Who is a member afterwards.
    pub(super) members: &'a [Member],
    /// Accounts that said they leave.
    pub(super) leaving: &'a BTreeSet<PublicKey>,
    /// Devices that were not let in properly.
    pub(super) muted: &'a BTreeSet<PublicKey>,
    /// In a conversation that is no group: whose it is.
    pub(super) parties: &'a [PublicKey],
}

/// What holds from now on, and what was not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) state: GroupState,
    pub(super) wrongs: Vec<Wrong>,
    /// Devices that were let in by who may, and did not only change their keys.
    pub(super) admitted: Vec<PublicKey>,
}

/// Something that was not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A device that was let in by who may not; `None`: one without certificate.
    Added(Option<PublicKey>),
    /// An account that was removed by who may not.
    Removed(PublicKey),
    /// A change of what was agreed on.
    State,
}

/// Judges a commit.
pub(super) fn judge(scene: Scene<'_>, act: Act<'_>) -> Verdict {
    // CNV-14
    let mut wrongs: Vec<Wrong> = Vec::new();
    let mut admitted: Vec<PublicKey> = Vec::new();
    let is_new = |it: &&Member| act.committer.is_none() || !is_again(act.removed, it);
    for member in act.added.iter().filter(is_new) {
        let device = member.device.as_ref().map(|device| *device.device());
        if may_add(scene, act, member) {
            admitted.extend(device);
        } else {
            wrongs.push(Wrong::Added(device));
        }
    }
    for member in act.removed {
        let account = account(member);
        if let Some(account) = account.filter(|account| !may_remove(scene, act, member, account))
            && !wrongs.contains(&Wrong::Removed(account))
        {
            wrongs.push(Wrong::Removed(account));
        }
    }
    let mut state = scene.before.clone();
    if let Some(asked) = act.state {
        let settled = settled(asked.clone(), scene.members);
        take_over(&mut state, &settled, scene, act);
        // CNV-13: of what is within the bounds a part may be beyond them.
        if self::settled(state.clone(), scene.members).encode().is_err() {
            state = scene.before.clone();
        }
        if self::settled(state.clone(), scene.members) != settled {
            wrongs.push(Wrong::State);
        }
    }
    Verdict { state: settled(state, scene.members), wrongs, admitted }
}

/// What holds where a group goes on, as a commit of whoever has moved it would be judged. `None`:
/// somebody below has left an owner behind, who may not have been reached.
pub(super) fn moved(
    held: &GroupState,
    asked: &GroupState,
    by: PublicKey,
    members: &[Member],
) -> Option<GroupState> {
    let here: Vec<PublicKey> = members.iter().filter_map(account).collect();
    let mut owners = held.officers.iter().filter(|(_, role)| **role == Role::Owner);
    // CNV-20
    if held.role(&by) < Role::Owner && !owners.all(|(owner, _)| here.contains(owner)) {
        return None;
    }
    let nobody = BTreeSet::new();
    let scene = Scene { before: held, members, leaving: &nobody, muted: &nobody, parties: &[] };
    let act = Act { committer: Some(by), added: &[], removed: &[], state: Some(asked) };
    let mut state = GroupState { generation: asked.generation, ..held.clone() };
    take_over(&mut state, asked, scene, act);
    Some(settled(state, members))
}

/// What an account may in this conversation: in one that is no group its parties may all.
pub(super) fn rank(state: &GroupState, parties: &[PublicKey], account: &PublicKey) -> Role {
    match state.kind {
        GroupKind::Group(_) => state.role(account),
        GroupKind::Direct | GroupKind::Own if parties.contains(account) => Role::Owner,
        GroupKind::Direct | GroupKind::Own => Role::Member,
    }
}

fn account(member: &Member) -> Option<PublicKey> {
    member.device.as_ref().map(|device| *device.account().key())
}

/// Whether this leaf only changed its keys: out and in again in one commit, for the same account.
/// Any account can certify any device's key.
fn is_again(others: &[Member], member: &Member) -> bool {
    let named = |it: &Member| it.device.as_ref().map(|it| (it.account(), *it.device()));
    let is = named(member);
    // CNV-14
    is.is_some() && others.iter().any(|other| named(other) == is)
}

fn may_add(scene: Scene<'_>, act: Act<'_>, member: &Member) -> bool {
    let (Some(committer), Some(account)) = (act.committer, account(member)) else { return false };
    match scene.before.kind {
        GroupKind::Direct | GroupKind::Own => scene.parties.contains(&account),
        GroupKind::Group(_) => {
            account == committer
                || scene.before.policy.adders.includes(scene.before.role(&committer))
        }
    }
}

fn may_remove(scene: Scene<'_>, act: Act<'_>, member: &Member, account: &PublicKey) -> bool {
    let Some(committer) = act.committer else { return false };
    let muted = member.device.as_ref().is_some_and(|d| scene.muted.contains(d.device()));
    let mine = rank(scene.before, scene.parties, &committer);
    let theirs = rank(scene.before, scene.parties, account);
    committer == *account
        || is_again(act.added, member)
        || scene.leaving.contains(account)
        || !matches!(scene.before.kind, GroupKind::Group(_))
        || (mine >= Role::Administrator && (mine > theirs || muted))
}

/// Takes over what the committer may change.
fn take_over(state: &mut GroupState, asked: &GroupState, scene: Scene<'_>, act: Act<'_>) {
    let Some(committer) = act.committer else { return };
    let mine = rank(scene.before, scene.parties, &committer);
    if state.policy.editors.includes(mine) {
        state.name.clone_from(&asked.name);
        state.picture.clone_from(&asked.picture);
        state.timer = asked.timer;
    }
    if mine >= Role::Administrator {
        state.policy = asked.policy;
    }
    let named: BTreeSet<PublicKey> =
        asked.officers.keys().chain(scene.before.officers.keys()).copied().collect();
    for account in named {
        let (from, to) = (scene.before.role(&account), asked.role(&account));
        let up = mine == Role::Administrator && from == Role::Member && to == mine;
        if mine == Role::Owner || up || (account == committer && to < from) {
            state.set_role(account, to);
        }
    }
}

/// Whoever is no member has no role; a group without an owner passes the role on: to the leftmost
/// administrator, else to the leftmost member.
pub(super) fn settled(state: GroupState, members: &[Member]) -> GroupState {
    let here: Vec<PublicKey> = members.iter().filter_map(account).collect();
    passed_on(state, &here)
}

/// The same, of the accounts that are there, from the left.
pub(super) fn passed_on(mut state: GroupState, here: &[PublicKey]) -> GroupState {
    state.officers.retain(|account, _| here.contains(account));
    let owned = state.officers.values().any(|role| *role == Role::Owner);
    if matches!(state.kind, GroupKind::Group(_)) && !owned {
        let next = here.iter().find(|account| state.role(account) == Role::Administrator);
        if let Some(heir) = next.or_else(|| here.first()).copied() {
            state.set_role(heir, Role::Owner);
        }
    }
    state
}

#[cfg(test)]
mod tests;
