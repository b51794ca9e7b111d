//! Groups of 2 to 1,000 leaves: what a message and a change of membership cost in CPU and bytes,
//! with the state in an encrypted store that is committed durably.
//!
//! A *blank* tree is one whose leaves never committed, but for the one who made it. In a *full* one
//! every leaf has; in a *sparse* one each sixteenth. CPU is this thread's, so that it says little
//! of what else the machine does; bytes are exact.

use std::time::SystemTime;

use restante_crypto::{
    Change, Conversation, Error, LeafNumber, PendingCommit, Processed, RecordPlace, Suite,
};
use restante_spec::content::{GroupKind, GroupState};
use restante_spec::ids::ReaderHash;
use restante_spec::limits::COMMIT_READERS;
use restante_tests::groups::provider;

use super::conversation::{Device, MAILBOX, place};
use super::process::cpu_us;
use super::report::{Report, median};

/// Messages of one transaction when many are received.
const BATCH: usize = 64;
/// Bytes of the contents whose records are weighed.
const CONTENTS: [usize; 4] = [100, 700, 4_000, 16_000];

/// Who has committed in a group that is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tree {
    Blank,
    Sparse,
    Full,
}

/// Every group and how large one grows whose leaves never commit; or the groups with `GROUPS_ONLY`
/// in their names, for 1,000 full leaves are made in minutes.
pub fn run(quick: bool, report: &mut Report) {
    use Suite::{Classical, Hybrid};
    use Tree::{Blank, Full, Sparse};
    let large = if quick { 200 } else { 1_000 };
    let groups = [
        (Classical, 2, Blank),
        (Classical, 10, Blank),
        (Classical, 100, Blank),
        (Classical, large, Sparse),
        (Classical, 2, Full),
        (Classical, 10, Full),
        (Classical, 100, Full),
        (Classical, large, Full),
        (Hybrid, 2, Blank),
        (Hybrid, 10, Blank),
        (Hybrid, 2, Full),
        (Hybrid, 10, Full),
        (Hybrid, 64, Full),
    ];
    let only = std::env::var("GROUPS_ONLY").unwrap_or_default();
    for (suite, leaves, tree) in groups {
        let group_name = format!("{}.{leaves}.{}", name(suite), tree.name());
        if !group_name.contains(&only) {
            continue;
        }
        let begun = SystemTime::now();
        let folder = tempfile::tempdir().expect("a folder");
        let mut group = Group::make(suite, leaves, tree, folder.path());
        group.name = format!("groups.{group_name}");
        if (leaves, tree) == (2, Blank) {
            group.weigh(report);
        }
        group.messages(if quick { 1 } else { 5 }, report);
        group.changes(if quick { 1 } else { 3 }, report);
        let took = begun.elapsed().map_or(0.0, |took| took.as_secs_f64());
        println!("{}: made and measured in {took:.0} s", group.name);
    }
    for suite in [Classical, Hybrid].into_iter().filter(|_| only.is_empty()) {
        let most = most_blank(suite) as f64;
        report.note(&format!("groups.{}.most_blank", name(suite)), most, "leaves", None);
    }
}

impl Tree {
    const fn name(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Sparse => "sparse",
            Self::Full => "full",
        }
    }

    /// How many one member adds before the newest goes on.
    const fn step(self) -> usize {
        match self {
            Self::Blank | Self::Sparse => COMMIT_READERS,
            Self::Full => 1,
        }
    }
}

const fn name(suite: Suite) -> &'static str {
    match suite {
        Suite::Hybrid => "hybrid",
        Suite::Classical => "classical",
    }
}

/// A device in the conversation.
struct Member {
    device: Device,
    conversation: Conversation,
}

impl Member {
    fn add(&mut self, place: &RecordPlace, devices: &[Device]) -> Result<PendingCommit, Error> {
        let packages: Vec<_> =
            devices.iter().map(|device| device.package(self.conversation.suite())).collect();
        self.commit(place, Change { add: &packages, ..Change::default() })
    }

    fn commit(&mut self, place: &RecordPlace, change: Change<'_>) -> Result<PendingCommit, Error> {
        let storage = provider(&self.device.store);
        self.conversation.commit(&storage, &self.device.own(), place, change)
    }

    fn merge(&mut self) {
        self.conversation.merge_pending(&provider(&self.device.store)).expect("merged");
    }

    fn join(device: Device, welcome: &[u8]) -> Self {
        let storage = provider(&device.store);
        let conversation = Conversation::join(&storage, MAILBOX, welcome).expect("joined");
        Self { device, conversation }
    }

    fn read(&mut self, place: &RecordPlace, record: &[u8]) -> Processed {
        let storage = provider(&self.device.store);
        let read = self.conversation.process(&storage, place, record).expect("processed");
        assert!(!matches!(read, Processed::Refused(_)), "{read:?}");
        read
    }

