//! What may happen in a run, and how bytes become a row of it: eight for each, so that leaving
//! some out leaves the others as they are.

use restante_spec::message::{EnvelopeClass, MailboxClass, Rights};

/// Something that happens on one of the connections, or to all of them.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// Which connection.
    pub line: usize,
    /// What.
    pub act: Act,
}

/// What happens. Mailboxes, keys, readers, ids, slots and requests are small numbers that stand for
/// real ones, and `None` for one that fits; `forged` has a wrong proof, `anew` closes first.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the commands of the protocol and their fields")]
pub enum Act {
    Create { place: u8, class: MailboxClass, key: u8, reader: u8, ttl: u32, forged: bool },
    Open { desk: u8, place: u8, key: Option<u8>, anew: bool, forged: bool },
    Close { desk: u8 },
    Allow { desk: u8, key: u8, rights: Rights, time: u32, uses: u32, rate: u32, forged: bool },
    Revoke { desk: u8, key: u8 },
    AddReader { desk: u8, reader: u8 },
    Append { desk: u8, chain: u8, id: u8, class: EnvelopeClass, ttl: u32, epoch: Named, times: u8 },
    Commit { desk: u8, chain: u8, id: u8, next: Option<u8>, add: u8, strike: u8, epoch: Named },
    Subscribe { desk: u8, reader: Option<u8>, after: After, envelopes: u32, bytes: u32 },
    Credit { desk: u8, envelopes: u32, bytes: u32 },
    Ack { desk: u8, upto: After },
    Put { desk: u8, slot: u8, count: u8, last_resort: bool },
    Take { desk: u8, slot: u8, request: u8 },
    Count { desk: u8 },
    Delete { desk: u8 },
    Ping,
    Cut,
    Wait { seconds: u64 },
    Forget,
    Crash { seed: u8 },
}

/// Which epoch an append names.
#[derive(Clone, Copy, Debug)]
pub enum Named {
    /// What its mailbox asks for.
    Right,
    /// One there was never, or one where there is none.
    Wrong,
    /// None.
    None,
}

/// A position.
#[derive(Clone, Copy, Debug)]
pub enum After {
    /// The beginning.
    Start,
    /// The n-th newest envelope there was.
    Back(u8),
    /// What the subscription has delivered.
    Delivered,
    /// Far ahead.
    Ahead,
}

/// How many there are of each.
pub const LINES: usize = 3;
/// Handles of a connection.
pub const DESKS: u8 = 4;
/// Mailboxes.
pub const PLACES: u8 = 3;
/// Keys, readers.
pub const KEYS: u8 = 5;
/// Readers.
pub const READERS: u8 = 3;
const IDS: u8 = 12;

impl Op {
    /// The row that the bytes stand for.
    #[must_use]
    pub fn read(data: &[u8]) -> Vec<Self> {
        let (ops, _) = data.as_chunks::<8>();
        ops.iter().map(|bytes| Self::of(*bytes)).collect()
    }

    /// What every run begins with: a mailbox of each class, and somebody at each on each line.
    #[must_use]
    pub fn prelude() -> Vec<Self> {
        let (key, reader, ttl, forged) = (0, 0, 5_000, false);
        let inbox = Act::Create { place: 0, class: class(0), key, reader, ttl, forged };
        let conversation = Act::Create { place: 1, class: class(1), key, reader, ttl, forged };
        let room = Act::Create { place: 2, class: class(2), key, reader, ttl, forged };
        let mut acts = vec![(0, inbox), (0, conversation), (0, room)];
        acts.extend((0..PLACES).map(|place| (0, open(place, 0))));
        for (desk, key, bits) in [(0, 1, 10), (0, 2, 11), (2, 1, 2), (2, 2, 1)] {
            let rights = rights(bits);
            acts.push((0, Act::Allow { desk, key, rights, time: 0, uses: 0, rate: 0, forged }));
        }
        acts.push((0, Act::AddReader { desk: 0, reader: 1 }));
        for line in 1..LINES {
            let key = u8::try_from(line).expect("small");
            acts.extend((0..PLACES).map(|place| (line, open(place, key * (1 - place % 2)))));
        }
        acts.into_iter().map(|(line, act)| Self { line, act }).collect()
    }

    fn of([kind, line, operands @ ..]: [u8; 8]) -> Self {
        let kind = kind % 32;
        let act = match kind {
            6..8 | 13..26 => writing(kind, operands),
            0..28 => managing(kind, operands),
            _ => happening(kind, operands),
        };
        Self { line: usize::from(line) % LINES, act }
    }
}

