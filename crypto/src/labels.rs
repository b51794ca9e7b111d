//! Every domain label of the protocol, in one table: what is signed, hashed or derived for one
//! purpose can never pass for another (IDN-1).
//!
//! Knows names only. A label is ASCII text that ends with a zero byte, and no label holds one
//! before its end: so no label begins with another, and label and data cannot be shifted.

/// The domain a signature, hash or key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(&'static str);

macro_rules! labels {
    ($all:ident: $($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl Label {
            $($(#[$doc])* pub(crate) const $name: Self = Self(concat!($text, "\0"));)*

            /// For the test that labels are distinct.
            #[cfg(test)]
            const $all: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

labels! { PROOFS:
    /// TRN-5: signed by a relay's identity over its TLS key.
    ENDORSEMENT = "restante endorsement v1";
    /// CMD-4: signed by a key that opens a mailbox.
    OPEN = "restante open v1";
    /// CMD-20: signed by a key that reads a blob.
    BLOB = "restante blob v1";
    /// CMD-3: signed by a key that is brought to a mailbox.
    POSSESSION = "restante possession v1";
    /// ADM-1: hashed before a token that admits mailboxes.
    TOKEN = "restante token v1";
}

#[cfg(feature = "e2e")]
labels! { END_TO_END:
    /// IDN-3: signed by an account over a device's certificate.
    CERTIFICATE = "restante device certificate v1";
    /// IDN-5: signed by an account over its list of devices.
    DEVICE_LIST = "restante device list v1";
    /// IDN-8: signed by a device over its letter key.
    LETTER_KEY = "restante letter key v1";
    /// IDN-9: hashed before an account's key for its fingerprint.
    FINGERPRINT = "restante account fingerprint v1";
    /// SAF-1: hashed before an account's key for the safety number.
    SAFETY = "restante safety number v1";
    /// INV-3: derives the write key of an invite from its seed.
    INVITE_WRITE = "restante invite write v1";
    /// INV-3: derives the key of an invite's card from its seed.
    INVITE_CARD = "restante invite card v1";
    /// INV-4: begins the associated data of a card.
    CARD = "restante card v1";
    /// INV-4: signed by a device over the letter key of an invite.
    INVITE_KEY = "restante invite key v1";
    /// DEV-3: derives the key of a link code's card from its seed.
    LINK_CARD = "restante link card v1";
    /// DEV-5: hashed before the keys of both devices for the check number.
    LINK_CHECK = "restante link check v1";
    /// LET-3: derives the key of a letter's slot from the KEM's secret.
    LETTER_SLOT = "restante letter slot v1";
    /// LET-4: begins the associated data of a letter's body.
    LETTER_BODY = "restante letter body v1";
    /// LET-5: signed by the sender of a letter.
    LETTER_SENDER = "restante letter sender v1";
    /// REC-2: begins the associated data of a record.
    RECORD = "restante record v1";
    /// REC-4: signed by a device over what its record holds.
    RECORD_SENDER = "restante record sender v1";
    /// LIV-2: begins the associated data of a live record.
    LIVE = "restante live record v1";
    /// LIV-3: signed by a device over what its live record holds.
    LIVE_SENDER = "restante live sender v1";
    /// ROM-3: derives the audience's read key of a room from its seed.
    ROOM_READ = "restante room read v1";
    /// ROM-3: derives the audience's write key of a room from its seed.
    ROOM_WRITE = "restante room write v1";
    /// ROM-3: derives the key of a room's posts from its seed.
    ROOM_KEY = "restante room key v1";
    /// ROM-3: derives the key of a room's card from its seed.
    ROOM_CARD_KEY = "restante room card key v1";
    /// ROM-4: hashed before founder and salt for a room's id.
    ROOM_ID = "restante room id v1";
    /// ROM-5: begins the associated data of a room's card.
    ROOM_CARD_SEAL = "restante room card seal v1";
    /// ROM-5: signed by the founder's device over a room's card.
    ROOM_CARD = "restante room card v1";
    /// ROM-7: begins the associated data of a post.
    ROOM_POST = "restante room post v1";
    /// ROM-8: signed by a device over its post.
    ROOM_SENDER = "restante room sender v1";
    /// CNT-4: hashed before the exact bytes of a content.
    CONTENT = "restante content v1";
    /// CNT-7: begins the hash of an epoch's log.
    LOG = "restante log v1";
    /// FIL-3: begins the associated data of a sealed file's chunks.
    FILE = "restante file v1";
    /// REV-4: derives the value by which a recovery file knows its secret.
    RECOVERY_CHECK = "restante recovery check v1";
    /// REV-4: derives the key of a recovery file's segment.
    RECOVERY_SEGMENT = "restante recovery segment v1";
}

#[cfg(not(feature = "e2e"))]
labels! { END_TO_END: }

/// CNV-6: the MLS exporter's label of the epoch key. The exporter has its own domain separation
/// (RFC 9420 section 8.5), so the label is the bare text.
#[cfg(feature = "e2e")]
pub(crate) const EXPORT_EPOCH_KEY: &str = "restante epoch key v1";
/// REC-2: the MLS exporter's label of the record key.
#[cfg(feature = "e2e")]
pub(crate) const EXPORT_RECORD_KEY: &str = "restante record key v1";
/// LIV-2: the MLS exporter's label of the key of live records.
#[cfg(feature = "e2e")]
pub(crate) const EXPORT_LIVE_KEY: &str = "restante live v1";

impl Label {
    /// The bytes, the final zero included.
    pub(crate) const fn as_bytes(self) -> &'static [u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IDN-1: no label is another's beginning, each ends with its only zero byte.
    #[test]
    fn labels_are_prefix_free() {
        let all = [Label::PROOFS, Label::END_TO_END].concat();
        for (i, a) in all.iter().enumerate() {
            assert_eq!(a.as_bytes().iter().position(|&b| b == 0), Some(a.as_bytes().len() - 1));
            assert!(a.as_bytes().is_ascii());
            for b in &all[i + 1..] {
                assert!(!a.as_bytes().starts_with(b.as_bytes()), "{a:?} {b:?}");
                assert!(!b.as_bytes().starts_with(a.as_bytes()), "{a:?} {b:?}");
            }
        }
    }
}
