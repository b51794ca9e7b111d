//! What the members of a conversation have agreed on (CNV-13): its kind, name, policy and roles.
//!
//! Knows form and bounds; must not know who may change what (CNV-14 is judged by clients).

use std::collections::BTreeMap;

use prost::Message;

use super::error::ContentError;
use crate::ids::{PublicKey, Seconds};
use crate::limits::{GROUP_NAME_BYTES, GROUP_OFFICERS, GROUP_PICTURE_BYTES};
use crate::text::misleads;

/// The generated types, named nowhere else.
#[expect(unreachable_pub, reason = "generated code is `pub` throughout")]
mod wire {
    include!(concat!(env!("OUT_DIR"), "/restante.group.v1.rs"));
}

/// The state of a group: equal for all members of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// What the conversation is, and what it is called in every generation.
    pub kind: GroupKind,
    /// How often it was begun, from 1.
    pub generation: u32,
    /// For people; may be empty.
    pub name: String,
    /// A small JPEG; may be empty.
    pub picture: Vec<u8>,
    /// How long a message is kept after it was read; `None`: without end.
    pub timer: Option<Seconds>,
    /// Who may do what.
    pub policy: Policy,
    /// The accounts that are more than members.
    pub officers: BTreeMap<PublicKey, Role>,
}

/// What a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupKind {
    /// Two people.
    Direct,
    /// Several people, under an id that stays when it is begun anew.
    Group([u8; 16]),
    /// The devices of one account.
    Own,
}

/// Who may do what in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Who may add members.
    pub adders: Who,
    /// Who may write.
    pub writers: Who,
    /// Who may change name, picture and timer.
    pub editors: Who,
}

/// Those who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// Administrators and owners.
    Administrators,
    /// All members.
    Everybody,
}

/// What an account is in a group; the larger one may more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// One of the members.
    Member,
    /// May remove members, and name further administrators.
    Administrator,
    /// May everything.
    Owner,
}

/// The largest kind in the layout (CNV-13).
const OWN: u32 = 3;
const WHAT: &str = "group state";

impl Default for Policy {
    /// Everybody writes, and changes name, picture and timer; administrators add.
    fn default() -> Self {
        Self { adders: Who::Administrators, writers: Who::Everybody, editors: Who::Everybody }
    }
}

impl Who {
    /// Whether an account with this role is one of them.
    #[must_use]
    pub fn includes(self, role: Role) -> bool {
        self == Self::Everybody || role >= Role::Administrator
    }
}

impl GroupState {
    /// A conversation at its first beginning, with nothing agreed on.
    #[must_use]
    pub fn new(kind: GroupKind, generation: u32) -> Self {
        Self {
            kind,
            generation,
            name: String::new(),
            picture: Vec::new(),
            timer: None,
            policy: Policy::default(),
            officers: BTreeMap::new(),
        }
    }

    /// What an account is here.
    #[must_use]
    pub fn role(&self, account: &PublicKey) -> Role {
        self.officers.get(account).copied().unwrap_or(Role::Member)
    }

    /// Gives an account a role.
    pub fn set_role(&mut self, account: PublicKey, role: Role) {
        if role == Role::Member {
            self.officers.remove(&account);
        } else {
            self.officers.insert(account, role);
        }
    }

    /// The bytes of the extension.
    ///
    /// # Errors
    /// [`ContentError`] for what no reader would take.
    pub fn encode(&self) -> Result<Vec<u8>, ContentError> {
        self.check()?;
        let (kind, id) = match self.kind {
            GroupKind::Direct => (1, Vec::new()),
            GroupKind::Group(id) => (2, id.to_vec()),
            GroupKind::Own => (OWN, Vec::new()),
        };
        let officers = self.officers.iter().map(|(account, role)| wire::Officer {
            account: account.as_bytes().to_vec(),
            role: if *role == Role::Owner { 3 } else { 2 },
        });
        let state = wire::GroupState {
            kind,
            id,
            generation: self.generation,
            name: self.name.clone(),
            picture: self.picture.clone(),
            timer: self.timer.map_or(0, Seconds::get),
            adders: who_number(self.policy.adders),
            writers: who_number(self.policy.writers),
            editors: who_number(self.policy.editors),
            officers: officers.collect(),
        };
        Ok(state.encode_to_vec())
    }

