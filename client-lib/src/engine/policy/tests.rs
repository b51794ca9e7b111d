//! Who may do what, in every kind of conversation.

use restante_crypto::{AccountKey, DeviceKey, DeviceNumber, LeafNumber};
use restante_spec::content::{Policy, Who};
use restante_spec::ids::{Seconds, UnixTime};
use restante_spec::limits::GROUP_OFFICERS;

use super::*;

/// Accounts by number: 1 owns the group, 2 administers it, 3 and 4 are members.
fn key(account: u8) -> PublicKey {
    *AccountKey::from_seed(&[account; 32]).id().key()
}

fn leaf(number: u32, account: u8, device: u8) -> Member {
    let mut seed = [account; 32];
    seed[0] = 0x80 | device;
    let device_key = DeviceKey::from_seed(&seed);
    let (number_in_account, at) = (DeviceNumber::new(device.into()), UnixTime::new(1));
    let account = AccountKey::from_seed(&[account; 32]);
    let certificate = account.certify(&device_key.public(), number_in_account, at, "").unwrap();
    Member::new(LeafNumber::new(number), Some(certificate))
}

fn group() -> GroupState {
    let mut state = GroupState::new(GroupKind::Group([9; 16]), 1);
    state.set_role(key(1), Role::Owner);
    state.set_role(key(2), Role::Administrator);
    state
}

fn four() -> Vec<Member> {
    (1..=4).map(|n| leaf(u32::from(n) - 1, n, 1)).collect()
}

/// What a test may vary.
#[derive(Default)]
struct Case {
    state: Option<GroupState>,
    added: Vec<Member>,
    removed: Vec<Member>,
    asked: Option<GroupState>,
    leaving: BTreeSet<PublicKey>,
    muted: BTreeSet<PublicKey>,
}

impl Case {
    fn judge(&self, committer: u8) -> Verdict {
        let before = self.state.clone().unwrap_or_else(group);
        let mut members = four();
        members.retain(|member| !self.removed.contains(member));
        members.extend(self.added.iter().cloned());
        let parties = [key(1), key(2)];
        let scene = Scene {
            before: &before,
            members: &members,
            leaving: &self.leaving,
            muted: &self.muted,
            parties: &parties,
        };
        let act = Act {
            committer: Some(key(committer)),
            added: &self.added,
            removed: &self.removed,
            state: self.asked.as_ref(),
        };
        judge(scene, act)
    }

    fn allows(&self, committer: u8) -> bool {
        self.judge(committer).wrongs.is_empty()
    }
}

fn asked(change: impl FnOnce(&mut GroupState)) -> Case {
    let mut asked = group();
    change(&mut asked);
    Case { asked: Some(asked), ..Case::default() }
}

/// CNV-14: administrators add accounts, or everybody if the policy says so; everybody adds devices
/// of the own account; who only comes in again may be let in by anybody.
#[test]
fn additions_follow_the_policy() {
    let stranger = Case { added: vec![leaf(4, 5, 1)], ..Case::default() };
    assert_eq!([1, 2, 3].map(|by| stranger.allows(by)), [true, true, false]);
    let mut open = group();
    open.policy.adders = Who::Everybody;
    assert!(Case { state: Some(open), added: vec![leaf(4, 5, 1)], ..Case::default() }.allows(3));
    let device = Case { added: vec![leaf(4, 3, 2)], ..Case::default() };
    assert_eq!([2, 3, 4].map(|by| device.allows(by)), [true, true, false]);
    let again =
        Case { added: vec![leaf(2, 3, 1)], removed: vec![leaf(2, 3, 1)], ..Case::default() };
    assert!(again.allows(4));
    let admitted = |case: Case| case.judge(1).admitted.len();
    assert_eq!([stranger, device, again].map(admitted), [1, 1, 0]);
}

/// Once a device that went out came in again as another account's, whoever let it in (CNV-14).
#[test]
fn who_comes_in_again_is_of_the_same_account() {
    let was = leaf(2, 3, 1);
    let device = *was.device.as_ref().unwrap().device();
    let (account, number) = (AccountKey::from_seed(&[5; 32]), DeviceNumber::new(1));
    let other = account.certify(&device, number, UnixTime::new(1), "").unwrap();
    let other = Member::new(LeafNumber::new(2), Some(other));
    let case = Case { added: vec![other], removed: vec![was], ..Case::default() };
    let wrongs = [Wrong::Added(Some(device)), Wrong::Removed(key(3))];
    assert_eq!(case.judge(4).wrongs, wrongs);
    assert!(case.allows(1));
}

/// CNV-14: who removes others stands above them; who leaves may be removed by anybody.
#[test]
fn removals_follow_the_roles() {
    let of = |account: u8| Case {
        removed: vec![leaf(u32::from(account) - 1, account, 1)],
        ..Case::default()
    };
    assert_eq!([1, 2, 4].map(|by| of(3).allows(by)), [true, true, false]);
    assert_eq!([1, 3].map(|by| of(2).allows(by)), [true, false]);
    assert!(!of(1).allows(2));
    let leaves = Case { leaving: BTreeSet::from([key(3)]), ..of(3) };
    assert!(leaves.allows(4));
    let device = *of(2).removed[0].device.as_ref().unwrap().device();
    let intruder = Case { muted: BTreeSet::from([device]), ..of(2) };
    assert!(intruder.allows(2) && !intruder.allows(3));
}

