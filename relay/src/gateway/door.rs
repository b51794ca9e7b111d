//! The door: who may come in before anything is read from him (LIM-12).
//!
//! Counts in memory only. A prefix is an IPv4 address or an IPv6 /64; the map's hasher is keyed
//! anew at each start, and nothing of it is ever logged.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::Settings;

/// Counts connections and handshakes.
pub(super) struct Door {
    max: Settings,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    connections: usize,
    handshakes: usize,
    prefixes: HashMap<u64, usize>,
}

/// The place of one connection; dropped, it is free again.
pub(super) struct Place {
    door: Arc<Door>,
    prefix: u64,
}

/// The place of one handshake; dropped, it is free again.
pub(super) struct Handshake {
    door: Arc<Door>,
}

impl Door {
    /// An empty house.
    pub(super) fn new(max: Settings) -> Arc<Self> {
        Arc::new(Self { max, counts: Mutex::default() })
    }

    /// Lets a connection in; `None`: at the bound, to be refused before TLS (LIM-12).
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<(Place, Handshake)> {
        let prefix = prefix(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.connections >= self.max.connections || counts.handshakes >= self.max.handshakes {
            return None;
        }
        let same = counts.prefixes.entry(prefix).or_default();
        if *same >= self.max.connections_per_prefix {
            return None;
        }
        *same += 1;
        counts.connections += 1;
        counts.handshakes += 1;
        let door = Arc::clone(self);
        Some((Place { door, prefix }, Handshake { door: Arc::clone(self) }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.door.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.connections -= 1;
        if let Some(same) = counts.prefixes.get_mut(&self.prefix) {
            *same -= 1;
            if *same == 0 {
                counts.prefixes.remove(&self.prefix);
            }
        }
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.door.counts.lock().unwrap_or_else(PoisonError::into_inner).handshakes -= 1;
    }
}

/// An IPv4 address, or the first 64 bits of an IPv6 one; mapped IPv4 counts as IPv4.
fn prefix(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or(u64::MAX) | 1 << 63,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for (connections, per_prefix, handshakes) in [(2, 9, 9), (9, 2, 9), (9, 9, 2)] {
            let door = door(connections, per_prefix, handshakes);
            let first = door.enter(one);
            let second = door.enter(one);
            assert!(first.is_some() && second.is_some());
            assert!(door.enter(one).is_none());
            drop(first);
            assert!(door.enter(one).is_some());
        }
    }

    /// LIM-12: an IPv6 /64 is one prefix, a mapped IPv4 address is that address.
    #[test]
    fn neighbours_in_a_prefix_share_its_bound() {
        let door = door(9, 1, 9);
        let places = [door.enter(address("2001:db8::1")), door.enter(address("10.0.0.1"))];
        assert!(places.iter().all(Option::is_some));
        assert!(door.enter(address("2001:db8::2")).is_none());
        assert!(door.enter(address("::ffff:10.0.0.1")).is_none());
        assert!(door.enter(address("2001:db8:0:1::1")).is_some());
    }

    /// A finished handshake gives its place back while the connection keeps its own.
    #[test]
    fn handshakes_end_before_connections() {
        let door = door(9, 9, 1);
        let (_place, handshake) = door.enter(address("10.0.0.1")).unwrap();
        assert!(door.enter(address("10.0.0.2")).is_none());
        drop(handshake);
        assert!(door.enter(address("10.0.0.2")).is_some());
    }
}