    /// Reads a state (CNV-13).
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        let malformed = ContentError::Malformed { what: WHAT };
        let state = wire::GroupState::decode(bytes).map_err(|_| malformed)?;
        let kind = match (state.kind, <[u8; 16]>::try_from(state.id.as_slice())) {
            (1, _) if state.id.is_empty() => GroupKind::Direct,
            (2, Ok(id)) => GroupKind::Group(id),
            (OWN, _) if state.id.is_empty() => GroupKind::Own,
            _ => return Err(malformed),
        };
        at_most("roles of a group", state.officers.len(), GROUP_OFFICERS)?;
        let mut officers = BTreeMap::new();
        for officer in &state.officers {
            let account = PublicKey::from_slice(&officer.account).ok_or(malformed)?;
            let role = match officer.role {
                2 => Role::Administrator,
                3 => Role::Owner,
                _ => return Err(malformed),
            };
            // One writing only: by rising account.
            if officers.last_key_value().is_some_and(|(last, _)| *last >= account) {
                return Err(malformed);
            }
            officers.insert(account, role);
        }
        let read = Self {
            kind,
            generation: state.generation,
            name: state.name,
            picture: state.picture,
            timer: (state.timer > 0).then_some(Seconds::new(state.timer)),
            policy: Policy {
                adders: who(state.adders)?,
                writers: who(state.writers)?,
                editors: who(state.editors)?,
            },
            officers,
        };
        read.check()?;
        Ok(read)
    }

    /// The bounds of both directions (CNV-13).
    fn check(&self) -> Result<(), ContentError> {
        // CNV-13
        at_most("name of a group", self.name.len(), GROUP_NAME_BYTES)?;
        at_most("picture of a group", self.picture.len(), GROUP_PICTURE_BYTES)?;
        at_most("roles of a group", self.officers.len(), GROUP_OFFICERS)?;
        let members = self.officers.values().any(|role| *role == Role::Member);
        if self.generation == 0 || members || misleads(&self.name) {
            return Err(ContentError::Malformed { what: WHAT });
        }
        Ok(())
    }
}

fn at_most(what: &'static str, size: usize, max: usize) -> Result<(), ContentError> {
    if size > max { Err(ContentError::TooLarge { what, size, max }) } else { Ok(()) }
}

const fn who_number(who: Who) -> u32 {
    match who {
        Who::Administrators => 1,
        Who::Everybody => 2,
    }
}

const fn who(number: u32) -> Result<Who, ContentError> {
    match number {
        1 => Ok(Who::Administrators),
        2 => Ok(Who::Everybody),
        _ => Err(ContentError::Malformed { what: WHAT }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> GroupState {
        let mut state = GroupState::new(GroupKind::Group([4; 16]), 2);
        state.name = "n".repeat(GROUP_NAME_BYTES);
        state.picture = vec![1; GROUP_PICTURE_BYTES];
        state.timer = Some(Seconds::new(60));
        state.policy.writers = Who::Administrators;
        for n in 0..GROUP_OFFICERS {
            let role = if n == 3 { Role::Owner } else { Role::Administrator };
            state.set_role(PublicKey::new([n as u8; 32]), role);
        }
        state
    }

    /// CNV-13: what was written is read back, at every bound; one past it is refused both ways.
    #[test]
    fn state_is_bounded_and_round_trips() {
        let state = full();
        assert_eq!(GroupState::decode(&state.encode().unwrap()), Ok(state));
        let past: [fn(&mut GroupState); 3] = [
            |state| state.name.push('n'),
            |state| state.picture.push(1),
            |state| state.set_role(PublicKey::new([99; 32]), Role::Administrator),
        ];
        for change in past {
            let mut state = full();
            change(&mut state);
            assert!(matches!(state.encode(), Err(ContentError::TooLarge { .. })));
        }
    }

    /// CNV-13: every other writing of it is refused.
    #[test]
    fn other_forms_are_refused() {
        let bad: [fn(&mut wire::GroupState); 10] = [
            |state| state.kind = 0,
            |state| state.kind = 4,
            |state| state.kind = 1,
            |state| state.id.push(0),
            |state| state.generation = 0,
            |state| state.name = "a\nb".to_owned(),
            |state| state.name = "a\u{202e}b".to_owned(),
            |state| state.writers = 3,
            |state| state.officers.swap(0, 1),
            |state| state.officers[0].role = 1,
        ];
        for change in bad {
            let mut state = wire::GroupState::decode(full().encode().unwrap().as_slice()).unwrap();
            change(&mut state);
            assert!(GroupState::decode(&state.encode_to_vec()).is_err(), "{state:?}");
        }
    }

    /// CNV-14: whoever is not named is a member; roles are ordered by what they may.
    #[test]
    fn roles_are_ordered() {
        let mut state = GroupState::new(GroupKind::Own, 1);
        let account = PublicKey::new([1; 32]);
        assert_eq!(state.role(&account), Role::Member);
        state.set_role(account, Role::Owner);
        assert!(state.role(&account) > Role::Administrator);
        state.set_role(account, Role::Member);
        assert!(state.officers.is_empty());
        assert!(Who::Everybody.includes(Role::Member));
        assert!(!Who::Administrators.includes(Role::Member));
    }
}
