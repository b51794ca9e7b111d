//! Tests of what letters carry.

use super::*;
use crate::ids::LinkToken;
use crate::limits::{BODY_BYTES, DEVICES, SEALED_FILE_MIN, WELCOME_UNHEARD};

fn first(key_packages: usize) -> LetterContent {
    LetterContent::First(FirstLetter {
        devices: vec![1; 1_500],
        nick: "bob".into(),
        key_packages: vec![vec![2; 2_700]; key_packages],
        inbox: grant(),
        message: Some(FirstMessage { id: EnvelopeId::new([4; 16]), content: vec![5; 100] }),
    })
}

fn welcome(welcome: WelcomePart) -> LetterContent {
    LetterContent::Welcome(WelcomeLetter {
        devices: vec![1; 1_500],
        nick: "alice".into(),
        relay: grant().relay,
        mailbox: MailboxId::new([6; 16]),
        welcome,
        inbox: grant(),
        unheard: vec![PublicKey::new([7; 32]); 2],
    })
}

fn blob(size: u64) -> WelcomePart {
    WelcomePart::Blob(BlobRef {
        blob: BlobId::new([1; 16]),
        read_key: Zeroizing::new([2; 32]),
        key: Zeroizing::new([3; 32]),
        size,
    })
}

fn readd(key_packages: usize) -> LetterContent {
    LetterContent::Readd(ReaddLetter {
        mailbox: MailboxId::new([6; 16]),
        devices: vec![1; 1_500],
        key_packages: vec![vec![2; 2_700]; key_packages],
        after: LogPosition { generation: 1, seq: Seq::new(2) },
        inbox: Some(grant()),
    })
}

fn join(key_packages: usize, nick: &str) -> LetterContent {
    LetterContent::Join(JoinLetter {
        token: LinkToken::new([5; 16]),
        devices: vec![1; 1_500],
        nick: nick.to_owned(),
        key_packages: vec![vec![2; 2_700]; key_packages],
        inbox: grant(),
    })
}

fn link(nick: &str) -> LetterContent {
    let (devices, nick) = (vec![1; 1_500], nick.to_owned());
    LetterContent::Link(LinkLetter { devices, nick, inbox: grant() })
}

fn linked(key_packages: usize) -> LetterContent {
    let (devices, key_packages) = (vec![1; 1_500], vec![vec![2; 2_700]; key_packages]);
    LetterContent::Linked(LinkedLetter { devices, key_packages })
}

fn removed() -> LetterContent {
    LetterContent::Removed(RemovedLetter { mailbox: MailboxId::new([6; 16]) })
}

/// DEV-4, DEV-6: nickname and key packages are bounded, at the bound and one past it.
#[test]
fn letters_of_linking_are_bounded() {
    assert!(link(&"n".repeat(crate::limits::NICK_BYTES)).encode().is_ok());
    assert!(link(&"n".repeat(crate::limits::NICK_BYTES + 1)).encode().is_err());
    assert!(linked(DEVICES).encode().is_ok());
    assert!(linked(DEVICES + 1).encode().is_err() && linked(0).encode().is_err());
}

/// One of each kind of letter.
pub(super) fn each() -> Vec<LetterContent> {
    let unknown = LetterContent::Unknown { kind: 77, body: vec![0xff; 9] };
    let here = welcome(WelcomePart::Here(vec![8; 5_000]));
    vec![
        first(1),
        here,
        welcome(blob(90_000)),
        readd(2),
        join(1, "carol"),
        link("d"),
        linked(1),
        removed(),
        unknown,
    ]
}

/// CNT-2, CNT-6: every letter is read as it was written, one of an unknown kind too.
#[test]
fn letters_round_trip() {
    for letter in each().into_iter().chain([first(DEVICES), join(DEVICES, ""), readd(DEVICES)]) {
        assert_eq!(LetterContent::decode(&letter.encode().unwrap()), Ok(letter));
    }
    assert!(LetterContent::decode(&[]).is_err());
}

/// CNT-2, CNT-6: a letter past a bound, without a part it must have, or of a number that is taken
/// is refused.
#[test]
fn letters_past_their_bounds_are_refused() {
    let past = [first(0), first(DEVICES + 1), join(0, ""), join(DEVICES + 1, ""), join(1, "\n")];
    let past = past.into_iter().chain([readd(0), readd(DEVICES + 1)]);
    let welcomes = [welcome(WelcomePart::Here(vec![])), welcome(blob(BLOB_BYTES + 1))];
    let taken = [0, 1, 4, 7].map(|kind| LetterContent::Unknown { kind, body: vec![] });
    for letter in past.chain(welcomes).chain(taken) {
        assert!(letter.encode().is_err(), "{letter:?}");
    }
    assert!(welcome(blob(BLOB_BYTES)).encode().is_ok());
    assert!(LetterContent::decode(&vec![0; BODY_BYTES + 1]).is_err());
}

/// CNT-6, FIL-4: once the blob of a Welcome could have no bytes, and was waited for without end: it
/// has at least those of the smallest sealed file.
#[test]
fn a_welcome_lies_in_a_sealed_file() {
    for (size, is_one) in [(0, false), (SEALED_FILE_MIN - 1, false), (SEALED_FILE_MIN, true)] {
        assert_eq!(welcome(blob(size)).encode().is_ok(), is_one, "{size}");
    }
}

/// CNT-6: so many devices that are heard no more, and not one more.
#[test]
fn a_welcome_names_a_bounded_number_of_devices() {
    for (count, fits) in [(WELCOME_UNHEARD, true), (WELCOME_UNHEARD + 1, false)] {
        let LetterContent::Welcome(mut letter) = welcome(blob(90_000)) else { panic!("another") };
        letter.unheard = vec![PublicKey::new([7; 32]); count];
        assert_eq!(LetterContent::Welcome(letter).encode().is_ok(), fits);
    }
}

/// CNT-6: a Welcome is in the letter or in a blob, never in both.
#[test]
fn a_welcome_in_two_places_is_refused() {
    let mut both = welcome(blob(90_000)).encode().unwrap().to_vec();
    // Layout: kind (2 bytes), tag and length of the body (1 and 2), the body.
    let added = [0x2a, 1, 8];
    let longer = u16::try_from(both.len() - 5 + added.len()).unwrap();
    both[3..5].copy_from_slice(&[(longer as u8 & 0x7f) | 0x80, (longer >> 7) as u8]);
    both.extend(added);
    assert_eq!(LetterContent::decode(&both), Err(ContentError::Malformed { what: "welcome" }));
}

/// Nothing that people say or hold shows in `Debug` of letters.
#[test]
fn letters_do_not_show() {
    assert_eq!(format!("{:?}", grant()), "InboxGrant(..)");
    assert_eq!(format!("{:?}", blob(9)), "WelcomePart(..)");
    let shown = each().iter().take(8).map(|letter| format!("{letter:?}")).collect::<Vec<_>>();
    assert_eq!(
        shown,
        [
            "First(FirstLetter(1 key packages))",
            "Welcome(WelcomeLetter(..))",
            "Welcome(WelcomeLetter(..))",
            "Readd(ReaddLetter(..))",
            "Join(JoinLetter(1 key packages))",
            "Link(LinkLetter(..))",
            "Linked(LinkedLetter(1 key packages))",
            "Removed(RemovedLetter(..))",
        ]
    );
}
