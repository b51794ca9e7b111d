//! Backups of the relay while it is killed, and restores of them that are killed themselves.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use restante_tests::relay::{Process, program, run};
use restante_tests::wire::Wire;

use super::below;
use super::ledger::Log;
use super::post::{Shared, drain};

/// How often a backup that is done is restored and read, one in so many.
const LOOK_EVERY: usize = 5;

/// The backups that were taken.
pub(crate) struct Taken {
    home: PathBuf,
    data: PathBuf,
    /// The mailboxes that nobody reads: what was accepted in them is in a backup taken later.
    absent: Vec<Arc<Log>>,
    shared: Arc<Shared>,
    last: Mutex<Option<Backup>>,
    done: AtomicUsize,
    broken_off: AtomicUsize,
    restored: AtomicUsize,
}

/// A backup that was reported done.
#[derive(Clone)]
struct Backup {
    file: PathBuf,
    /// How many long-lived envelopes of each absent mailbox were accepted before it was asked for.
    holds: Vec<usize>,
}

/// What has become of restores that were killed.
#[derive(Debug, Default)]
pub(crate) struct Restores {
    pub(crate) killed: usize,
    /// Those that left half a directory.
    pub(crate) halves: usize,
}

impl Taken {
    pub(crate) fn new(
        home: &Path,
        data: &Path,
        absent: Vec<Arc<Log>>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            home: home.to_owned(),
            data: data.to_owned(),
            absent,
            shared,
            last: Mutex::default(),
            done: AtomicUsize::new(0),
            broken_off: AtomicUsize::new(0),
            restored: AtomicUsize::new(0),
        }
    }

    pub(crate) fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    pub(crate) fn broken_off(&self) -> usize {
        self.broken_off.load(Ordering::SeqCst)
    }

    pub(crate) fn restored(&self) -> usize {
        self.restored.load(Ordering::SeqCst)
    }

    /// A relay on a restored directory has everything the backup must hold, and only what was sent.
    async fn check_restored(&self, place: &Path, backup: &Backup) {
        let relay = Process::start(place, "127.0.0.1:0", &self.home.join("restored.log"));
        self.check(relay, backup).await;
    }

    async fn check(&self, relay: Process, backup: &Backup) {
        let mut wire = Wire::connect(relay.address()).await;
        for (handle, (log, holds)) in (1..).zip(self.absent.iter().zip(&backup.holds)) {
            wire.open(handle, log.owner.mailbox, &log.owner.key).await;
            let found = drain(&mut wire, handle, &log.owner).await;
            log.check_restored(&found, *holds);
        }
        relay.kill();
        self.restored.fetch_add(1, Ordering::SeqCst);
    }
}

/// Takes backups one after another, until the end.
pub(crate) async fn backups(taken: Arc<Taken>) {
    for number in 0.. {
        let is_last = taken.shared.is_ending();
        let file = taken.home.join(format!("backup-{number}"));
        let holds = taken.absent.iter().map(|log| log.long_lived().len()).collect();
        let (words, from) = (file.clone(), taken.data.clone());
        let made = move || run(&["backup", text(&words), "--data", text(&from)]);
        let (well, said) = tokio::task::spawn_blocking(made).await.unwrap();
        if well {
            let (well, verified) = run(&["verify", text(&file)]);
            assert!(well && verified.starts_with("whole: "), "{said}, then {verified}");
            let backup = Backup { file, holds };
            if number % LOOK_EVERY == 0 || is_last {
                let place = taken.home.join("looked");
                let (well, said) = run(&["restore", text(&backup.file), "--data", text(&place)]);
                assert!(well, "{said}");
                taken.check_restored(&place, &backup).await;
                std::fs::remove_dir_all(&place).unwrap();
            }
            taken.done.fetch_add(1, Ordering::SeqCst);
            let before = taken.last.lock().unwrap().replace(backup);
            if let Some(before) = before {
                // Who reads it just now has it open.
                std::fs::remove_file(&before.file).unwrap();
            }
        } else {
            assert!(!file.exists(), "half a backup is taken away: {said}");
            let no_relay = said.contains("no relay runs on");
            taken.broken_off.fetch_add(usize::from(!no_relay), Ordering::SeqCst);
        }
        if is_last && well {
            return;
        }
        if !well && !is_last {
            taken.shared.until_more(1).await;
        }
    }
}

/// Kills restores, and looks at what they leave, until the end.
pub(crate) async fn restores(taken: Arc<Taken>) -> Restores {
    let mut restores = Restores::default();
    while !taken.shared.is_ending() {
        tokio::task::yield_now().await;
        // A copy: the backup itself is taken away when there is a newer one.
        let (file, place) = (taken.home.join("copy"), taken.home.join("again"));
        let Some(backup) = taken.last.lock().unwrap().clone() else { continue };
        if std::fs::copy(&backup.file, &file).is_err() {
            continue;
        }
        let backup = Backup { file, ..backup };
        restores.killed += usize::from(killed(&backup.file, &place));
        let half = place.with_extension("restoring");
        if place.exists() {
            assert!(!half.exists(), "it was renamed");
            taken.check_restored(&place, &backup).await;
            std::fs::remove_dir_all(&place).unwrap();
        } else if half.exists() {
            restores.halves += 1;
            half_is_refused(&taken, &backup, &place, &half).await;
            let (well, said) = run(&["restore", text(&backup.file), "--data", text(&place)]);
            assert!(well, "once the half is gone: {said}");
            std::fs::remove_dir_all(&place).unwrap();
        }
    }
    restores
}

/// Begins a restore and kills it at some moment, mostly once it has begun to write; whether it was
/// still at work.
fn killed(file: &Path, place: &Path) -> bool {
    let mut command = Command::new(program("restante-relay"));
    command.args(["restore", text(file), "--data", text(place)]);
    let mut restoring = command.stdout(Stdio::null()).spawn().unwrap();
    let (half, is_late) = (place.with_extension("restoring"), below(4) > 0);
    let mut left = below(if is_late { 4_000 } else { 40_000 });
    while left > 0 {
        left -= usize::from(!is_late || half.exists());
        if let Some(status) = restoring.try_wait().unwrap() {
            assert!(status.success());
            return false;
        }
    }
    restoring.kill().unwrap();
    !restoring.wait().unwrap().success()
}

/// Another restore does not use what is half, nor does a relay; both say what to do. What is whole
/// and was not renamed yet is whole.
async fn half_is_refused(taken: &Taken, backup: &Backup, place: &Path, half: &Path) {
    let (well, said) = run(&["restore", text(&backup.file), "--data", text(place)]);
    assert!(!well && said.contains("restoring") && said.contains("remove"), "{said}");
    if half.join("identity.key").exists() {
        match Process::try_start(half, &taken.home.join("restored.log")) {
            Ok(relay) => taken.check(relay, backup).await,
            Err((code, said)) => {
                // The half may be that of a key's file.
                assert!(code == Some(1) && said.contains("restore"), "{said}");
            }
        }
    }
    std::fs::remove_dir_all(half).unwrap();
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
