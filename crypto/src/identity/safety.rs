//! The safety number of two accounts: what two people compare, equal on both sides (SAF-1).
//!
//! For each account: h0 = SHA-512(label, account), h(n+1) = SHA-512(h(n), account), 5,200 times.
//! Its 30 digits are six groups of 5 bytes of the last hash, big endian, modulo 100,000. The number
//! is the digits of both accounts, the lower account key first.

use std::fmt;

use restante_spec::ids::PublicKey;
use sha2::{Digest, Sha512};

use super::account::AccountId;
use crate::labels::Label;

/// 60 digits to read aloud, and bytes for a QR code.
#[derive(Clone, PartialEq, Eq)]
pub struct SafetyNumber {
    digits: String,
    qr: Vec<u8>,
}

/// Part of the number's layout: rounds make a search for a look-alike key 5,200 times dearer, and
/// cost a person milliseconds.
const ROUNDS: usize = 5_200;
/// Groups of digits in the layout, for each account.
const GROUPS: usize = 6;
/// Bytes of the hash behind a group of the layout.
const GROUP_BYTES: usize = 5;
const QR_VERSION: u8 = 1;

impl SafetyNumber {
    /// The number of two accounts, in either order.
    #[must_use]
    pub fn of(a: AccountId, b: AccountId) -> Self {
        // SAF-1
        let (low, high) = if a.as_bytes() <= b.as_bytes() { (a, b) } else { (b, a) };
        let hashes = [iterated(low.key()), iterated(high.key())];
        let mut qr = vec![QR_VERSION];
        for hash in &hashes {
            qr.extend(hash.iter().take(PublicKey::SIZE));
        }
        Self { digits: hashes.iter().map(digits).collect(), qr }
    }

    /// The 60 digits, without spaces.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// What the QR code holds, equal on both sides (SAF-2): version (1 byte), then 32 bytes of each
    /// account's hash, in the order of the digits.
    #[must_use]
    pub fn qr(&self) -> &[u8] {
        &self.qr
    }
}

impl fmt::Display for SafetyNumber {
    /// Twelve groups of five digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, digit) in self.digits.chars().enumerate() {
            if i > 0 && i % 5 == 0 {
                f.write_str(" ")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SafetyNumber(..)")
    }
}

fn iterated(account: &PublicKey) -> [u8; 64] {
    let first = Sha512::new()
        .chain_update(Label::SAFETY.as_bytes())
        .chain_update(account.as_bytes())
        .finalize();
    let last = (0..ROUNDS).fold(first, |hash, _| {
        Sha512::new().chain_update(hash).chain_update(account.as_bytes()).finalize()
    });
    last.into()
}

fn digits(hash: &[u8; 64]) -> String {
    hash.chunks(GROUP_BYTES)
        .take(GROUPS)
        .map(|group| {
            let number = group.iter().fold(0_u64, |sum, &byte| (sum << 8) | u64::from(byte));
            format!("{:05}", number % 100_000)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(n: u8) -> AccountId {
        AccountId::new(PublicKey::new([n; 32]))
    }

    /// SAF-1, SAF-2: both sides see the same; a third account changes only its own half.
    #[test]
    fn number_is_the_same_on_both_sides() {
        let ours = SafetyNumber::of(account(1), account(2));
        assert_eq!(ours, SafetyNumber::of(account(2), account(1)));
        assert_eq!((ours.digits().len(), ours.qr().len()), (60, 65));
        assert!(ours.digits().bytes().all(|digit| digit.is_ascii_digit()));
        assert_eq!(ours.to_string().split(' ').count(), 12);
        let other = SafetyNumber::of(account(1), account(3));
        assert_eq!(ours.digits()[..30], other.digits()[..30]);
        assert_ne!(ours.digits()[30..], other.digits()[30..]);
    }
}