/// CNV-14: what an editor may not change stays as it was, the rest of the same commit holds.
#[test]
fn changes_follow_the_roles_one_by_one() {
    let case = asked(|state| {
        state.name = "new".to_owned();
        state.policy = Policy { writers: Who::Administrators, ..state.policy };
    });
    let verdict = case.judge(3);
    assert_eq!(verdict.wrongs, [Wrong::State]);
    assert_eq!((verdict.state.name.as_str(), verdict.state.policy), ("new", group().policy));
    assert!(case.allows(2));
    let timer = asked(|state| state.timer = Some(Seconds::new(60)));
    let mut closed = group();
    closed.policy.editors = Who::Administrators;
    assert!(timer.allows(3));
    assert!(!Case { state: Some(closed), ..timer }.allows(3));
}

/// CNV-14: the owner gives roles, administrators make members administrators, everybody steps down.
#[test]
fn roles_are_given_from_above() {
    let up = asked(|state| state.set_role(key(3), Role::Administrator));
    assert_eq!([1, 2, 3, 4].map(|by| up.allows(by)), [true, true, false, false]);
    let own = asked(|state| state.set_role(key(3), Role::Owner));
    assert_eq!([1, 2].map(|by| own.allows(by)), [true, false]);
    let down = asked(|state| state.set_role(key(2), Role::Member));
    assert_eq!([1, 2, 3].map(|by| down.allows(by)), [true, true, false]);
}

/// CNV-13, CNV-14. Once an administrator who named another one and left one out that only the owner
/// may stopped every member: there were more of them than can be kept.
#[test]
fn what_cannot_be_kept_is_not_agreed_on() {
    let mut before = group();
    let others: Vec<u8> = (5..).take(GROUP_OFFICERS - 2).collect();
    for account in &others {
        before.set_role(key(*account), Role::Administrator);
    }
    let mut asked = before.clone();
    asked.set_role(key(3), Role::Administrator);
    asked.set_role(key(5), Role::Member);
    asked.name = "new".to_owned();
    let added = others.iter().map(|account| leaf((*account).into(), *account, 1)).collect();
    let (state, asked) = (Some(before.clone()), Some(asked));
    let case = Case { state, added, asked, ..Case::default() };
    assert!(case.allows(1));
    let verdict = case.judge(2);
    assert_eq!((verdict.wrongs, verdict.state), (vec![Wrong::State], before));
}

/// CNV-14: when the owner leaves the role passes on, to the same account for everybody.
#[test]
fn the_last_owner_passes_the_role_on() {
    let leaves = Case { removed: vec![leaf(0, 1, 1)], ..Case::default() };
    let verdict = leaves.judge(1);
    assert_eq!((verdict.state.role(&key(1)), verdict.state.role(&key(2))), {
        (Role::Member, Role::Owner)
    });
    let both = Case { removed: vec![leaf(0, 1, 1), leaf(1, 2, 1)], ..Case::default() };
    assert_eq!(both.judge(1).state.role(&key(3)), Role::Owner);
}

/// CNV-14: kind, id and generation are never changed by a commit.
#[test]
fn a_group_stays_what_it_is() {
    for case in [
        asked(|state| state.kind = GroupKind::Group([8; 16])),
        asked(|state| state.kind = GroupKind::Direct),
        asked(|state| state.generation = 2),
    ] {
        let verdict = case.judge(1);
        assert_eq!((verdict.wrongs, verdict.state), (vec![Wrong::State], group()));
    }
}

/// CNV-14: in a conversation of two, both may do everything but let others in.
#[test]
fn two_people_are_equals() {
    let direct = || Some(GroupState::new(GroupKind::Direct, 1));
    let stranger = Case { state: direct(), added: vec![leaf(4, 5, 1)], ..Case::default() };
    assert!(!stranger.allows(1));
    let device = Case { state: direct(), added: vec![leaf(4, 2, 2)], ..Case::default() };
    assert!(device.allows(1));
    let removed = Case { state: direct(), removed: vec![leaf(1, 2, 1)], ..Case::default() };
    assert!(removed.allows(1));
    let mut timed = GroupState::new(GroupKind::Direct, 1);
    timed.timer = Some(Seconds::new(60));
    assert!(Case { state: direct(), asked: Some(timed), ..Case::default() }.allows(2));
}

/// CNV-14: a leaf without certificate may do nothing, and nobody may let one in.
#[test]
fn nobody_without_a_certificate_counts() {
    let nameless = Member::new(LeafNumber::new(4), None);
    let case = Case { added: vec![nameless], ..Case::default() };
    assert_eq!(case.judge(1).wrongs, [Wrong::Added(None)]);
}
