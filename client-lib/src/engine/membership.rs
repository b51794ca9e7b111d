//! What a commit means for the people of a conversation: who came, who left, what was agreed on,
//! and what of it was not allowed (CNV-14).

use std::collections::BTreeSet;

use restante_crypto::Member;
use restante_spec::content::{Body, GroupKind, GroupState, InboxGrant, Person, Role, Roster};
use restante_spec::ids::{PublicKey, Seconds, Seq, UnixTime};
use restante_spec::message::Deliver;

use super::Work;
use super::commands::{account_of, cleaned_nickname, id_of_key};
use super::policy::{Act, Scene, Verdict, Wrong, judge, rank};
use crate::error::Error;
use crate::events::{Event, Notice};
use crate::limits::{LEAVE_DELAY, LEAVE_SPREAD, REPAIR_WAITS, ROSTER_TOLD};
use crate::store::{ConversationRow, InboxRef, LogRow, NewMessage, Wish};
use crate::types::{ContactState, ConversationId, Fate, GroupChange, MessageKind, Standing};

/// A commit that everybody has merged.
#[derive(Debug)]
pub(super) struct Merged {
    /// The committer's account.
    pub(super) committer: Option<PublicKey>,
    pub(super) added: Vec<Member>,
    pub(super) removed: Vec<Member>,
    /// The state of the group's context, if it was written anew.
    pub(super) state: Option<Vec<u8>>,
}

