//! Tests of what others have asked for: one of them leaves room for the others.

use std::ops::RangeInclusive;

use restante_spec::content::{RepairRange, RepairRequest};
use restante_spec::ids::{PublicKey, Seq};

use super::trio::{ALICE, BOB, CAROL, Trio};
use crate::engine::contents::Speaker;
use crate::limits::REPAIRS_OWED;

/// CNV-17. Once a member who had asked for as much as is noted kept all others from being given
/// anything.
#[test]
fn who_asks_for_the_most_makes_room_for_others() {
    let mut trio = Trio::new();
    let log = trio.log();
    let device = trio.people[ALICE].engine.account.device.public();
    let [bob, carol] = [BOB, CAROL].map(|who| *trio.people[who].engine.account.id().key());
    let alice = &mut trio.people[ALICE].engine;
    let mut ask = |asker: PublicKey, counters: RangeInclusive<u64>| {
        let range = |n: u64| RepairRange { generation: 1, device, from: n, to: n };
        let ranges = counters.map(range).collect();
        let request = RepairRequest { conversation: log, ranges, behind: Seq::START };
        let asked = alice.transact(|work| {
            let row = work.db.need_log(&log)?;
            let speaker = Speaker { account: &asker, device: &asker, told: None };
            work.take_repair_request(&row, speaker, &request)
        });
        asked.unwrap();
        let owed = alice.store.read().owed_in(&log).unwrap();
        let of = |account: PublicKey| {
            let theirs = owed.iter().filter(|row| row.account == account);
            theirs.map(|row| row.first).collect::<Vec<u64>>()
        };
        (of(bob), of(carol))
    };
    let most = REPAIRS_OWED as u64;
    let rows = |from: u64, to: u64| (from..=to).collect::<Vec<u64>>();
    assert_eq!(ask(bob, 1..=most), (rows(1, most), Vec::new()));
    assert_eq!(ask(carol, 1..=1), (rows(2, most), rows(1, 1)));
    // What is owed already takes no place.
    assert_eq!(ask(bob, 2..=most), (rows(2, most), rows(1, 1)));
    assert_eq!(ask(bob, most + 1..=most + 1), (rows(3, most + 1), rows(1, 1)));
}
