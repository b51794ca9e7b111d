//! Tests of rooms: links, cards, posts, and the change of keys.

use restante_spec::address::RelayAddress;
use restante_spec::ids::{EnvelopeId, MailboxId, PublicKey, UnixTime};
use restante_spec::limits::{
    CONTENT_BYTES, PADDING_LADDER, ROOM_HOSTS, ROOM_LINK_CHARS, ROOM_NAME_BYTES, SEALED_CARD_BYTES,
};
use zeroize::Zeroizing;

use super::*;
use crate::error::Error;
use crate::identity::{AccountId, AccountKey, DeviceCertificate, DeviceKey, DeviceNumber};

const ENVELOPE: EnvelopeId = EnvelopeId::new([9; 16]);

struct Person {
    key: DeviceKey,
    certificate: DeviceCertificate,
}

impl Person {
    fn new(account: u8) -> Self {
        let key = DeviceKey::from_seed(&[account + 100; 32]);
        let (number, at) = (DeviceNumber::new(1), UnixTime::new(1));
        let account = AccountKey::from_seed(&[account; 32]);
        let certificate = account.certify(&key.public(), number, at, &"l".repeat(64)).unwrap();
        Self { key, certificate }
    }

    fn account(&self) -> AccountId {
        self.certificate.account()
    }

    fn post(&self, link: &RoomLink, body: &PostBody) -> Vec<u8> {
        link.key().unwrap().seal(&ENVELOPE, &self.key, &self.certificate, body).unwrap()
    }

    fn card(&self, salt: RoomSalt, info: &RoomInfo) -> Result<RoomCard, Error> {
        RoomCard::sign(&self.key, &self.certificate, salt, info.clone())
    }
}

fn relay(host: &str) -> RelayAddress {
    RelayAddress::new(PublicKey::new([1; 32]), host, 7443).unwrap()
}

fn link(host: &str) -> Result<RoomLink, Error> {
    let (room, number) = (MailboxId::new([2; 16]), RoomKeyNumber::new(7).unwrap());
    RoomLink::from_parts(relay(host), room, number, Zeroizing::new([3; 32]))
}

fn info(hosts: &[&Person]) -> RoomInfo {
    let hosts = hosts.iter().map(|host| host.account()).collect();
    RoomInfo { version: 1, name: "Amphitheatre".into(), hosts, audience_writes: true }
}

fn content(size: usize) -> PostBody {
    PostBody::Content(Zeroizing::new(vec![6; size]))
}

/// ROM-1: what was handed over is read back, keys included.
#[test]
fn link_round_trips() {
    for host in ["relay.example.org", "192.0.2.7", "2001:db8::1"] {
        let ours = link(host).unwrap();
        let theirs = RoomLink::parse(&ours.link()).unwrap();
        assert_eq!(theirs.link(), ours.link());
        assert_eq!((theirs.room(), theirs.number()), (ours.room(), ours.number()));
        let keys = |link: &RoomLink| (link.read_key().unwrap(), link.write_key().unwrap());
        let ((read, write), (theirs, _)) = (keys(&ours), keys(&theirs));
        assert_eq!(read.public(), theirs.public());
        assert_ne!(read.public(), write.public());
    }
    assert_eq!(format!("{:?}", link("h").unwrap()), "RoomLink(..)");
}

/// ROM-1: anything beside the one form is refused.
#[test]
fn other_forms_are_refused() {
    let link = link("h").unwrap().link().to_string();
    let zero = format!("{}/r1#{}", relay("h"), "A".repeat(70));
    let others = [
        link.replace("/r1#", "/r2#"),
        link.replace("/r1#", "/i1#"),
        link.replace("restante:", "https:"),
        format!("{link}A"),
        format!("{link}="),
        format!(" {link}"),
        link[..link.len() - 4].to_owned(),
        zero,
        String::new(),
    ];
    for other in others {
        assert!(RoomLink::parse(&other).is_err(), "{other}");
    }
}

/// ROM-2: a link stays below 200 characters; a host name that needs more is refused.
#[test]
fn link_is_bounded() {
    let longest = ROOM_LINK_CHARS - link("h").unwrap().link().len() + 1;
    assert_eq!(link(&"h".repeat(longest)).unwrap().link().len(), ROOM_LINK_CHARS);
    assert!(matches!(link(&"h".repeat(longest + 1)), Err(Error::TooLarge { .. })));
}