/// Appending and reading.
fn writing(kind: u8, [a, b, c, d, e, f]: [u8; 6]) -> Act {
    let desk = a % DESKS;
    match kind {
        6..8 => Act::Append {
            desk,
            chain: 0,
            id: c,
            class: EnvelopeClass::Normal,
            ttl: 0,
            epoch: Named::Right,
            times: 1,
        },
        13..18 => Act::Append {
            desk,
            chain: b % 3,
            id: c % IDS,
            class: envelope(d),
            ttl: pick(d / 8, &[0, 0, 60, 100_000]),
            epoch: named(e),
            times: pick(f, &[1, 1, 1, 2, 5, 12]),
        },
        18..20 => Act::Commit {
            desk,
            chain: b % 3,
            id: c % IDS,
            next: (d % 8 != 7).then_some(d % 8 % KEYS),
            add: e % READERS,
            strike: e / 8,
            epoch: named(f),
        },
        20..23 => Act::Subscribe {
            desk,
            reader: (b % 4 == 0).then_some(b / 4 % READERS),
            after: after(c),
            envelopes: pick(d, &[0, 1, 2, 5, 100, u32::MAX]),
            bytes: pick(e, &[0, 1, 10, 100, 100_000, u32::MAX]),
        },
        23 => Act::Credit {
            desk,
            envelopes: pick(b, &[0, 1, 3, 100, u32::MAX]),
            bytes: pick(c, &[0, 1, 30, 100_000, u32::MAX]),
        },
        _ => Act::Ack { desk, upto: after(b) },
    }
}

/// Mailboxes, handles, keys, readers and prekeys.
fn managing(kind: u8, [a, b, c, d, e, f]: [u8; 6]) -> Act {
    let (desk, forged) = (a % DESKS, f % 16 == 15);
    match kind {
        0 => Act::Create {
            place: a % PLACES,
            class: class(b),
            key: c % KEYS,
            reader: d % READERS,
            ttl: pick(e, &[0, 100, 600, 5_000, u32::MAX]),
            forged,
        },
        1..6 => Act::Open {
            desk,
            place: b % PLACES,
            key: (c % 4 == 0).then_some(d % KEYS),
            anew: e % 4 != 0,
            forged,
        },
        8 => Act::Close { desk },
        9..11 => Act::Allow {
            desk,
            key: b % KEYS,
            rights: rights(c),
            time: pick(d, &[0, 0, 50, 1_000]),
            uses: pick(e, &[0, 0, 1, 3]),
            rate: pick(e / 4, &[0, 0, 1, 4]),
            forged,
        },
        11 => Act::Revoke { desk, key: b % KEYS },
        12 => Act::AddReader { desk, reader: b % READERS },
        26 if b % 2 == 0 => Act::Put { desk: 0, slot: 0, count: c % 5, last_resort: d % 4 == 0 },
        26 => Act::Put { desk, slot: u8::from(b % 4 == 0), count: c % 5, last_resort: d % 4 == 0 },
        _ => Act::Take { desk, slot: u8::from(b % 4 == 0), request: c % 4 },
    }
}

/// What is rare, and what nobody asks for.
fn happening(kind: u8, [a, b, c, ..]: [u8; 6]) -> Act {
    let desk = a % DESKS;
    match kind {
        28 if b % 2 == 0 => Act::Count { desk },
        28 if b % 8 == 1 => Act::Delete { desk },
        28 => Act::Credit { desk, envelopes: 9, bytes: 9_999 },
        29 if b % 4 != 0 => Act::Ping,
        29 => Act::Cut,
        30 => {
            let times = [1, 3, 20, 61, 121, 700, 4_000, 90_000, 2_000_000];
            Act::Wait { seconds: pick(b, &times) }
        }
        _ if b % 4 != 0 => Act::Forget,
        _ => Act::Crash { seed: c },
    }
}

const fn open(place: u8, key: u8) -> Act {
    Act::Open { desk: place, place, key: Some(key), anew: false, forged: false }
}

fn pick<T: Copy>(by: u8, of: &[T]) -> T {
    of[usize::from(by) % of.len()]
}

fn class(by: u8) -> MailboxClass {
    pick(by, &[MailboxClass::Inbox, MailboxClass::Conversation, MailboxClass::Room])
}

fn envelope(by: u8) -> EnvelopeClass {
    let (normal, quiet, live) = (EnvelopeClass::Normal, EnvelopeClass::Quiet, EnvelopeClass::Live);
    pick(by, &[normal, normal, normal, quiet, live])
}

const fn rights(bits: u8) -> Rights {
    Rights {
        read: bits & 1 != 0,
        write: bits & 6 != 0,
        take: bits & 8 != 0,
        manage: bits & 48 == 48,
    }
}

fn named(by: u8) -> Named {
    pick(by, &[Named::Right, Named::Right, Named::Right, Named::Right, Named::Wrong, Named::None])
}

fn after(by: u8) -> After {
    let of = [After::Delivered, After::Start, After::Back(by / 8), After::Back(0)];
    if by == u8::MAX { After::Ahead } else { pick(by, &of) }
}
