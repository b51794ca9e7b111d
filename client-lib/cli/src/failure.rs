//! Why a command was not done, in words a person can use.
//!
//! Knows the SDK's errors and how to go on from each; must not print.

use restante_client::{ContactState, Error, Standing};

use crate::text;

/// A command that was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Stable, for programs.
    pub(crate) code: &'static str,
    /// Whether the same command may succeed later.
    pub(crate) retryable: bool,
    /// What happened and how to go on.
    pub(crate) text: String,
}

impl Failure {
    /// A failure of the app's own.
    pub(crate) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, retryable: false, text: text.into() }
    }

    /// The same, with other words.
    pub(crate) fn saying(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// The same, with more words.
    pub(crate) fn and(mut self, more: &str) -> Self {
        self.text.push_str(more);
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: error.code(), retryable: error.is_retryable(), text: words(&error) }
    }
}

/// What happened and how to go on.
fn words(error: &Error) -> String {
    let more = match error {
        Error::Locked { pid } => {
            return format!(
                "this home is in use by another restante (process {pid}); \
                 wait until it ends, or end it"
            );
        }
        Error::NoStore => {
            return "there is no account in this home yet; \
                    make one with: restante init --relay ADDRESS --name NICK"
                .to_owned();
        }
        Error::StoreExists => {
            return "there is an account in this home already; \
                    for another person name another home with --home DIR"
                .to_owned();
        }
        Error::NoSuchContact => "; restante contacts lists those you have",
        Error::NoSuchConversation => {
            "; restante contacts and restante group list show those you have"
        }
        Error::NotAGroup => "; restante group list shows those you are in",
        Error::NotARoom => "; restante room list shows those you read",
        Error::BadRoomLink => "; it begins with restante:// and has /r1# in it",
        Error::NotAMember => {
            return "nobody in this group is called that; restante group show GROUP lists them"
                .to_owned();
        }
        Error::NotAllowed => {
            "; restante group show GROUP, or restante room hosts ROOM, tells whom to ask"
        }
        Error::Ambiguous { matches } => {
            let ids =
                matches.iter().map(|one| format!("\n  {}  {}", one.id, text::one_line(&one.name)));
            return format!("{error}; say the beginning of one's id:{}", ids.collect::<String>());
        }
        Error::WrongState { state } => return not_in_this_state(*state).to_owned(),
        Error::WrongStanding { standing } => return not_so_standing(*standing).to_owned(),
        Error::WrongRelay => "; nothing was sent to it. Is the address right?",
        Error::TokenNeeded => {
            "; ask its operator for one, and give it with: restante sync --token TOKEN"
        }
        Error::TokenRefused => {
            "; ask its operator for another, and give it with: restante sync --token TOKEN"
        }
        Error::FileExists => "; name another folder with: --to DIR",
        Error::BadPicture(_) => "; to send it as it is: restante attach --keep-metadata",
        Error::NotLinked => "; go on with: restante device confirm",
        Error::NoLink => "; your first device does so with: restante device link CODE",
        Error::NoSuchDevice => "; restante device list shows those there are",
        Error::Cloned => {
            "; link it anew with: restante device relink; \
             if it is your first device, make a new account in a new home"
        }
        Error::FirstDevice => "; make a new account in a new home",
        _ => "",
    };
    format!("{error}{more}")
}

/// Why nothing can be done with a contact in this state.
const fn not_in_this_state(state: ContactState) -> &'static str {
    match state {
        ContactState::Invited => {
            "your first letter to them has not left this device yet; restante sync sends it"
        }
        ContactState::Requested => "they have not accepted your request yet",
        ContactState::Incoming => {
            "they have asked to get in touch; decide first with: \
             restante contacts accept WHO, or decline WHO"
        }
        ContactState::Active => "you are in touch with them already",
        ContactState::Ended => "the conversation with them has ended; a new invite begins anew",
        ContactState::Declined => "the request was declined; a new invite begins anew",
        ContactState::Blocked => "you have blocked them; a new invite begins anew",
    }
}

/// Why nothing can be done in a conversation that stands so.
const fn not_so_standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Invited => {
            "you have not agreed to take part there yet; decide first with: \
             restante group accept GROUP, or decline GROUP; in a room: restante room accept ROOM"
        }
        Standing::Open => "you take part in this conversation already",
        Standing::Leaving => "you are leaving this group",
        Standing::Left => {
            "you have left; a group's member may add you again, a room's link leads in"
        }
        Standing::Removed => "you were removed from this group; a member may add you again",
        Standing::Broken => "this conversation cannot be read on",
        Standing::Restored => {
            "this conversation came from a recovery file: it can be read, and written in when \
             somebody in it has let this device in, with: restante readmit. In a group that only \
             you administer nobody can: restante reboot GROUP begins it anew"
        }
    }
}

#[cfg(test)]
mod tests {
    use restante_client::{Code, Match};

    use super::*;

    /// Programs get the SDK's code, people a way to go on.
    #[test]
    fn failures_say_how_to_go_on() {
        let locked = Failure::from(Error::Locked { pid: 4711 });
        assert_eq!((locked.code, locked.retryable), ("locked", true));
        assert!(locked.text.contains("4711"));
        assert!(Failure::from(Error::NoStore).text.contains("restante init"));
        let closed = Failure::from(Error::TokenNeeded);
        assert_eq!((closed.code, closed.retryable), ("token_needed", false));
        assert!(closed.text.contains("restante sync --token"));
        let spent = Failure::from(Error::TokenRefused);
        assert_eq!((spent.code, spent.retryable), ("token_refused", false));
        let asked = Failure::from(Error::WrongStanding { standing: Standing::Invited });
        assert_eq!(asked.code, "wrong_standing");
        assert!(asked.text.contains("restante group accept"));
        let full = Failure::from(Error::Refused(Code::Quota));
        assert_eq!((full.code, full.retryable), ("quota", true));
    }

    /// A nickname in a list of matches cannot write to the terminal.
    #[test]
    fn names_in_failures_are_harmless() {
        let one = Match { id: "0101".to_owned(), name: "\x1b[2JBob".to_owned() };
        let failure = Failure::from(Error::Ambiguous { matches: vec![one] });
        assert!(!failure.text.contains('\x1b'));
        assert!(failure.text.contains("0101"));
    }
}