    /// What `step` costs this thread with a durable transaction around it, us.
    fn durably<T>(&mut self, step: impl FnOnce(&mut Self) -> T) -> (T, f64) {
        let begun = cpu_us();
        self.device.store.execute_batch("BEGIN IMMEDIATE").expect("begun");
        let came = step(self);
        self.device.store.execute_batch("COMMIT").expect("durable");
        (came, cpu_us() - begun)
    }
}

/// Two members of a group; the others have no state here.
struct Group {
    name: String,
    leaves: usize,
    a: Member,
    b: Member,
    number: u16,
    folder: std::path::PathBuf,
}

impl Group {
    /// Makes a group. Where leaves shall have committed, each who joined adds the next ones, and
    /// nobody needs to read what another committed.
    fn make(suite: Suite, leaves: usize, tree: Tree, folder: &std::path::Path) -> Self {
        let mut number = 0;
        let mut device = |kept: bool| {
            number += 1;
            if kept { Device::new(number, folder) } else { Device::passing(number) }
        };
        let mut a = create(device(tree == Tree::Blank || leaves == 2), suite);
        let mut b = None;
        let mut there = 1;
        while there < leaves {
            let batch = tree.step().min(leaves - there);
            there += batch;
            let kept = there + tree.step() >= leaves;
            let mut added: Vec<Device> = (1..batch).map(|_| device(false)).collect();
            added.push(device(kept));
            let pending = a.add(&place(0), &added).expect("added");
            a.merge();
            let newest = added.pop().expect("a device");
            let joined = Member::join(newest, &pending.welcome.expect("a welcome"));
            if tree == Tree::Blank {
                b = Some(joined);
            } else {
                b = Some(std::mem::replace(&mut a, joined));
            }
        }
        let mut b = b.expect("two members");
        if tree != Tree::Blank {
            // The newest has not committed yet.
            let place = place(0);
            let pending = a.commit(&place, Change::default()).expect("committed");
            a.merge();
            b.read(&place, &pending.record);
        }
        assert_eq!(a.conversation.members().len(), leaves);
        Self { name: String::new(), leaves, a, b, number, folder: folder.to_owned() }
    }

    fn note(&self, report: &mut Report, what: &str, value: f64, unit: &'static str) {
        report.note(&format!("{}.{what}", self.name), value, unit, None);
    }

