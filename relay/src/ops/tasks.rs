//! The one spawner: every task and thread of the relay begins here, and is waited for here.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug_span, error};

/// Does two works at once: `ahead` on a thread of its own, `here` on this one. Waits for both.
///
/// # Errors
/// The system's, when it gives no thread; nothing was done then.
pub(crate) fn beside<A: Send, H>(
    name: &'static str,
    ahead: impl FnOnce() -> A + Send,
    here: impl FnOnce() -> H,
) -> std::io::Result<(A, H)> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name.to_owned());
        let ahead = thread.spawn_scoped(scope, ahead)?;
        let here = here();
        match ahead.join() {
            Ok(ahead) => Ok((ahead, here)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Starts tasks; a clone starts tasks of the same house.
#[derive(Clone)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    /// The runtime it was made on, so that threads can start tasks too; `None`: on none.
    runtime: Option<Handle>,
    /// An essential task has ended: everything ends.
    failed: CancellationToken,
}

impl Tasks {
    /// A house without tasks.
    pub(crate) fn new() -> Self {
        let runtime = Handle::try_current().ok();
        Self { tracker: TaskTracker::new(), runtime, failed: CancellationToken::new() }
    }

    /// Starts a task that may end at any time.
    #[expect(clippy::disallowed_methods, reason = "this is the one spawner")]
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = self.tracker.track_future(task).instrument(debug_span!("task", name));
        drop(match &self.runtime {
            Some(runtime) => runtime.spawn(task),
            None => tokio::spawn(task),
        });
    }

    /// Starts a task without which the relay cannot go on: when it ends, or panics, all end.
    pub(crate) fn spawn_essential(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let guard = self.failed.clone().drop_guard();
        self.spawn(name, async move {
            let _guard = guard;
            task.await;
        });
    }

    /// Does work that blocks beside the tasks; it may end at any time and is waited for.
    pub(crate) fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        drop(self.begin_blocking(work));
    }

    /// Does work that blocks beside the tasks, and waits for it; `None` if it panicked.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.begin_blocking(work).await.ok()
    }

    /// The work itself is tracked: it goes on when nobody waits for it any more.
    #[expect(clippy::disallowed_methods, reason = "this is the one spawner")]
    fn begin_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let tracked = self.tracker.token();
        tokio::task::spawn_blocking(move || {
            let _tracked = tracked;
            work()
        })
    }

    /// Starts a thread without which the relay cannot go on. The handle is to be joined last.
    ///
    /// # Errors
    /// The system's, when it gives no thread.
    pub(crate) fn spawn_thread(
        &self,
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        let guard = self.failed.clone().drop_guard();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _guard = guard;
            work();
        })
    }

    /// Waits until something essential has ended.
    pub(crate) async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Waits for every task, at most so long.
    pub(crate) async fn join(&self, deadline: Duration) {
        self.tracker.close();
        if tokio::time::timeout(deadline, self.tracker.wait()).await.is_err() {
            error!(left = self.tracker.len(), "tasks did not end in time");
        }
    }
}
