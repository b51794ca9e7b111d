//! Rooms: links with their cards, and posts.

use restante_crypto::{
    AccountKey, DeviceCertificate, DeviceKey, DeviceNumber, Error, PostBody, RoomCard, RoomInfo,
    RoomKeyNumber, RoomLink, RoomSalt, hazmat,
};
use restante_spec::address::RelayAddress;
use restante_spec::ids::{EnvelopeId, PublicKey, UnixTime};
use zeroize::Zeroizing;

use crate::cases::Case;

const SALT: RoomSalt = RoomSalt::new([41; 16]);
const NONCE: [u8; 24] = [42; 24];
const ENVELOPE: EnvelopeId = EnvelopeId::new([43; 16]);

pub(crate) fn cases() -> Result<Vec<Case>, Error> {
    Ok([cards()?, posts()?].concat())
}

fn person(account: u8) -> Result<(DeviceKey, DeviceCertificate), Error> {
    let key = DeviceKey::from_seed(&[account + 100; 32]);
    let (at, number) = (UnixTime::new(1_800_000_000), DeviceNumber::new(1));
    let account = AccountKey::from_seed(&[account; 32]);
    let certificate = account.certify(&key.public(), number, at, "phone")?;
    Ok((key, certificate))
}

/// A link to the room of person 1, with this number.
fn link(number: u32) -> Result<RoomLink, Error> {
    let malformed = Error::Malformed { what: "vector" };
    let relay = RelayAddress::new(PublicKey::new([44; 32]), "relay.example.org", 7443);
    let relay = relay.map_err(|_| malformed.clone())?;
    let number = RoomKeyNumber::new(number).ok_or(malformed)?;
    let room = SALT.room_of(AccountKey::from_seed(&[1; 32]).id());
    RoomLink::from_parts(relay, room, number, Zeroizing::new([45; 32]))
}

fn card(name: &str, hosts: &[u8], audience_writes: bool) -> Result<RoomCard, Error> {
    let (key, certificate) = person(1)?;
    let hosts = hosts.iter().map(|&host| AccountKey::from_seed(&[host; 32]).id()).collect();
    let info = RoomInfo { version: 5, name: name.to_owned(), hosts, audience_writes };
    RoomCard::sign(&key, &certificate, SALT, info)
}

fn cards() -> Result<Vec<Case>, Error> {
    let make = |name, comment, card: &RoomCard, number| {
        let link = link(number)?;
        let hosts: Vec<_> = card.info().hosts.iter().map(|host| *host.as_bytes()).collect();
        let case = Case::new("room", name, "ROM-5", comment)
            .with("link", link.link().as_bytes())
            .with("card", &hazmat::seal_room_card(&link, card, &NONCE)?)
            .with("read_key", link.read_key()?.public().as_bytes())
            .with("write_key", link.write_key()?.public().as_bytes())
            .with("version", &card.info().version.to_be_bytes())
            .with("settings", &[u8::from(card.info().audience_writes)])
            .with("name", card.info().name.as_bytes())
            .with("hosts", &hosts.concat());
        Ok::<_, Error>(case)
    };
    let good = make("card", "a room with two hosts", &card("Amphitheatre", &[1, 2], true)?, 1)?;
    let muted = card("", &[1], false)?;
    let muted = make("card-muted", "no name, the founder alone, audience muted", &muted, 7)?;
    let hosts: Vec<_> = (1..=16).collect();
    let full = card(&"n".repeat(128), &hosts, true)?;
    let full = make("card-full", "the most a card holds", &full, u32::MAX)?;

    let (host, certificate) = person(2)?;
    let info = RoomInfo {
        version: 6,
        name: "mine".to_owned(),
        hosts: vec![certificate.account()],
        audience_writes: true,
    };
    let usurped = RoomCard::sign(&host, &certificate, SALT, info.clone())?;
    let (_, founder) = person(1)?;
    let info = RoomInfo { hosts: vec![founder.account()], ..info };
    let forged = RoomCard::sign(&host, &founder, SALT, info)?;
    let seal = |card: &RoomCard| hazmat::seal_room_card(&link(1)?, card, &NONCE);
    let rotated = link(2)?.link();
    let failing = vec![
        good.failing("card-changed", "undecryptable", "one bit changed").flip("card", 100),
        good.failing("card-of-another-number", "undecryptable", "sealed for another link")
            .set("link", rotated.as_bytes()),
        good.failing("card-short", "malformed", "a byte too few").set("card", &[1; 2047]),
        good.failing("card-of-another", "wrong_account", "signed by a host, not the founder")
            .rule("ROM-6")
            .set("card", &seal(&usurped)?),
        good.failing("card-forged", "bad_signature", "the founder's certificate, a host's key")
            .rule("ROM-6")
            .set("card", &seal(&forged)?),
    ];
    let opened = ["read_key", "write_key", "version", "settings", "name", "hosts"];
    let failing = failing.into_iter().map(|case| case.without(&opened));
    Ok(failing.chain([good, muted, full]).collect())
}

fn posts() -> Result<Vec<Case>, Error> {
    let (key, certificate) = person(3)?;
    let (forger, _) = person(4)?;
    let (content, seed) = (Zeroizing::new(b"hello".to_vec()), Zeroizing::new([46; 32]));
    let content = PostBody::Content(content);
    let make = |name, comment, device: &DeviceKey, body: &PostBody, said: &[u8]| {
        let link = link(7)?;
        let room_key = link.key()?;
        let post = hazmat::seal_post(&room_key, &ENVELOPE, device, &certificate, body, &NONCE)?;
        let case = Case::new("room", name, "ROM-7", comment)
            .with("link", link.link().as_bytes())
            .with("envelope", ENVELOPE.as_bytes())
            .with("post", &post)
            .with("author", certificate.as_bytes())
            .with("said", said);
        Ok::<_, Error>(case)
    };
    let good = make("post", "a content", &key, &content, b"\x01hello")?;
    let number = RoomKeyNumber::new(8).ok_or(Error::Malformed { what: "vector" })?;
    let next = PostBody::Next { number, seed };
    let said = [&[2, 0, 0, 0, 8][..], &[46; 32]].concat();
    let rotation = make("rotation", "the next number and its seed", &key, &next, &said)?;
    let forged = make("forged", "", &forger, &content, b"\x01hello")?;
    let [earlier, later] = [link(6)?.link(), link(8)?.link()];
    let bad = "undecryptable";
    let failing = vec![
        good.failing("post-changed", bad, "one bit changed").flip("post", 100),
        good.failing("post-other-envelope", bad, "copied under another id").flip("envelope", 0),
        good.failing("post-renumbered", "not_for_us", "marked with a later key").flip("post", 0),
        good.failing("post-earlier-key", "not_for_us", "the reader does not have the key yet")
            .rule("ROM-10")
            .set("link", earlier.as_bytes()),
        good.failing("post-later-key", "old_key", "the reader knows that it was replaced")
            .rule("ROM-10")
            .set("link", later.as_bytes()),
        good.failing("post-short", "malformed", "shorter than its nonce")
            .set("post", &[0, 0, 0, 7]),
        forged.failing("post-forged", "bad_signature", "another device signed").rule("ROM-8"),
    ];
    let failing = failing.into_iter().map(|case| case.without(&["author", "said"]));
    Ok(failing.chain([rotation.rule("ROM-9"), good]).collect())
}