impl Work<'_> {
    /// Judges a commit and takes over what was allowed.
    pub(super) fn take_change(
        &mut self,
        log: &LogRow,
        envelope: &Deliver,
        merged: &Merged,
    ) -> Result<(), Error> {
        let mut conversation = self.db.need_conversation(log.conversation)?;
        let members = self.members(&log.mailbox)?;
        self.note_joined(log, envelope.seq, merged, &members)?;
        self.take_returned(log, merged, &members)?;
        self.forget_callers(log.conversation, &merged.added)?;
        if conversation.log != Some(log.mailbox) {
            // Nothing is agreed on any more in a log the conversation has left.
            return self.mute_late(&conversation, log, envelope.seq, merged);
        }
        let leaving = self.leaving(&conversation)?;
        let muted = self.db.muted(&log.mailbox, envelope.seq)?;
        let parties = self.parties(&conversation)?;
        // A context nobody can read is a change nobody may make.
        let asked = merged.state.as_deref().map(GroupState::decode);
        let unreadable = matches!(asked, Some(Err(_)));
        let asked = asked.and_then(Result::ok);
        let scene = Scene {
            before: &conversation.state,
            members: &members,
            leaving: &leaving,
            muted: &muted,
            parties: &parties,
        };
        let act = Act {
            committer: merged.committer,
            added: &merged.added,
            removed: &merged.removed,
            state: asked.as_ref(),
        };
        let mut verdict = judge(scene, act);
        if unreadable {
            verdict.wrongs.push(Wrong::State);
        }
        let changes = changes(&conversation.state, &verdict, merged, &members, &leaving);
        self.settle_wrongs(&conversation, log, envelope.seq, &verdict)?;
        self.take_admitted(log, &verdict.admitted)?;
        self.note_state(log, envelope.seq, &conversation.state, &verdict.state)?;
        conversation.state = verdict.state;
        self.db.put_conversation(&conversation)?;
        self.forget_absent(&conversation, log, &members)?;
        self.forget_joins(conversation.id, &merged.added)?;
        self.mute_struck(log, envelope.seq, &merged.added)?;
        self.remove_again(log, &merged.added)?;
        self.forget_recipients(conversation.id, &accounts(&merged.removed), &members)?;
        if conversation.is_group() {
            self.mute_in_left_logs(log, &accounts(&merged.removed), &members)?;
            self.put_event(log, envelope, merged.committer, &changes)?;
            self.tell_conversation(&conversation)?;
        }
        self.close_if_all_leave(&conversation, log)
    }

    /// What was not allowed is muted and shown; who may puts it right with the next commit.
    fn settle_wrongs(
        &mut self,
        conversation: &ConversationRow,
        log: &LogRow,
        seq: Seq,
        verdict: &Verdict,
    ) -> Result<(), Error> {
        if verdict.wrongs.is_empty() {
            return Ok(());
        }
        let parties = self.parties(conversation)?;
        let mine = rank(&verdict.state, &parties, self.account.id().key());
        for wrong in &verdict.wrongs {
            let wish = match wrong {
                Wrong::Added(Some(device)) => {
                    self.db.mute(&log.mailbox, device, seq)?;
                    Wish::RemoveDevice { device: *device.as_bytes() }
                }
                // Leaves without certificate, and what was agreed on, any commit puts right.
                Wrong::Added(None) | Wrong::State => Wish::Update,
                Wrong::Removed(_) => continue,
            };
            if mine >= Role::Administrator {
                self.db.put_wish(&log.mailbox, &wish, self.now)?;
            }
        }
        self.notice(Notice::Improper { conversation: conversation.id });
        Ok(())
    }

    /// Who was let in by who may is heard from here on, and not removed for what was before.
    fn take_admitted(&mut self, log: &LogRow, admitted: &[PublicKey]) -> Result<(), Error> {
        for device in admitted {
            // CNV-14
            self.db.unmute(&log.mailbox, device)?;
            let over = Wish::RemoveDevice { device: *device.as_bytes() };
            for wish in self.db.wishes(&log.mailbox)?.iter().filter(|it| it.what == over) {
                self.db.take_wish(wish.id)?;
            }
        }
        Ok(())
    }

    /// Nobody judges who lets whom into a log that a group has left: who was not in there before,
    /// and is not in the group, is not heard.
    fn mute_late(
        &mut self,
        conversation: &ConversationRow,
        log: &LogRow,
        seq: Seq,
        merged: &Merged,
    ) -> Result<(), Error> {
        let Some(now) = conversation.log.filter(|_| conversation.is_group()) else {
            return Ok(());
        };
        let here = accounts(&self.members_if_in(&now)?);
        for member in &merged.added {
            let (Some(account), Some(device)) = (account(member), &member.device) else { continue };
            let again = merged.removed.iter().any(|was| was.device.as_ref() == Some(device));
            // CNV-20
            if !again && !here.contains(&account) {
                self.db.mute(&log.mailbox, device.device(), seq)?;
            }
        }
        Ok(())
    }

    /// Who is in the group no more is not heard in the logs that it has left either, behind what
    /// has come of there.
    fn mute_in_left_logs(
        &mut self,
        log: &LogRow,
        removed: &[PublicKey],
        members: &[Member],
    ) -> Result<(), Error> {
        let mut gone = removed.to_vec();
        let here = accounts(members);
        gone.retain(|account| !here.contains(account));
        if gone.is_empty() {
            return Ok(());
        }
        for left in self.db.logs_of(log.conversation)? {
            if left.mailbox == log.mailbox {
                continue;
            }
            for member in self.members_if_in(&left.mailbox)? {
                let Some(device) = &member.device else { continue };
                // CNV-20
                if gone.contains(device.account().key()) {
                    self.db.mute(&left.mailbox, device.device(), left.cursor)?;
                }
            }
        }
        Ok(())
    }

    /// What was known of accounts that are in the group no more, and who wanted them out.
    fn forget_absent(
        &mut self,
        conversation: &ConversationRow,
        log: &LogRow,
        members: &[Member],
    ) -> Result<(), Error> {
        let here = accounts(members);
        let wishes = self.db.wishes(&log.mailbox)?;
        let comes = |known: &PublicKey| {
            wishes.iter().any(
                |w| matches!(&w.what, Wish::Add { account, .. } if account == known.as_bytes()),
            )
        };
        for known in self.db.members(conversation.id)? {
            if !here.contains(&known.account) && !comes(&known.account) {
                self.db.drop_member(conversation.id, &known.account)?;
            }
        }
        for wish in self.db.wishes(&log.mailbox)? {
            if let Wish::Remove { account } = wish.what
                && !here.contains(&PublicKey::new(account))
            {
                self.db.take_wish(wish.id)?;
            }
        }
        Ok(())
    }

    /// Who has asked to be in the group is there now (INV-6).
    fn forget_joins(&mut self, group: ConversationId, added: &[Member]) -> Result<(), Error> {
        for account in accounts(added) {
            let Some(mut contact) = self.db.contact(id_of_key(&account))? else { continue };
            let asked = contact.joins.as_ref().is_some_and(|joins| joins.group == group);
            if asked && contact.state == ContactState::Active {
                contact.joins = None;
                self.put_contact(&contact)?;
            }
        }
        Ok(())
    }

    /// Shows what happened, where it happened.
    pub(super) fn put_event(
        &mut self,
        log: &LogRow,
        envelope: &Deliver,
        by: Option<PublicKey>,
        changes: &[GroupChange],
    ) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let event = self.db.put_message(&NewMessage {
            id: envelope.id,
            conversation: log.conversation,
            place: Some(super::records::place_of(log, envelope)),
            author: by.as_ref().map(id_of_key),
            kind: MessageKind::Event,
            text: "",
            content: &crate::store::pack_changes(changes)?,
            at: self.now,
            fate: Fate::Received,
            reply_to: None,
            timer: None,
        })?;
        if let Some(event) = event {
            self.events.push(Event::Message(event));
        }
        Ok(())
    }

    /// Whose conversation it is, if it is no group.
    pub(super) fn parties(&self, conversation: &ConversationRow) -> Result<Vec<PublicKey>, Error> {
        let own = *self.account.id().key();
        Ok(match conversation.state.kind {
            GroupKind::Group(_) => Vec::new(),
            GroupKind::Own => vec![own],
            GroupKind::Direct => {
                let contact = self.db.need_contact(conversation.id.contact())?;
                vec![own, *account_of(&contact)?.key()]
            }
        })
    }

    /// Accounts that said they leave.
    fn leaving(&self, conversation: &ConversationRow) -> Result<BTreeSet<PublicKey>, Error> {
        let members = self.db.members(conversation.id)?;
        Ok(members.into_iter().filter(|m| m.leaves).map(|member| member.account).collect())
    }

    /// An account has said that it leaves: some member's device commits its removal. The leftmost
    /// one does it at once, the others only if that one is away.
    pub(super) fn take_leave(&mut self, log: &LogRow, who: &PublicKey) -> Result<(), Error> {
        let mut conversation = self.db.need_conversation(log.conversation)?;
        if *who == *self.account.id().key() {
            conversation.standing = Standing::Leaving;
            self.db.put_conversation(&conversation)?;
            self.tell_conversation(&conversation)?;
            return self.close_if_all_leave(&conversation, log);
        }
        let mut member = self.db.member(conversation.id, who)?;
        member.leaves = true;
        self.db.put_member(conversation.id, &member)?;
        let leaving = self.leaving(&conversation)?;
        let members = self.members(&log.mailbox)?;
        let staying = |member: &&Member| account(member).is_some_and(|a| !leaving.contains(&a));
        let first = members.iter().find(staying).map(|member| member.leaf);
        let not_before = if self.hasten_repairs(log, who)? {
            self.later(REPAIR_WAITS.first().copied().unwrap_or(LEAVE_DELAY), LEAVE_SPREAD)?
        } else if first == Some(self.own_leaf(&log.mailbox)?) {
            self.now
        } else {
            self.later(LEAVE_DELAY, LEAVE_SPREAD)?
        };
        let wish = Wish::Remove { account: *who.as_bytes() };
        self.db.put_wish(&log.mailbox, &wish, not_before)?;
        self.close_if_all_leave(&conversation, log)
    }

    /// Where all have said that they leave, nobody is left who would remove the last: the log ends.
    fn close_if_all_leave(&mut self, row: &ConversationRow, log: &LogRow) -> Result<(), Error> {
        // CNV-21
        if self.do_all_leave(row, log)? {
            self.db.put_wish(&log.mailbox, &Wish::Close { removes: false }, self.now)?;
        }
        Ok(())
    }

    /// Whether this account and every other in a group said that it leaves.
    pub(super) fn do_all_leave(
        &mut self,
        row: &ConversationRow,
        log: &LogRow,
    ) -> Result<bool, Error> {
        if row.standing != Standing::Leaving || row.log != Some(log.mailbox) {
            return Ok(false);
        }
        let (own, leaving) = (*self.account.id().key(), self.leaving(row)?);
        let members = accounts(&self.members(&log.mailbox)?);
        Ok(members.iter().all(|account| *account == own || leaving.contains(account)))
    }

    /// Tells those this device has just added who the others are, as far as it knows (CNT-10).
    pub(super) fn tell_roster(&mut self, log: &LogRow, merged: &Merged) -> Result<(), Error> {
        let conversation = self.db.need_conversation(log.conversation)?;
        let own = *self.account.id().key();
        let fresh = accounts(&merged.added);
        if !conversation.is_group() || fresh.iter().all(|account| *account == own) {
            return Ok(());
        }
        let mut people = Vec::new();
        for account in accounts(&self.members(&log.mailbox)?) {
            let member = self.db.member(conversation.id, &account)?;
            let nick = self.nickname_of(conversation.id, &account)?;
            if account == own || fresh.contains(&account) || nick.is_empty() {
                continue;
            }
            let inbox = match member.inbox {
                Some(InboxRef { relay, mailbox, key }) => {
                    Some(InboxGrant { relay: relay.parse()?, inbox: mailbox, key })
                }
                None => None,
            };
            people.push(Person { account, nick, inbox });
        }
        for roster in rosters(&people) {
            self.queue_body(conversation.id, &Body::Roster(roster))?;
        }
        Ok(())
    }

    /// Takes what an adder says of the others; what they have said themselves stays (CNT-10).
    pub(super) fn take_roster(&mut self, log: &LogRow, roster: &Roster) -> Result<(), Error> {
        let conversation = self.db.need_conversation(log.conversation)?;
        let here = accounts(&self.members(&log.mailbox)?);
        for person in &roster.people {
            let mut member = self.db.member(conversation.id, &person.account)?;
            if !member.nickname.is_empty() || !here.contains(&person.account) {
                continue;
            }
            member.nickname = cleaned_nickname(&person.nick);
            member.inbox = person.inbox.as_ref().map(InboxRef::from);
            self.db.put_member(conversation.id, &member)?;
        }
        self.tell_conversation(&conversation)
    }

    /// A time from now on, and a bit more at random.
    pub(super) fn later(&self, delay: Seconds, spread: Seconds) -> Result<UnixTime, Error> {
        let [spread_by] = restante_crypto::random_bytes::<1>()?;
        let spread = u64::from(spread_by) % u64::from(spread.get());
        Ok(UnixTime::new(self.now.after(delay).get() + spread))
    }

    /// This account's devices are in the group no more.
    pub(super) fn take_removal(&mut self, log: &LogRow) -> Result<(), Error> {
        let mut conversation = self.db.need_conversation(log.conversation)?;
        self.db.drop_wishes(&log.mailbox)?;
        conversation.standing = match conversation.standing {
            Standing::Leaving | Standing::Left => Standing::Left,
            Standing::Invited
            | Standing::Open
            | Standing::Removed
            | Standing::Broken
            | Standing::Restored => Standing::Removed,
        };
        self.db.put_conversation(&conversation)?;
        self.refuse_outbox(conversation.id, restante_spec::codes::Code::Revoked)?;
        self.tell_conversation(&conversation)
    }
}

