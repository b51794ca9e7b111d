//! The door: who may come in before anything is read from him (LIM-12), and how much may be tried
//! from one address prefix (LIM-20).
//!
//! Counts in memory only. A prefix is an IPv4 address or an IPv6 /64, known by a hash whose key is
//! drawn anew at each start; nothing of it is ever logged.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use restante_spec::codes::Code;
use restante_spec::ids::{Seconds, UnixTime};
use restante_spec::limits::{HANDSHAKES_IN_FLIGHT, HANDSHAKES_OF_A_PREFIX};
use restante_spec::message::{Rate, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Settings;
use crate::limits::PREFIXES;
use crate::mailbox::api::{Call, Origin};
use crate::rate::Pace;

/// Counts connections and handshakes, and what is tried.
pub(crate) struct Door {
    max: Settings,
    /// Hashes prefixes with a key of this start.
    salt: RandomState,
    /// Handshakes that may be under way; the others wait for their turn.
    handshakes: Arc<Semaphore>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// The number of the newest connection.
    last: u64,
    /// The connections, with the hashes of their prefixes.
    origins: HashMap<Origin, u64>,
    /// At most [`PREFIXES`].
    prefixes: HashMap<u64, Prefix>,
}

/// What is known of one address prefix.
struct Prefix {
    connections: usize,
    /// Handshakes of it that may be under way; the others wait for their turn.
    turns: Arc<Semaphore>,
    connects: Pace,
    failures: Pace,
    creates: Pace,
}

/// The place of one connection; dropped, it is free again.
pub(super) struct Place {
    door: Arc<Door>,
    origin: Origin,
}

/// The place of one handshake; dropped, it is free again.
pub(super) struct Handshake {
    _of_prefix: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Door {
    /// An empty house.
    pub(crate) fn new(max: Settings) -> Arc<Self> {
        let handshakes = Arc::new(Semaphore::new(max.handshakes));
        Arc::new(Self { max, salt: RandomState::new(), handshakes, counts: Mutex::default() })
    }

    /// Lets a connection in; `None`: at a bound, to be refused before TLS (LIM-12, LIM-20).
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, now: UnixTime) -> Option<Place> {
        let hash = self.salt.hash_one(prefix(address));
        let mut counts = self.counts();
        let counts = &mut *counts;
        if counts.origins.len() >= self.max.connections {
            return None;
        }
        if counts.prefixes.len() >= PREFIXES && !counts.prefixes.contains_key(&hash) {
            counts.prefixes.retain(|_, prefix| prefix.connections > 0);
        }
        let prefix = counts.prefixes.entry(hash).or_insert_with(|| Prefix::new(&self.max));
        if prefix.connections >= self.max.connections_per_prefix {
            return None;
        }
        prefix.failures.look(per_minute(self.max.failures_per_minute), now).ok()?;
        prefix.connects.take(per_minute(self.max.connects_per_minute), now).ok()?;
        prefix.connections += 1;
        counts.last += 1;
        let origin = Origin(counts.last);
        counts.origins.insert(origin, hash);
        Some(Place { door: Arc::clone(self), origin })
    }

    /// Lets a connection that has said something begin its handshake, once its prefix has a turn
    /// for it, and then all together (LIM-12); `None`: it is not there any more.
    pub(super) async fn greet(&self, origin: Origin) -> Option<Handshake> {
        let turns = self.counts().prefix(origin).map(|prefix| Arc::clone(&prefix.turns))?;
        // LIM-12: so that no prefix has more than its share of those that wait for a turn of all.
        let of_prefix = turns.acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.handshakes).acquire_owned().await.ok()?;
        Some(Handshake { _of_prefix: of_prefix, _of_all: of_all })
    }

    /// A handshake or an `open` has failed (LIM-20).
    pub(super) fn fail(&self, origin: Origin, now: UnixTime) {
        let rate = per_minute(self.max.failures_per_minute);
        if let Some(prefix) = self.counts().prefix(origin) {
            // At the bound there is no more to take.
            let _ = prefix.failures.take(rate, now);
        }
    }

    /// Whether this may be asked from there now (LIM-20).
    ///
    /// # Errors
    /// `rate`, with the time until it may be.
    pub(super) fn admit(&self, origin: Origin, call: &Call, now: UnixTime) -> Result<(), Refusal> {
        let (paced, detail) = match call {
            Call::Create(_) => {
                let rate = per_minute(self.max.creates_per_minute);
                let paced =
                    self.counts().prefix(origin).map(|prefix| prefix.creates.take(rate, now));
                (paced, "too many mailboxes are made from this address")
            }
            Call::Open { .. } | Call::BlobRead { .. } => {
                let rate = per_minute(self.max.failures_per_minute);
                let paced =
                    self.counts().prefix(origin).map(|prefix| prefix.failures.look(rate, now));
                (paced, "too much has failed from this address")
            }
            // Paced by mailbox and key.
            Call::With(..) => return Ok(()),
        };
        let paced = paced.unwrap_or(Ok(()));
        paced.map_err(|wait| Refusal::new(Code::Rate, detail).retry_after(wait))
    }

    /// A panic elsewhere ends its task only: the counts are whole between calls.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// The prefix of a connection that is still there.
    fn prefix(&mut self, origin: Origin) -> Option<&mut Prefix> {
        self.prefixes.get_mut(self.origins.get(&origin)?)
    }
}

