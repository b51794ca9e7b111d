//! Whom and what a person means by a word: a name in any case, or the beginning of an id.
//!
//! Knows names and ids; must not choose between several that fit.

use restante_spec::text::seen_as;

use super::Engine;
use crate::error::Error;
use crate::types::{Contact, Conversation, ConversationId, GroupMember, Match};

impl Engine {
    /// A contact.
    pub(crate) fn find_contact(&self, who: &str) -> Result<Contact, Error> {
        let named = |contact: &Contact| Match::new(contact.id, &contact.nickname);
        one_of(self.contacts()?, who, named)?.ok_or(Error::NoSuchContact)
    }

    /// A conversation, by the name of the group or of the contact.
    pub(crate) fn find_conversation(&mut self, who: &str) -> Result<Conversation, Error> {
        let named = |one: &Conversation| Match::new(one.id, &one.name);
        one_of(self.conversations()?, who, named)?.ok_or(Error::NoSuchConversation)
    }

    /// Somebody who is in a conversation.
    pub(crate) fn find_member(
        &mut self,
        of: ConversationId,
        who: &str,
    ) -> Result<GroupMember, Error> {
        let named = |member: &GroupMember| Match::new(member.id, &member.nickname);
        one_of(self.group_members(of)?, who, named)?.ok_or(Error::NotAMember)
    }
}

/// The one that is called so; if none is, the one whose id begins so. `None`: nothing fits.
fn one_of<T>(all: Vec<T>, who: &str, named: impl Fn(&T) -> Match) -> Result<Option<T>, Error> {
    let (name, prefix) = (seen_as(who), who.trim().to_ascii_lowercase());
    let is_called = |one: &T| !name.is_empty() && seen_as(&named(one).name) == name;
    let (mut found, others): (Vec<T>, Vec<T>) = all.into_iter().partition(is_called);
    if found.is_empty() && prefix.len() >= ID_PREFIX {
        found = others.into_iter().filter(|one| named(one).id.starts_with(&prefix)).collect();
    }
    if found.len() > 1 {
        return Err(Error::Ambiguous { matches: found.iter().map(named).collect() });
    }
    Ok(found.pop())
}

/// Layout: digits of an id that are enough to ask for it.
const ID_PREFIX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn find(who: &str) -> Result<Option<Match>, Error> {
        let all =
            [("ab01", "Tea"), ("ab02", "tea"), ("ab03", "Bob"), ("cd0400", "ab03"), ("ef05", "")];
        let all = all.map(|(id, name)| Match::new(id, name)).to_vec();
        one_of(all, who, Match::clone)
    }

    fn id(who: &str) -> Option<String> {
        find(who).unwrap().map(|one| one.id)
    }

    /// A name counts before an id, in any case; an id counts from its fourth digit on.
    #[test]
    fn names_and_ids_are_found() {
        assert_eq!(id(" BOB "), Some("ab03".to_owned()));
        assert_eq!(id("ab03"), Some("cd0400".to_owned()));
        assert_eq!(id("CD04"), Some("cd0400".to_owned()));
        assert_eq!((id("cd0"), id("Carol"), id("")), (None, None, None));
    }

    /// Where several fit, all of them are listed and none is chosen.
    #[test]
    fn several_that_fit_are_listed() {
        let Err(Error::Ambiguous { matches }) = find("TEA") else { panic!("one was chosen") };
        let ids: Vec<&str> = matches.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["ab01", "ab02"]);
    }

    /// Once a sign that nobody sees made a name another one, and who typed what is seen did not
    /// hear of both.
    #[test]
    fn names_that_look_alike_are_all_listed() {
        let all = [("ab01", "Bob"), ("ab02", "Bob\u{2060}")].map(|(id, name)| Match::new(id, name));
        assert!(matches!(
            one_of(all.to_vec(), "bob", Match::clone),
            Err(Error::Ambiguous { matches }) if matches.len() == all.len()
        ));
    }
}