/// The account of a leaf, if it has a certificate.
pub(super) fn account(member: &Member) -> Option<PublicKey> {
    member.device.as_ref().map(|device| *device.account().key())
}

/// The member that is this device.
pub(super) fn member_of<'m>(members: &'m [Member], device: &PublicKey) -> Option<&'m Member> {
    members.iter().find(|m| m.device.as_ref().is_some_and(|found| found.device() == device))
}

/// The accounts of leaves, each once, from the left.
pub(super) fn accounts(members: &[Member]) -> Vec<PublicKey> {
    let mut accounts = Vec::new();
    for account in members.iter().filter_map(account) {
        if !accounts.contains(&account) {
            accounts.push(account);
        }
    }
    accounts
}

/// Rosters that tell of all these, each of which fits a content.
fn rosters(people: &[Person]) -> impl Iterator<Item = Roster> {
    // CNT-10
    people.chunks(ROSTER_TOLD).map(|part| Roster { people: part.to_vec() })
}

/// What a person is told of a commit.
fn changes(
    before: &GroupState,
    verdict: &Verdict,
    merged: &Merged,
    members: &[Member],
    leaving: &BTreeSet<PublicKey>,
) -> Vec<GroupChange> {
    let now = &verdict.state;
    let here = accounts(members);
    let gone: Vec<PublicKey> = accounts(&merged.removed);
    let mut changes = Vec::new();
    for account in accounts(&merged.added) {
        let others = |member: &&Member| self::account(member) == Some(account);
        let fresh = members.iter().filter(others).all(|member| merged.added.contains(member));
        if fresh && !gone.contains(&account) {
            changes.push(GroupChange::Added(id_of_key(&account)));
        }
    }
    for account in gone.iter().filter(|account| !here.contains(account)) {
        let left = leaving.contains(account) || merged.committer == Some(*account);
        let who = id_of_key(account);
        changes.push(if left { GroupChange::Left(who) } else { GroupChange::Removed(who) });
    }
    if now.name != before.name {
        changes.push(GroupChange::Named(now.name.clone()));
    }
    if now.picture != before.picture {
        changes.push(GroupChange::Picture);
    }
    if now.timer != before.timer {
        changes.push(GroupChange::Timer(now.timer.map_or(0, Seconds::get)));
    }
    if now.policy != before.policy {
        changes.push(GroupChange::Policy);
    }
    for account in here {
        let role = now.role(&account);
        if role != before.role(&account) {
            let name = role_name(role).to_owned();
            changes.push(GroupChange::Role(id_of_key(&account), name));
        }
    }
    if !verdict.wrongs.is_empty() {
        changes.push(GroupChange::Improper);
    }
    changes
}