/// ROM-3: keys are derived for this room and this number; others have others.
#[test]
fn keys_depend_on_room_and_number() {
    let read = |room: u8, number| {
        let (room, number) = (MailboxId::new([room; 16]), RoomKeyNumber::new(number).unwrap());
        let link = RoomLink::from_parts(relay("h"), room, number, Zeroizing::new([3; 32]));
        link.unwrap().read_key().unwrap().public()
    };
    assert!(read(2, 7) != read(9, 7) && read(2, 7) != read(2, 8));
}

/// ROM-4, ROM-5: with the most it can hold the card has its one size, and opens with the link.
#[test]
fn card_opens_with_the_link() {
    let founder = Person::new(1);
    let (link, salt) = RoomLink::generate(relay("h"), founder.account()).unwrap();
    assert_eq!(link.room(), &salt.room_of(founder.account()));
    let others: Vec<_> = (2..).take(ROOM_HOSTS - 1).map(Person::new).collect();
    let all: Vec<_> = std::iter::once(&founder).chain(&others).collect();
    let full = RoomInfo { name: "n".repeat(ROOM_NAME_BYTES), ..info(&all) };
    for said in [full.clone(), RoomInfo { audience_writes: false, ..info(&[&founder]) }] {
        let card = founder.card(salt, &said).unwrap();
        let sealed = link.seal_card(&card).unwrap();
        assert_eq!(sealed.len(), SEALED_CARD_BYTES);
        let opened = RoomLink::parse(&link.link()).unwrap().open_card(&sealed).unwrap();
        assert_eq!((opened.info(), &opened), (&said, &card));
        assert_eq!(opened.founder(), &founder.certificate);
    }
    let nobody = Person::new(99);
    let past = [
        RoomInfo { name: "n".repeat(ROOM_NAME_BYTES + 1), ..info(&all) },
        info(&[&all[..], &[&nobody]].concat()),
        info(&[&nobody]),
        info(&[]),
        RoomInfo { name: "two\nlines".into(), ..info(&all) },
        RoomInfo { name: "a\u{202e}b".into(), ..info(&all) },
    ];
    for said in past {
        assert!(founder.card(salt, &said).is_err(), "{said:?}");
    }
}

/// ROM-5: a changed card, one cut off, or one of another link does not open.
#[test]
fn changed_card_is_refused() {
    let founder = Person::new(1);
    let (link, salt) = RoomLink::generate(relay("h"), founder.account()).unwrap();
    let card = founder.card(salt, &info(&[&founder])).unwrap();
    let sealed = link.seal_card(&card).unwrap();
    for at in [0, 30, SEALED_CARD_BYTES - 1] {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(link.open_card(&changed), Err(Error::Undecryptable));
    }
    assert!(link.open_card(&sealed[1..]).is_err());
    assert_eq!(link.rotate().unwrap().open_card(&sealed), Err(Error::Undecryptable));
    for size in 0..card.as_bytes().len() {
        assert!(RoomCard::parse(link.room(), &card.as_bytes()[..size]).is_err(), "{size}");
    }
    for bit in 0..card.as_bytes().len() * 8 {
        let mut changed = card.as_bytes().to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(RoomCard::parse(link.room(), &changed).is_err(), "bit {bit}");
    }
}

/// ROM-6: nobody but the founder makes the room's card, whoever has the link.
#[test]
fn card_is_of_the_founder() {
    let (founder, host) = (Person::new(1), Person::new(2));
    let (link, salt) = RoomLink::generate(relay("h"), founder.account()).unwrap();
    let card = founder.card(salt, &info(&[&founder, &host])).unwrap();
    assert!(card.is_host(host.account()) && !card.is_host(Person::new(3).account()));
    let own = host.card(salt, &info(&[&host])).unwrap();
    assert_eq!(link.seal_card(&own), Err(Error::WrongAccount));
    assert_eq!(RoomCard::parse(link.room(), own.as_bytes()), Err(Error::WrongAccount));
    // With the founder's certificate and another's signature.
    let said = info(&[&founder, &host]);
    let forged = RoomCard::sign(&host.key, &founder.certificate, salt, said).unwrap();
    assert_eq!(RoomCard::parse(link.room(), forged.as_bytes()), Err(Error::BadSignature));
}

