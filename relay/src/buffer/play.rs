//! Random plays: what the real buffer shows, act by act, the model shows too.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use restante_spec::ids::UnixTime;
use restante_spec::limits;

use super::conformance::{ALL, NOW, Rig, append, mailbox, row};
use super::memory::MemoryBuffer;
use super::redb::RedbBuffer;
use super::{Act, AppendAct, Buffer, Part};

/// What the model test does to both.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Create(u8),
    Append {
        mailbox: u8,
        id: u32,
        size: usize,
        ttl: u64,
        epoch: bool,
        commit: bool,
    },
    Trim {
        mailbox: u8,
        back: usize,
    },
    Delete(u8),
    Later(u64),
    /// The process ends without a word; another begins. The model lives on.
    Crash,
}

/// Plays of at most 80 steps, all within the time ids are remembered: the model never forgets.
pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mailbox = 1_u8..4;
    let appended =
        (1_u8..4, 0_u32..40, 0_usize..300, 1_u64..90, any::<bool>(), prop::bool::weighted(0.1));
    let append = appended.prop_map(|(mailbox, id, size, ttl, epoch, commit)| Step::Append {
        mailbox,
        id,
        size,
        ttl,
        epoch,
        commit: commit && epoch,
    });
    let step = prop_oneof![
        1 => mailbox.clone().prop_map(Step::Create),
        12 => append,
        2 => (mailbox.clone(), 0_usize..6).prop_map(|(mailbox, back)| Step::Trim { mailbox, back }),
        1 => mailbox.prop_map(Step::Delete),
        2 => (1_u64..30).prop_map(Step::Later),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..80).prop_map(|mut steps| {
        let mut left = u64::from(limits::DEDUP_WINDOW.get()) - 1;
        for step in &mut steps {
            if let Step::Later(seconds) = step {
                *seconds = left.min(*seconds);
                left -= *seconds;
            }
        }
        steps
    })
}

/// What a play shows, act by act. A crash gives another buffer, if the store has one.
pub(super) fn play(
    mut rig: Rig,
    steps: &[Step],
    mut crash: impl FnMut() -> Option<Arc<dyn Buffer>>,
) -> Vec<String> {
    let mut now = NOW.get();
    let mut seen = Vec::new();
    for step in steps {
        let said = match *step {
            Step::Create(number) => {
                let rows = vec![row(Part::EPOCH, b"", Some(b"key"))];
                format!("{:?}", rig.act(number, Act::Create { rows, max_mailboxes: 3, toll: None }))
            }
            Step::Append { mailbox: number, id: which, size, ttl, epoch, commit } => {
                let part = Part { tag: Part::EPOCH, key: Vec::new() };
                let current = rig.buffer.row(mailbox(number), &part).unwrap();
                let rows =
                    if commit { vec![row(Part::EPOCH, b"", Some(b"next"))] } else { Vec::new() };
                let act = AppendAct {
                    body: Bytes::from(vec![7; size]),
                    expires_at: UnixTime::new(now + ttl),
                    epoch: current.filter(|_| epoch).map(|row| row.revision),
                    commit,
                    rows,
                    now: UnixTime::new(now),
                    ..append(which)
                };
                format!("{:?}", rig.act(number, Act::Append(act)))
            }
            Step::Trim { mailbox: number, back } => {
                let page = rig.buffer.read(mailbox(number), ALL, UnixTime::new(now)).unwrap();
                let head = rig.buffer.level(mailbox(number), UnixTime::new(now)).head;
                let upto = page.envelopes.iter().rev().nth(back).map_or(head, |found| found.seq);
                format!("{:?}", rig.act(number, Act::Write { rows: Vec::new(), trim: Some(upto) }))
            }
            Step::Delete(number) => format!("{:?}", rig.act(number, Act::Delete)),
            Step::Later(seconds) => {
                now += seconds;
                rig.buffer.tick(UnixTime::new(now));
                String::new()
            }
            Step::Crash => {
                if let Some(buffer) = crash() {
                    rig.buffer = buffer;
                    rig.buffer.tick(UnixTime::new(now));
                }
                String::new()
            }
        };
        seen.push(said);
        for number in 1..4 {
            let page = rig.buffer.read(mailbox(number), ALL, UnixTime::new(now)).unwrap();
            let seqs: Vec<_> =
                page.envelopes.iter().map(|e| (e.seq, e.prev, e.epoch, e.body.len())).collect();
            let level = rig.buffer.level(mailbox(number), UnixTime::new(now));
            seen.push(format!("{seqs:?} {level:?}"));
        }
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The real buffer does what the model does, whatever comes, number by number.
    #[test]
    fn redb_follows_the_model(steps in steps()) {
        let (redb, writer) = RedbBuffer::in_memory();
        crate::ops::tasks::Tasks::new().spawn_thread("buffer", move || writer.run()).unwrap();
        let stop = Arc::clone(&redb);
        let real = play(Rig::new(redb), &steps, || None);
        stop.stop();
        prop_assert_eq!(real, play(Rig::new(MemoryBuffer::start()), &steps, || None));
    }
}