/// The stable name of a role.
const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Administrator => "administrator",
        Role::Owner => "owner",
    }
}

#[cfg(test)]
mod tests {
    use restante_spec::address::RelayAddress;
    use restante_spec::content::{Content, ContentHash, LogPosition};
    use restante_spec::ids::{EnvelopeId, MailboxId};
    use restante_spec::limits::{NICK_BYTES, ROSTER_PEOPLE};
    use zeroize::Zeroizing;

    use super::*;

    /// CNT-10. Once what is told of many whose relays have long names was more than a content
    /// holds: it could not be sent, and whoever had added somebody to such a group stopped.
    #[test]
    fn each_roster_fits_a_content() {
        let account = PublicKey::new([7; 32]);
        let relay = RelayAddress::new(account, &"r".repeat(253), u16::MAX).unwrap();
        let (inbox, key) = (MailboxId::new([1; 16]), Zeroizing::new([2; 32]));
        let inbox = Some(InboxGrant { relay, inbox, key });
        let people = vec![Person { account, nick: "n".repeat(NICK_BYTES), inbox }; ROSTER_PEOPLE];
        let mut told = 0;
        for roster in rosters(&people) {
            told += roster.people.len();
            let content = Content {
                id: EnvelopeId::new([3; 16]),
                counter: u64::MAX,
                previous: Some(ContentHash::new([4; 32])),
                random: [5; 16],
                seen: LogPosition { generation: u32::MAX, seq: Seq::new(u64::MAX) },
                log: None,
                at: UnixTime::new(1).into(),
                body: Body::Roster(roster),
            };
            assert!(content.encode().is_ok());
        }
        assert_eq!(told, people.len());
    }
}