/// ROM-6: an older card, or another with the same version, does not take the place of a known one.
#[test]
fn older_card_is_refused() {
    let founder = Person::new(1);
    let salt = RoomSalt::new([5; 16]);
    let card = |version, name: &str| {
        let said = RoomInfo { version, name: name.into(), ..info(&[&founder]) };
        founder.card(salt, &said).unwrap()
    };
    let known = card(2, "a");
    assert_eq!(card(2, "a").may_follow(&known), Ok(()));
    assert_eq!(card(3, "b").may_follow(&known), Ok(()));
    for (version, other) in [(1, card(1, "a")), (2, card(2, "b"))] {
        let old = Error::OldRoomCard { version, known: 2 };
        assert_eq!(other.may_follow(&known), Err(old));
    }
}

/// ROM-7, ROM-8: a post opens as sealed, has a size of the ladder, names its author.
#[test]
fn post_round_trips() {
    let (author, link) = (Person::new(1), link("h").unwrap());
    for size in [0, 100, 1_000, CONTENT_BYTES] {
        let post = author.post(&link, &content(size));
        assert!(PADDING_LADDER.contains(&post.len()), "{size} {}", post.len());
        let opened = link.key().unwrap().open(&ENVELOPE, &post).unwrap();
        assert_eq!((&opened.author, opened.body), (&author.certificate, content(size)));
    }
    let key = link.key().unwrap();
    let past = key.seal(&ENVELOPE, &author.key, &author.certificate, &content(64_800));
    assert!(matches!(past, Err(Error::TooLarge { .. })));
    assert_eq!(format!("{key:?} {:?}", content(3)), "RoomKey(7) Content(3 bytes)");
    let next = link.announcement();
    assert_eq!(format!("{next:?}"), "Next(7)");
}

/// ROM-7: a post cannot be moved to another envelope, room or key, nor changed.
#[test]
fn post_is_bound_to_its_place() {
    let (author, link) = (Person::new(1), link("h").unwrap());
    let post = author.post(&link, &content(9));
    let key = link.key().unwrap();
    let moved = key.open(&EnvelopeId::new([8; 16]), &post);
    assert_eq!(moved, Err(Error::Undecryptable));
    for at in [4, 28, post.len() - 1] {
        let mut changed = post.clone();
        changed[at] ^= 1;
        assert_eq!(key.open(&ENVELOPE, &changed), Err(Error::Undecryptable));
    }
    let (room, seed) = (MailboxId::new([9; 16]), link.seed());
    let other = RoomLink::from_parts(relay("h"), room, link.number(), seed).unwrap();
    assert_eq!(other.key().unwrap().open(&ENVELOPE, &post), Err(Error::Undecryptable));
    for size in 0..post.len() {
        assert!(key.open(&ENVELOPE, &post[..size]).is_err(), "{size}");
    }
}

/// ROM-8: whoever reads could seal, but not sign for another.
#[test]
fn post_is_of_its_author() {
    let (author, forger, link) = (Person::new(1), Person::new(2), link("h").unwrap());
    let key = link.key().unwrap();
    let forged = key.seal(&ENVELOPE, &forger.key, &author.certificate, &content(9)).unwrap();
    assert_eq!(key.open(&ENVELOPE, &forged), Err(Error::BadSignature));
}

/// ROM-9: a host's post gives everybody the next link; nobody else's does.
#[test]
fn hosts_replace_the_key() {
    let (founder, guest) = (Person::new(1), Person::new(2));
    let (link, salt) = RoomLink::generate(relay("h"), founder.account()).unwrap();
    let card = founder.card(salt, &info(&[&founder])).unwrap();
    let next = link.rotate().unwrap();
    assert_eq!(next.number().get(), 2);
    let read = |by: &Person, body: &PostBody| {
        let post = by.post(&link, body);
        link.key().unwrap().open(&ENVELOPE, &post).unwrap()
    };
    let followed = link.follow(&card, &read(&founder, &next.announcement())).unwrap().unwrap();
    assert_eq!(followed.link(), next.link());
    let refused = link.follow(&card, &read(&guest, &next.announcement()));
    assert_eq!(refused.err(), Some(Error::WrongAccount));
    assert!(link.follow(&card, &read(&guest, &content(3))).unwrap().is_none());
    assert_eq!(next.open_card(&next.seal_card(&card).unwrap()), Ok(card));
}

