//! Micro: single steps, each against the clock in many rounds, the median taken.

use std::hint::black_box;
use std::time::Instant;

use bytes::BytesMut;
use restante_crypto::{OpenChallenge, SigningKey};
use restante_spec::frame;
use restante_spec::ids::{MailboxId, Nonce, PublicKey, RequestNumber};
use restante_spec::message::{ClientHeader, Command};
use restante_tests::wire::envelope;

use super::rawlog;
use super::report::{Report, median};

/// Runs the steps and notes their figures.
pub fn run(quick: bool, report: &mut Report) {
    let rounds = if quick { 5 } else { 25 };
    let folder = tempfile::tempdir().expect("a folder");
    for batch in [1, 100, 1_000] {
        let count = batch * if quick { 50 } else { 400 };
        let rates = (0..5).map(|_| rawlog::rate(folder.path(), 1_024, batch, count)).collect();
        report.note(&format!("micro.raw_log_per_s.{batch}"), median(rates), "1/s", None);
    }
    super::letter::run(rounds, report);
    codec(rounds, report);
    proofs(rounds, report);
}

/// Nanoseconds of one step, the median of some rounds of many.
pub fn time(rounds: usize, steps: usize, mut step: impl FnMut()) -> f64 {
    let round = |_| {
        let begun = Instant::now();
        for _ in 0..steps {
            step();
        }
        begun.elapsed().as_nanos() as f64 / steps as f64
    };
    median((0..rounds).map(round).collect())
}

fn codec(rounds: usize, report: &mut Report) {
    let body = vec![0x5a; 1_024];
    let command = Command::Append(envelope(1, None));
    let header = ClientHeader { number: RequestNumber::new(5), command };
    let mut bytes = BytesMut::new();
    let encode = time(rounds, 20_000, || {
        bytes.clear();
        frame::encode_client(black_box(&header), &body, &mut bytes).expect("encoded");
    });
    report.note("micro.frame_encode_append_1k", encode, "ns", None);
    let whole = bytes.clone();
    let decode = time(rounds, 20_000, || {
        let mut input = whole.clone();
        black_box(frame::decode_client(&mut input).expect("decoded"));
    });
    report.note("micro.frame_decode_append_1k", decode, "ns", None);
}

fn proofs(rounds: usize, report: &mut Report) {
    let key = SigningKey::from_seed(&[7; 32]);
    let challenge = OpenChallenge {
        relay: PublicKey::new([1; 32]),
        nonce: Nonce::new([2; 32]),
        mailbox: MailboxId::new([3; 16]),
    };
    let proof = challenge.prove(&key);
    let verify = time(rounds, 200, || {
        challenge.verify(black_box(&key.public()), &proof).expect("a good proof");
    });
    report.note("micro.authorise_open", verify, "ns", None);
}
