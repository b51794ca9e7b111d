//! Endorsements, open and possession proofs, safety numbers.

use restante_crypto::{
    AccountId, BlobChallenge, Error, OpenChallenge, SafetyNumber, SigningKey, endorse,
    prove_possession, spki_hash,
};
use restante_spec::ids::{BlobId, MailboxId, Nonce, PublicKey, UnixTime};
use restante_spec::limits::ENDORSEMENT_MAX;

use crate::cases::Case;

const NOW: u64 = 1_800_000_000;

pub(crate) fn cases() -> Result<Vec<Case>, Error> {
    Ok([endorsements(), opens(), reads(), possessions(), safety()].concat())
}

fn endorsement(name: &'static str, comment: &'static str, not_after: u64) -> Case {
    let identity = SigningKey::from_seed(&[1; 32]);
    let spki = spki_hash(b"the public key of a certificate");
    let made = endorse(&identity, spki, UnixTime::new(not_after));
    Case::new("endorsement", name, "TRN-5", comment)
        .with("identity", identity.public().as_bytes())
        .with("spki", spki.as_bytes())
        .with("not_after", &not_after.to_be_bytes())
        .with("signature", made.signature.as_bytes())
        .with("now", &NOW.to_be_bytes())
}

fn endorsements() -> Vec<Case> {
    let week = NOW + u64::from(ENDORSEMENT_MAX.get());
    let good = endorsement("valid", "valid for another hour", NOW + 3_600);
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut forged = [0; 64];
    forged[0] = 1;
    let past = endorsement("expired", "its last second is over", NOW - 1);
    let far = endorsement("too-long", "ends more than seven days ahead", week + 1);
    vec![
        endorsement("last-second", "ends in this very second", NOW),
        endorsement("seven-days", "ends exactly seven days ahead", week),
        past.failing("expired", "expired", "its last second is over"),
        far.failing("too-long", "too_long", "ends more than seven days ahead"),
        good.failing("flipped-signature", "bad_signature", "one bit of the signature changed")
            .flip("signature", 40),
        good.failing("other-key", "bad_signature", "of another TLS key").flip("spki", 0),
        good.failing("other-end", "bad_signature", "with another end").flip("not_after", 7),
        good.failing("other-identity", "bad_signature", "shown for another relay")
            .set("identity", SigningKey::from_seed(&[2; 32]).public().as_bytes()),
        good.failing("small-order", "bad_signature", "a key of small order signs anything")
            .rule("IDN-2")
            .set("identity", &neutral)
            .set("signature", &forged),
        good,
    ]
}

fn opens() -> Vec<Case> {
    let key = SigningKey::from_seed(&[3; 32]);
    let challenge = OpenChallenge {
        relay: SigningKey::from_seed(&[1; 32]).public(),
        nonce: Nonce::new([4; 32]),
        mailbox: MailboxId::new([5; 16]),
    };
    let good = Case::new("open", "valid", "CMD-4", "opens this mailbox on this connection")
        .with("relay", challenge.relay.as_bytes())
        .with("nonce", challenge.nonce.as_bytes())
        .with("mailbox", challenge.mailbox.as_bytes())
        .with("key", key.public().as_bytes())
        .with("proof", challenge.prove(&key).as_bytes());
    let possession = prove_possession(&key, &challenge.mailbox);
    vec![
        good.failing("other-relay", "bad_signature", "shown to another relay").flip("relay", 0),
        good.failing("other-nonce", "bad_signature", "replayed on another connection")
            .flip("nonce", 31),
        good.failing("other-mailbox", "bad_signature", "for another mailbox").flip("mailbox", 0),
        good.failing("other-key", "bad_signature", "for a key the signer does not hold")
            .set("key", SigningKey::from_seed(&[6; 32]).public().as_bytes()),
        good.failing("flipped-proof", "bad_signature", "one bit of the proof changed")
            .flip("proof", 0),
        good.failing("possession-as-open", "bad_signature", "a possession proof is no open proof")
            .set("proof", possession.as_bytes()),
        good,
    ]
}

fn reads() -> Vec<Case> {
    let key = SigningKey::from_seed(&[3; 32]);
    let relay = SigningKey::from_seed(&[1; 32]).public();
    let nonce = Nonce::new([4; 32]);
    let challenge = BlobChallenge { relay, nonce, blob: BlobId::new([5; 16]) };
    let open = OpenChallenge { relay, nonce, mailbox: MailboxId::new([5; 16]) };
    let good = Case::new("open", "blob-valid", "CMD-20", "reads this blob on this connection")
        .with("relay", relay.as_bytes())
        .with("nonce", nonce.as_bytes())
        .with("blob", challenge.blob.as_bytes())
        .with("key", key.public().as_bytes())
        .with("proof", challenge.prove(&key).as_bytes());
    vec![
        good.failing("blob-other-blob", "bad_signature", "for another blob").flip("blob", 0),
        good.failing("blob-other-nonce", "bad_signature", "replayed on another connection")
            .flip("nonce", 31),
        good.failing("blob-open-as-read", "bad_signature", "an open proof is no read proof")
            .set("proof", open.prove(&key).as_bytes()),
        good,
    ]
}

fn possessions() -> Vec<Case> {
    let key = SigningKey::from_seed(&[3; 32]);
    let mailbox = MailboxId::new([5; 16]);
    let comment = "whoever brings the key holds it";
    let good = Case::new("open", "possession-valid", "CMD-3", comment)
        .with("mailbox", mailbox.as_bytes())
        .with("key", key.public().as_bytes())
        .with("proof", prove_possession(&key, &mailbox).as_bytes());
    vec![
        good.failing("possession-other-mailbox", "bad_signature", "brought to another mailbox")
            .flip("mailbox", 15),
        good.failing("possession-other-key", "bad_signature", "brings a key nobody showed to hold")
            .set("key", SigningKey::from_seed(&[6; 32]).public().as_bytes()),
        good,
    ]
}

fn safety() -> Vec<Case> {
    let account = |n: u8| AccountId::new(SigningKey::from_seed(&[n; 32]).public());
    let case = |name, comment, a: AccountId, b: AccountId| {
        let number = SafetyNumber::of(a, b);
        Case::new("safety", name, "SAF-1", comment)
            .with("ours", a.as_bytes())
            .with("theirs", b.as_bytes())
            .with("digits", number.digits().as_bytes())
            .with("qr", number.qr())
    };
    let good = case("two-accounts", "the number of two accounts", account(1), account(2));
    let zero = AccountId::new(PublicKey::new([0; 32]));
    vec![
        case("other-side", "the same number on the other side", account(2), account(1)),
        case("leading-zeros", "any 32 bytes have a number", zero, account(3)),
        good.failing("other-account", "mismatch", "another account has another number")
            .set("theirs", account(4).as_bytes()),
        good.failing("other-qr", "mismatch", "another QR code").rule("SAF-2").flip("qr", 33),
        good,
    ]
}
