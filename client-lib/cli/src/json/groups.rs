//! Objects of conversations and of who is in them.

use restante_client::{Conversation, GroupMember, Policy, Role, Seconds, Who};
use serde::Serialize;

/// A conversation: a group, or with one contact.
#[derive(Serialize)]
pub(crate) struct ConversationLine<'a> {
    conversation: String,
    /// `direct`, `group`, `room` or `own`.
    kind: &'static str,
    name: &'a str,
    /// `invited`, `open`, `leaving`, `left`, `removed`, `broken` or `restored`.
    standing: &'static str,
    unread: u32,
    /// Seconds messages are kept after they were read; null: without end.
    timer: Option<u32>,
    /// This account's: `member`, `administrator` or `owner`.
    role: &'static str,
    /// Bytes of the picture; 0: there is none.
    picture: usize,
    policy: PolicyLine,
}

/// Who may do what: `everybody` or `administrators`.
#[derive(Serialize)]
struct PolicyLine {
    add: &'static str,
    write: &'static str,
    edit: &'static str,
}

impl<'a> From<&'a Conversation> for ConversationLine<'a> {
    fn from(of: &'a Conversation) -> Self {
        let Policy { adders, writers, editors } = of.policy;
        Self {
            conversation: of.id.to_string(),
            kind: of.kind.name(),
            name: &of.name,
            standing: of.standing.name(),
            unread: of.unread,
            timer: of.timer.map(Seconds::get),
            role: role_name(of.role),
            picture: of.picture.len(),
            policy: PolicyLine {
                add: who_name(adders),
                write: who_name(writers),
                edit: who_name(editors),
            },
        }
    }
}

/// A group and those who are in it.
#[derive(Serialize)]
pub(crate) struct GroupLine<'a> {
    #[serde(flatten)]
    group: ConversationLine<'a>,
    members: Vec<MemberLine<'a>>,
}

impl<'a> GroupLine<'a> {
    pub(crate) fn new(group: &'a Conversation, members: &'a [GroupMember]) -> Self {
        Self { group: group.into(), members: members.iter().map(MemberLine::from).collect() }
    }
}

/// Somebody in a group.
#[derive(Serialize)]
struct MemberLine<'a> {
    contact: String,
    name: &'a str,
    /// `member`, `administrator` or `owner`.
    role: &'static str,
    /// How many of their devices are in the group; 0 in a room: nobody knows.
    devices: u32,
    /// It is this account.
    me: bool,
}

impl<'a> From<&'a GroupMember> for MemberLine<'a> {
    fn from(member: &'a GroupMember) -> Self {
        Self {
            contact: member.id.to_string(),
            name: &member.nickname,
            role: role_name(member.role),
            devices: member.devices,
            me: member.is_me,
        }
    }
}

/// The stable name of a role.
const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Administrator => "administrator",
        Role::Owner => "owner",
    }
}

/// The stable name of those who may.
pub(crate) const fn who_name(who: Who) -> &'static str {
    match who {
        Who::Everybody => "everybody",
        Who::Administrators => "administrators",
    }
}
