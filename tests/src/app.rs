//! The app's program on people's homes: run, killed at random moments, and asked how far it is.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Command;

use crate::people::Person;
use crate::relay::client_program;
use crate::wire::random;

/// Kills of each side.
pub const KILLS: usize = 12;

/// Times the new side is run; with one more there is no end to it.
const RUNS: usize = 1_000;

/// Syncs both sides, killing each so often, until the new one has all history. Gives the kills and
/// how often the new one was seen amid it.
pub async fn sync_amid_kills(phone: &Person, laptop: &Person) -> (usize, usize) {
    let begun = Instant::now();
    progress(laptop.home()).await;
    let pace = begun.elapsed();
    let (done, kills) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let first = {
        let (home, done, kills) = (phone.home().to_owned(), Arc::clone(&done), Arc::clone(&kills));
        tokio::spawn(async move {
            let mut killed = 0;
            while !done.load(Ordering::SeqCst) {
                killed += usize::from(sync(&home, killed, pace).await);
            }
            kills.fetch_add(killed, Ordering::SeqCst);
        })
    };
    let (mut killed, mut amid) = (0, 0);
    let mut complete = false;
    for _ in 0..RUNS {
        killed += usize::from(sync(laptop.home(), killed, pace).await);
        match progress(laptop.home()).await {
            Some(progress) if progress["complete"] == true => {
                complete = true;
                break;
            }
            Some(progress) if progress["done"] != 0 => amid += 1,
            _ => {}
        }
    }
    assert!(complete, "all history, at last");
    done.store(true, Ordering::SeqCst);
    first.await.expect("it ends");
    (killed + kills.load(Ordering::SeqCst), amid)
}

/// Runs the app's `sync` on a home: to its end, or killed at a random moment if that is sooner, the
/// later the more often that was done; `pace` is what the app takes to do nothing. Says whether it
/// was killed.
async fn sync(home: &Path, killed: usize, pace: Duration) -> bool {
    let mut command = Command::new(client_program("restante"));
    command.arg("--home").arg(home).arg("sync").stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the app starts");
    if killed >= KILLS {
        child.wait().await.expect("it ends");
        return false;
    }
    let within = pace * u32::try_from(killed + 2).expect("a few") / 2;
    let moment = within * u32::from(u16::from_be_bytes(random())) / u32::from(u16::MAX);
    let ended = tokio::time::timeout(moment, child.wait()).await;
    if ended.is_ok() {
        return false;
    }
    // SIGKILL.
    child.kill().await.expect("killed");
    true
}

/// How far the history of a home is that no process has open.
async fn progress(home: &Path) -> Option<Value> {
    let mut command = Command::new(client_program("restante"));
    command.arg("--home").arg(home).args(["--json", "--offline", "history"]);
    let output = command.output().await.expect("the app runs");
    serde_json::from_slice(&output.stdout).ok()
}
