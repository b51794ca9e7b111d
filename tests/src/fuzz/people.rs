//! What people's programs tell each other of themselves: texts that are typed in, identities.

use restante_client::{ContactId, MessageId};
use restante_crypto::{
    AccountKey, DeviceCertificate, DeviceKey, DeviceList, DeviceNumber, Invite, KemPublic,
    KemSecret, KeyPackage, LinkCode, RecoveryWords, RoomLink,
};
use restante_spec::address::RelayAddress;
use restante_spec::ids::UnixTime;
use restante_spec::token::{AdmissionToken, Entrance};
use restante_spec::vector::Vector;

use super::{Target, vectors};

pub(super) const TEXTS: Target =
    Target { name: "texts", run: texts, seeds: text_seeds, changes: 5000 };
pub(super) const IDENTITIES: Target =
    Target { name: "identities", run: identities, seeds: identity_seeds, changes: 300 };

/// Addresses, links, tokens, words, ids and vectors: what is read is written as it was.
fn texts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(address) = text.parse::<RelayAddress>() {
        let written = address.to_string();
        assert_eq!(written.parse::<RelayAddress>().as_ref(), Ok(&address), "TRN-3");
        let (host, port) = (address.host(), address.port());
        assert_eq!(RelayAddress::new(*address.identity(), host, port), Ok(address.clone()));
        assert_eq!(written, text.trim(), "TRN-3: an address has one form");
    }
    if let Ok(invite) = Invite::parse(text) {
        assert_eq!(*invite.link(), text, "INV-1");
    }
    if let Ok(code) = LinkCode::parse(text) {
        assert_eq!(*code.text(), text, "DEV-3");
        assert!(Invite::parse(text).is_err(), "DEV-3: a code is no invite");
    }
    if let Ok(room) = RoomLink::parse(text) {
        assert_eq!(*room.link(), text, "ROM-1");
    }
    if let Ok(id) = text.parse::<ContactId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(id) = text.parse::<MessageId>() {
        assert_eq!(id.to_string(), text);
    }
    typed(text);
    let _ = Vector::parse("fuzzed", text);
}

/// What people type: in any case, and with any space around it.
fn typed(text: &str) {
    if let Ok(token) = text.parse::<AdmissionToken>() {
        assert_eq!(token.reveal(), text.trim().to_ascii_lowercase(), "LIM-26");
    }
    if let Ok(entrance) = text.parse::<Entrance>() {
        assert_eq!(entrance.reveal().parse(), Ok(entrance), "ADM-2");
    }
    if let Ok(words) = RecoveryWords::parse(text) {
        let phrase = words.phrase().expect("REV-2: what was read can be written");
        let typed = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(*phrase, typed.to_ascii_lowercase(), "REV-2");
    }
}

fn text_seeds() -> Vec<Vec<u8>> {
    let key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    let code =
        "AgICAgICAgICAgICAgICAgMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDBAQEBAQEBAQEBAQEBAQEBA";
    let mut seeds = vec!["00112233445566778899aabbccddeeff".to_owned()];
    seeds.push("rule: A-1\nexpect: ok\ncomment: c\n\nframe: 00ff\n".to_owned());
    for host in ["relay.example.org:7443", "192.0.2.7:1", "[2001:db8::1]:65535", "h:80"] {
        seeds.push(format!("restante://{key}@{host}"));
        seeds.push(format!("restante://{key}@{host}/i1#{code}"));
        seeds.push(format!("restante://{key}@{host}/d1#{code}"));
        seeds.push(format!("restante://{key}@{host}/onuxq5dfmvxcaidmmv2hizlsom"));
        let room = code.get(..70).unwrap_or_default();
        seeds.push(format!("restante://{key}@{host}/r1#{room}"));
    }
    seeds.push("ONUXQ5DFMVXCAIDMMV2HIZLSOM".to_owned());
    let words = vectors("recovery", "words").into_iter();
    seeds.into_iter().map(String::into_bytes).chain(words).collect()
}

/// Certificates, device lists, keys and key packages: raw bytes, and what an account signs that
/// means no good.
fn identities(data: &[u8]) {
    if let Ok(certificate) = DeviceCertificate::parse(data) {
        assert_eq!(certificate.as_bytes(), data, "IDN-3: the bytes that were signed");
    }
    if let Ok(list) = DeviceList::parse(data) {
        assert_eq!(list.as_bytes(), data, "IDN-5: the bytes that were signed");
        assert_eq!(list.may_follow(&list), Ok(()), "IDN-7");
    }
    if let Ok(key) = KemPublic::from_slice(data) {
        assert_eq!(key.as_bytes().as_slice(), data);
    }
    let _ = KeyPackage::parse(data);
    signed(data);
}

/// Whatever an account signs is read back by others, or refused when it is signed.
fn signed(data: &[u8]) {
    let Some((numbers, label)) = data.split_first_chunk::<20>() else { return };
    let (created, rest) = numbers.split_first_chunk().expect("20 bytes");
    let (number, rest) = rest.split_first_chunk().expect("12 bytes");
    let version = u64::from_be_bytes(rest.try_into().expect("8 bytes"));
    let label = String::from_utf8_lossy(label);
    let (account, device) = (AccountKey::from_seed(&[1; 32]), DeviceKey::from_seed(&[2; 32]));
    let created = UnixTime::new(u64::from_be_bytes(*created));
    let number = DeviceNumber::new(u32::from_be_bytes(*number));
    let Ok(certificate) = account.certify(&device.public(), number, created, &label) else {
        return;
    };
    let read = DeviceCertificate::parse(certificate.as_bytes());
    assert_eq!(read.as_ref(), Ok(&certificate), "IDN-3: what was signed is read");
    let key = KemSecret::from_seed(&[3; 32]).public();
    let devices = [(certificate, device.sign_letter_key(&key, created))];
    let list = account.sign_list(version, &devices).expect("IDN-5: a list of one");
    assert_eq!(DeviceList::parse(list.as_bytes()).as_ref(), Ok(&list), "IDN-5");
}

fn identity_seeds() -> Vec<Vec<u8>> {
    let (account, device) = (AccountKey::from_seed(&[1; 32]), DeviceKey::from_seed(&[2; 32]));
    let (number, created) = (DeviceNumber::new(3), UnixTime::new(4));
    let certificate = account.certify(&device.public(), number, created, "my laptop");
    let certificate = certificate.expect("a short label");
    let key = KemSecret::from_seed(&[3; 32]).public();
    let signed = device.sign_letter_key(&key, created);
    let list = account.sign_list(5, &[(certificate.clone(), signed)]).expect("a list of one");
    vec![
        certificate.as_bytes().to_vec(),
        list.as_bytes().to_vec(),
        key.as_bytes().to_vec(),
        b"0123456789abcdefghijmy laptop".to_vec(),
    ]
}
