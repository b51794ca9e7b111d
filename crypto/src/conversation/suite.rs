//! The cipher suites of conversations (CNV-2).

use openmls::prelude::Ciphersuite;
use restante_spec::limits::{CLASSICAL_LEAVES, HYBRID_LEAVES};

use crate::error::Error;

/// The suite of a conversation, recorded with it and never changed in it (CNV-2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Suite {
    /// 0x004E: X-Wing, AES-256-GCM, SHA-384, Ed25519. The default; its number is a draft's.
    #[default]
    Hybrid,
    /// 0x0003: X25519, ChaCha20-Poly1305, SHA-256, Ed25519. Every implementation has it.
    Classical,
}

impl Suite {
    /// Every suite, best first.
    pub const ALL: [Self; 2] = [Self::Hybrid, Self::Classical];

    /// Its number in MLS.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Hybrid => 0x004E,
            Self::Classical => 0x0003,
        }
    }

    /// The suite with this number.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for any other.
    pub const fn from_number(number: u16) -> Result<Self, Error> {
        match number {
            0x004E => Ok(Self::Hybrid),
            0x0003 => Ok(Self::Classical),
            // CNV-2
            _ => Err(Error::Unsupported { what: "mls suite" }),
        }
    }

    /// The most leaves a conversation of this suite has (CNV-10).
    #[must_use]
    pub const fn max_leaves(self) -> usize {
        match self {
            Self::Hybrid => HYBRID_LEAVES,
            Self::Classical => CLASSICAL_LEAVES,
        }
    }

    pub(super) const fn mls(self) -> Ciphersuite {
        match self {
            Self::Hybrid => Ciphersuite::MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519,
            Self::Classical => Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519,
        }
    }

    pub(super) fn from_mls(suite: Ciphersuite) -> Result<Self, Error> {
        Self::from_number(u16::from(suite))
    }
}