impl Prefix {
    fn new(max: &Settings) -> Self {
        let turns = (max.handshakes * HANDSHAKES_OF_A_PREFIX / HANDSHAKES_IN_FLIGHT).max(1);
        let turns = Arc::new(Semaphore::new(turns));
        let (connects, failures, creates) = Default::default();
        Self { connections: 0, turns, connects, failures, creates }
    }
}

impl Place {
    /// The number of the connection.
    pub(super) const fn origin(&self) -> Origin {
        self.origin
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.door.counts();
        if let Some(prefix) = counts.prefix(self.origin) {
            prefix.connections -= 1;
        }
        counts.origins.remove(&self.origin);
    }
}

/// An IPv4 address, or the first 64 bits of an IPv6 one; mapped IPv4 counts as IPv4.
fn prefix(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or(u64::MAX) | 1 << 63,
    }
}

/// So many in a minute, and at once.
const fn per_minute(count: u32) -> Rate {
    Rate { count, per: Seconds::new(60) }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;
    use restante_spec::ids::{MailboxId, Nonce, PublicKey, Signature};

    use super::*;

    const NOW: UnixTime = UnixTime::new(1_000);

    fn door(connections: usize, per_prefix: usize, handshakes: usize) -> Arc<Door> {
        let max = Settings {
            connections,
            connections_per_prefix: per_prefix,
            handshakes,
            ..Settings::default()
        };
        Door::new(max)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// LIM-12: each bound holds, and leaving makes room.
    #[test]
    fn bounds_hold_and_leaving_makes_room() {
        let one = address("127.0.0.1");
        for (connections, per_prefix) in [(2, 9), (9, 2)] {
            let door = door(connections, per_prefix, 9);
            let first = door.enter(one, NOW);
            let second = door.enter(one, NOW);
            assert!(first.is_some() && second.is_some());
            assert!(door.enter(one, NOW).is_none());
            drop(first);
            assert!(door.enter(one, NOW).is_some());
        }
    }

    /// LIM-12: an IPv6 /64 is one prefix, a mapped IPv4 address is that address.
    #[test]
    fn neighbours_in_a_prefix_share_its_bound() {
        let door = door(9, 1, 9);
        let places =
            [door.enter(address("2001:db8::1"), NOW), door.enter(address("10.0.0.1"), NOW)];
        assert!(places.iter().all(Option::is_some));
        assert!(door.enter(address("2001:db8::2"), NOW).is_none());
        assert!(door.enter(address("::ffff:10.0.0.1"), NOW).is_none());
        assert!(door.enter(address("2001:db8:0:1::1"), NOW).is_some());
    }

    /// LIM-12: at the bound no other handshake begins, but waits: once it was refused, and a few
    /// addresses that said one byte each kept all others out. One that is over gives its place back
    /// while its connection keeps its own.
    #[test]
    fn handshakes_end_before_connections() {
        let door = door(9, 9, 1);
        let [one, other] =
            ["10.0.0.1", "10.0.0.2"].map(|place| door.enter(address(place), NOW).unwrap());
        let handshake = door.greet(one.origin()).now_or_never().unwrap();
        let mut waits = pin!(door.greet(other.origin()));
        assert!(handshake.is_some() && waits.as_mut().now_or_never().is_none());
        drop(handshake);
        assert!(waits.now_or_never().unwrap().is_some());
    }

    /// LIM-12: of one prefix so many are under way as are its share, and one more waits for its
    /// turn; others need not wait for them.
    #[test]
    fn one_prefix_has_its_share_of_handshakes() {
        let door = door(9, 9, 2 * HANDSHAKES_IN_FLIGHT / HANDSHAKES_OF_A_PREFIX);
        let places: Vec<_> =
            (0..3).map(|_| door.enter(address("10.0.0.1"), NOW).unwrap()).collect();
        let mut begun: Vec<_> = places[..2]
            .iter()
            .map(|place| door.greet(place.origin()).now_or_never().unwrap().unwrap())
            .collect();
        let mut waits = pin!(door.greet(places[2].origin()));
        assert!(waits.as_mut().now_or_never().is_none());
        let other = door.enter(address("10.0.0.2"), NOW).unwrap();
        assert!(door.greet(other.origin()).now_or_never().unwrap().is_some());
        begun.pop();
        assert!(waits.now_or_never().unwrap().is_some());
    }

    fn paced(connects: u32, failures: u32) -> Arc<Door> {
        Door::new(Settings {
            connects_per_minute: connects,
            failures_per_minute: failures,
            ..Settings::default()
        })
    }

    /// LIM-20: so many connections in a minute, whether they have left or not; others may come.
    #[test]
    fn connections_of_a_prefix_are_paced() {
        let door = paced(2, 9);
        for _ in 0..2 {
            assert!(door.enter(address("2001:db8::1"), NOW).is_some());
        }
        assert!(door.enter(address("2001:db8::2"), NOW).is_none());
        assert!(door.enter(address("2001:db8:0:1::1"), NOW).is_some());
        let later = NOW.after(Seconds::new(30));
        assert!(door.enter(address("2001:db8::1"), later).is_some());
        assert!(door.enter(address("2001:db8::1"), later).is_none());
    }

    /// LIM-20: with so many failures nobody comes in, and who is in opens nothing, for a time.
    #[test]
    fn failures_of_a_prefix_close_it() {
        let door = paced(9, 2);
        let open = Call::Open {
            mailbox: MailboxId::new([1; 16]),
            key: PublicKey::new([1; 32]),
            nonce: Nonce::new([1; 32]),
            proof: Signature::new([1; 64]),
        };
        let place = door.enter(address("10.0.0.1"), NOW).unwrap();
        let other = door.enter(address("10.0.0.2"), NOW).unwrap();
        door.fail(place.origin(), NOW);
        assert!(door.admit(place.origin(), &open, NOW).is_ok());
        door.fail(place.origin(), NOW);
        let refusal = door.admit(place.origin(), &open, NOW).unwrap_err();
        assert_eq!(refusal.code, Code::Rate);
        assert_eq!(refusal.retry_after, Some(Seconds::new(30)));
        assert!(door.enter(address("10.0.0.1"), NOW).is_none());
        assert!(door.admit(other.origin(), &open, NOW).is_ok());
        let later = NOW.after(Seconds::new(30));
        assert!(door.admit(place.origin(), &open, later).is_ok());
        assert!(door.enter(address("10.0.0.1"), later).is_some());
    }

    /// LIM-20: with one prefix more than are remembered, those without a connection are forgotten.
    #[test]
    fn prefixes_remembered_are_bounded() {
        let door = paced(1, 9);
        let staying = door.enter(address("10.0.0.1"), NOW).unwrap();
        let host = |n: usize| IpAddr::from(u32::try_from(n).unwrap().to_be_bytes());
        for n in 1..PREFIXES {
            assert!(door.enter(host(n), NOW).is_some());
        }
        assert_eq!(door.counts().prefixes.len(), PREFIXES);
        assert!(door.enter(host(1), NOW).is_none(), "at the bound all are remembered");
        assert!(door.enter(host(PREFIXES), NOW).is_some());
        assert_eq!(door.counts().prefixes.len(), 2);
        assert!(door.enter(address("10.0.0.1"), NOW).is_none(), "who is there is remembered");
        drop(staying);
    }
}