/// Once a host could post the last number there is, and nobody replaced the key any more (ROM-9).
#[test]
fn posted_rotation_has_the_next_number() {
    let founder = Person::new(1);
    let (link, salt) = RoomLink::generate(relay("h"), founder.account()).unwrap();
    let card = founder.card(salt, &info(&[&founder])).unwrap();
    let follow = |number: u32| {
        let number = RoomKeyNumber::new(number).unwrap();
        let next = PostBody::Next { number, seed: Zeroizing::new([3; 32]) };
        let post = founder.post(&link, &next);
        let post = link.key().unwrap().open(&ENVELOPE, &post).unwrap();
        link.follow(&card, &post).err()
    };
    let refused = Some(Error::Malformed { what: "rotation" });
    assert_eq!([2, 3, u32::MAX].map(follow), [None, refused.clone(), refused]);
}

/// ROM-11: a card that is posted is the founder's, whoever posts it, and follows the one before it.
#[test]
fn card_is_posted() {
    let (founder, guest) = (Person::new(1), Person::new(2));
    let (link, salt) = RoomLink::generate(relay("h"), founder.account()).unwrap();
    let said = RoomInfo { audience_writes: false, version: 2, ..info(&[&founder]) };
    let (first, second) = (founder.card(salt, &info(&[&founder])), founder.card(salt, &said));
    let (first, second) = (first.unwrap(), second.unwrap());
    let post = guest.post(&link, &PostBody::Card(second.as_bytes().to_vec()));
    let opened = link.key().unwrap().open(&ENVELOPE, &post).unwrap();
    let PostBody::Card(bytes) = &opened.body else { panic!("{opened:?}") };
    let read = RoomCard::parse(link.room(), bytes).unwrap();
    assert_eq!(read.info(), &said);
    assert_eq!(read.may_follow(&first), Ok(()));
    assert!(first.may_follow(&read).is_err());
    assert!(link.follow(&first, &opened).unwrap().is_none());
}

/// ROM-10: a key that was replaced is not taken again, in a link, a rotation or a post.
#[test]
fn replaced_keys_are_refused() {
    let founder = Person::new(1);
    let (first, salt) = RoomLink::generate(relay("h"), founder.account()).unwrap();
    let card = founder.card(salt, &info(&[&founder])).unwrap();
    let (second, other) = (first.rotate().unwrap(), first.rotate().unwrap());
    assert_eq!(second.may_follow(&first), Ok(()));
    assert_eq!(second.may_follow(&second), Ok(()));
    let old = |number| Some(Error::OldRoomKey { number, known: 2 });
    assert_eq!(first.may_follow(&second).err(), old(1));
    assert_eq!(other.may_follow(&second).err(), old(2));
    assert_eq!(link("h").unwrap().may_follow(&first), Err(Error::WrongAccount));
    let post = founder.post(&second, &other.announcement());
    let post = second.key().unwrap().open(&ENVELOPE, &post).unwrap();
    assert_eq!(second.follow(&card, &post).err(), old(2));
    let late = founder.post(&first, &content(3));
    assert_eq!(second.key().unwrap().open(&ENVELOPE, &late).err(), old(1));
    let early = founder.post(&second, &content(3));
    assert_eq!(first.key().unwrap().open(&ENVELOPE, &early).err(), Some(Error::NotForUs));
    let (room, seed) = (*first.room(), Zeroizing::new([3; 32]));
    let last = RoomKeyNumber::new(u32::MAX).unwrap();
    let last = RoomLink::from_parts(relay("h"), room, last, seed).unwrap();
    assert!(matches!(last.rotate(), Err(Error::TooLarge { .. })));
}

/// ROM-8, ROM-9: a kind that is not known, key 0, or a rotation of another size is refused.
#[test]
fn other_bodies_are_refused() {
    let next = |number: u32, seed: &[u8]| [&[2], &number.to_be_bytes()[..], seed].concat();
    assert!(PostBody::decode(&next(1, &[3; 32])).is_ok());
    for other in [next(0, &[3; 32]), next(1, &[3; 31]), next(1, &[3; 33]), Vec::new()] {
        let refused = PostBody::decode(&other);
        assert_eq!(refused, Err(Error::Malformed { what: "post" }), "{other:?}");
    }
    assert_eq!(PostBody::decode(&[4, 1]), Err(Error::Unsupported { what: "post" }));
}
