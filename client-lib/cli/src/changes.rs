//! What happened to a group, in plain words.
//!
//! Knows changes and names; must not print.

use restante_client::{GroupChange, Message};

use crate::durations;
use crate::names::Names;
use crate::text;

/// All that a commit did, in one line.
pub(crate) fn words(event: &Message, names: &Names) -> String {
    let by = event.author.map_or_else(|| "somebody".to_owned(), |author| names.of(author));
    let all: Vec<String> =
        event.changes.iter().map(|change| sentence(change, &by, names)).collect();
    all.join("; ")
}

fn sentence(change: &GroupChange, by: &str, names: &Names) -> String {
    match change {
        GroupChange::Added(who) => format!("{by} added {}", names.of(*who)),
        GroupChange::Removed(who) => format!("{by} removed {}", names.of(*who)),
        GroupChange::Left(who) => format!("{} left", names.of(*who)),
        GroupChange::Named(name) => {
            format!("{by} named the group \"{}\"", text::one_line(name))
        }
        GroupChange::Picture => format!("{by} changed the picture of the group"),
        GroupChange::Timer(0) => format!("{by} set messages to be kept without end"),
        GroupChange::Timer(seconds) => {
            let time = durations::words(*seconds);
            format!("{by} set messages to disappear {time} after they were read")
        }
        GroupChange::Policy => format!("{by} changed who may do what"),
        GroupChange::Role(who, role) => {
            format!("{by} made {} {}", names.of(*who), role_words(role))
        }
        GroupChange::Verified(who, true) => format!("{by} verified {}", names.of(*who)),
        GroupChange::Verified(who, false) => {
            format!("{by} took back that {} is verified", names.of(*who))
        }
        GroupChange::Audience(true) => format!("{by} gave the audience the word"),
        GroupChange::Audience(false) => format!("{by} took the word from the audience"),
        GroupChange::Host(who, true) => format!("{by} made {} a host", names.of(*who)),
        GroupChange::Host(who, false) => {
            format!("{by} made {} a reader like others", names.of(*who))
        }
        GroupChange::Key => format!("{by} replaced the key of the room"),
        GroupChange::Improper => {
            "somebody did what their role does not allow; it does not count".to_owned()
        }
        GroupChange::Restarted => "this conversation was begun anew".to_owned(),
        _ => format!("{by} did something that needs a newer version to be shown"),
    }
}

/// A role, with its article.
fn role_words(role: &str) -> String {
    match role {
        "owner" => "an owner".to_owned(),
        "administrator" => "an administrator".to_owned(),
        "member" => "a member like others".to_owned(),
        other => text::one_line(other),
    }
}

#[cfg(test)]
mod tests {
    use restante_client::ContactId;

    use super::*;
    use crate::names::tests::names;

    /// Each change has words, and text of others has no power in them.
    #[test]
    fn changes_have_words() {
        let names = names(&[(2, "Bob"), (3, "Carol")]);
        let (me, carol) = (ContactId::new([1; 16]), ContactId::new([3; 16]));
        for (change, words) in [
            (GroupChange::Added(carol), "Bob added Carol"),
            (GroupChange::Removed(me), "Bob removed you"),
            (GroupChange::Left(carol), "Carol left"),
            (GroupChange::Named("T\x1bea".to_owned()), "Bob named the group \"T\u{fffd}ea\""),
            (GroupChange::Picture, "Bob changed the picture of the group"),
            (GroupChange::Timer(0), "Bob set messages to be kept without end"),
            (
                GroupChange::Timer(3_600),
                "Bob set messages to disappear 1 hour after they were read",
            ),
            (GroupChange::Policy, "Bob changed who may do what"),
            (GroupChange::Restarted, "this conversation was begun anew"),
            (GroupChange::Role(me, "owner".to_owned()), "Bob made you an owner"),
            (GroupChange::Audience(true), "Bob gave the audience the word"),
            (GroupChange::Audience(false), "Bob took the word from the audience"),
            (GroupChange::Host(carol, true), "Bob made Carol a host"),
            (GroupChange::Host(me, false), "Bob made you a reader like others"),
            (GroupChange::Key, "Bob replaced the key of the room"),
            (
                GroupChange::Improper,
                "somebody did what their role does not allow; it does not count",
            ),
        ] {
            assert_eq!(sentence(&change, "Bob", &names), words);
        }
    }
}