    /// One message to a transaction, sent and received, and many received in one.
    fn messages(&mut self, rounds: usize, report: &mut Report) {
        let (mut sent, mut one, mut many) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let mut used = 0.0;
            let records: Vec<_> = (0..2 * BATCH)
                .map(|_| {
                    let place = place(0);
                    let (record, cpu) = self.a.durably(|a| say(a, &place, 700));
                    used += cpu;
                    (place, record)
                })
                .collect();
            sent.push(used / records.len() as f64);
            let (first, second) = records.split_at(BATCH);
            let alone = first
                .iter()
                .map(|(place, record)| self.b.durably(|b| drop(b.read(place, record))).1);
            one.push(alone.sum::<f64>() / BATCH as f64);
            let ((), cpu) = self.b.durably(|b| {
                for (place, record) in second {
                    b.read(place, record);
                }
            });
            many.push(cpu / BATCH as f64);
        }
        self.note(report, "send_cpu_us", median(sent), "us");
        self.note(report, "receive_cpu_us", median(one), "us");
        self.note(report, "receive_64_cpu_us", median(many), "us");
    }

    /// What contents weigh; the same in a group of any size.
    fn weigh(&mut self, report: &mut Report) {
        let suite = name(self.a.conversation.suite());
        for size in CONTENTS {
            let place = place(0);
            let record = say(&mut self.a, &place, size);
            let inner = self.inner(&place, &record);
            let name = format!("groups.{suite}.message_{size}");
            report.note(&format!("{name}_mls_bytes"), inner, "B", None);
            report.note(&format!("{name}_record_bytes"), record.len() as f64, "B", None);
        }
    }

    /// Bytes of the MLS message in a record of the present epoch.
    fn inner(&self, place: &RecordPlace, record: &[u8]) -> f64 {
        let key = self.b.conversation.record_key().expect("a member");
        key.open(place, record).expect("opened").message().len() as f64
    }

    /// Update, remove one, add one. Bytes are those of the first round: later the tree is another.
    fn changes(&mut self, rounds: usize, report: &mut Report) {
        let mut figures: Vec<(&str, Vec<f64>, &'static str)> = Vec::new();
        for _ in 0..rounds {
            let mut found = self.change("update", &[], &[]);
            if self.leaves == 2 {
                found.extend(self.add_one());
                found.extend(self.change("remove", &[], &[LeafNumber::new(2)]));
            } else {
                let middle = u32::try_from(self.leaves / 2).expect("a leaf");
                found.extend(self.change("remove", &[], &[LeafNumber::new(middle)]));
                found.extend(self.add_one());
            }
            for (what, value, unit) in found {
                match figures.iter_mut().find(|(known, ..)| *known == what) {
                    Some((_, values, _)) => values.push(value),
                    None => figures.push((what, vec![value], unit)),
                }
            }
        }
        for (what, values, unit) in figures {
            let value = if unit == "B" { values[0] } else { median(values) };
            self.note(report, what, value, unit);
        }
    }

    fn add_one(&mut self) -> Vec<(&'static str, f64, &'static str)> {
        self.number += 1;
        let newest = Device::new(self.number, &self.folder);
        self.change("add", &[newest], &[])
    }

    /// What one commit costs who makes it, who reads it, and who joins by it.
    fn change(
        &mut self,
        what: &'static str,
        add: &[Device],
        remove: &[LeafNumber],
    ) -> Vec<(&'static str, f64, &'static str)> {
        let suite = self.a.conversation.suite();
        let packages: Vec<_> = add.iter().map(|device| device.package(suite)).collect();
        let place = place(0);
        let change = Change { add: &packages, remove, state: None };
        let (pending, made) = self.a.durably(|a| a.commit(&place, change));
        let pending = pending.expect("committed");
        let inner = self.inner(&place, &pending.record);
        let ((), merged) = self.a.durably(Member::merge);
        let ((), read) = self.b.durably(|b| drop(b.read(&place, &pending.record)));
        let mut found = named(what, [made, merged, read, inner, pending.record.len() as f64]);
        if let (Some(welcome), [newest]) = (pending.welcome, add) {
            let begun = cpu_us();
            let transaction = newest.store.unchecked_transaction().expect("begun");
            Conversation::join(&provider(&newest.store), MAILBOX, &welcome).expect("joined");
            transaction.commit().expect("durable");
            found.push(("join_cpu_us", cpu_us() - begun, "us"));
            found.push(("welcome_bytes", welcome.len() as f64, "B"));
        }
        found
    }
}

/// The figures of a commit under their names.
fn named(what: &str, values: [f64; 5]) -> Vec<(&'static str, f64, &'static str)> {
    let names = match what {
        "update" => [
            "update_cpu_us",
            "update_merge_cpu_us",
            "update_read_cpu_us",
            "update_mls_bytes",
            "update_record_bytes",
        ],
        "remove" => [
            "remove_cpu_us",
            "remove_merge_cpu_us",
            "remove_read_cpu_us",
            "remove_mls_bytes",
            "remove_record_bytes",
        ],
        _ => [
            "add_cpu_us",
            "add_merge_cpu_us",
            "add_read_cpu_us",
            "add_mls_bytes",
            "add_record_bytes",
        ],
    };
    let units = ["us", "us", "us", "B", "B"];
    names
        .into_iter()
        .zip(values)
        .zip(units)
        .map(|((name, value), unit)| (name, value, unit))
        .collect()
}

fn create(device: Device, suite: Suite) -> Member {
    let storage = provider(&device.store);
    let reader = ReaderHash::new([1; 32]);
    let state = GroupState::new(GroupKind::Group([1; 16]), 1).encode().expect("a state");
    let conversation =
        Conversation::create(&storage, &device.own(), MAILBOX, suite, &reader, &state);
    Member { conversation: conversation.expect("created"), device }
}

fn say(member: &mut Member, place: &RecordPlace, size: usize) -> Vec<u8> {
    let (storage, own) = (provider(&member.device.store), member.device.own());
    let content = vec![0x5a; size];
    member.conversation.encrypt(&storage, &own, place, &content).expect("encrypted")
}

/// How many leaves one device can gather before its commit fits no envelope (CNV-9), if none of the
/// others commits.
fn most_blank(suite: Suite) -> usize {
    let mut a = create(Device::passing(0), suite);
    let mut number = 0;
    let mut batch = COMMIT_READERS;
    while batch > 0 {
        let room = suite.max_leaves() - a.conversation.members().len();
        let devices: Vec<Device> = (0..batch.min(room))
            .map(|_| {
                number += 1;
                Device::passing(number)
            })
            .collect();
        match a.add(&place(0), &devices) {
            Ok(_) if !devices.is_empty() => a.merge(),
            Ok(_) => return a.conversation.members().len(),
            Err(Error::TooLarge { .. }) => batch /= 2,
            Err(other) => panic!("{other}"),
        }
    }
    a.conversation.members().len()
}
