//! What the people of a conversation are called, looked up once for many messages.
//!
//! Knows nicknames and ids; must not print. A nickname is what somebody chose: where two chose what
//! looks the same, or one that means oneself, the id stands behind it.

use std::collections::{BTreeMap, BTreeSet};

use restante_client::{Client, ContactId, Conversation, ConversationKind, Error, Message, seen_as};

use crate::output::{called, short_id};

/// What this account is called by itself.
const ME: &str = "you";

/// The names of those who write in a conversation, fit for a terminal.
pub(crate) struct Names {
    me: ContactId,
    names: BTreeMap<ContactId, String>,
}

impl Names {
    /// Of contacts and, in a group or room, of those who are heard there.
    pub(crate) async fn look_up(client: &Client, of: &Conversation) -> Result<Self, Error> {
        let contacts = client.contacts().await?;
        let mut people: BTreeMap<ContactId, String> =
            contacts.into_iter().map(|contact| (contact.id, contact.nickname)).collect();
        if matches!(of.kind, ConversationKind::Group | ConversationKind::Room) {
            for member in client.members(of.id).await? {
                people.insert(member.id, member.nickname);
            }
        }
        Ok(Self::new(client.own_id().await?, people))
    }

    fn new(me: ContactId, mut people: BTreeMap<ContactId, String>) -> Self {
        people.remove(&me);
        let mut taken = BTreeSet::from([ME.to_owned()]);
        let mut twice = BTreeSet::new();
        for name in people.values().map(|name| seen_as(name)) {
            if !taken.insert(name.clone()) {
                twice.insert(name);
            }
        }
        let names = people.into_iter().map(|(id, name)| {
            let seen = seen_as(&name);
            let doubtful = !seen.is_empty() && twice.contains(&seen);
            let shown = called(&name, id);
            (id, if doubtful { format!("{shown} ({})", short_id(id)) } else { shown })
        });
        Self { me, names: names.collect() }
    }

    /// What an account is called.
    pub(crate) fn of(&self, who: ContactId) -> String {
        if who == self.me {
            return ME.to_owned();
        }
        self.names.get(&who).cloned().unwrap_or_else(|| called("", who))
    }

    /// Who wrote a message.
    pub(crate) fn author(&self, message: &Message) -> String {
        message.author.map_or_else(|| ME.to_owned(), |author| self.of(author))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const ME_ID: ContactId = ContactId::new([1; 16]);

    /// Names as they would be looked up; this account has the id of ones.
    pub(crate) fn names(people: &[(u8, &str)]) -> Names {
        let people =
            people.iter().map(|(id, name)| (ContactId::new([*id; 16]), (*name).to_owned()));
        Names::new(ME_ID, people.collect())
    }

    /// Nobody can be taken for another member, nor for oneself.
    #[test]
    fn doubtful_names_carry_an_id() {
        let names = names(&[(1, "Alice"), (2, "Bob"), (3, "bob"), (4, "You"), (5, "Carol\x1b[2J")]);
        let of = |id| names.of(ContactId::new([id; 16]));
        assert_eq!(of(1), "you");
        assert_eq!(of(2), "Bob (02020202)");
        assert_eq!(of(3), "bob (03030303)");
        assert_eq!(of(4), "You (04040404)");
        assert_eq!(of(5), "Carol\u{fffd}[2J");
        assert_eq!(of(6), "(06060606)");
    }

    /// Once a sign that nobody sees made a name another one: "you" and two of "Bob" were shown
    /// without an id.
    #[test]
    fn names_that_look_alike_carry_an_id() {
        let names = names(&[(2, "Bob"), (3, "Bob\u{2060}"), (4, "you\u{200b}"), (5, "\u{2060}")]);
        let of = |id| names.of(ContactId::new([id; 16]));
        assert_eq!(of(2), "Bob (02020202)");
        assert_eq!(of(3), "Bob\u{2060} (03030303)");
        assert_eq!(of(4), "you\u{200b} (04040404)");
        assert_eq!(of(5), "(05050505)");
    }
}
