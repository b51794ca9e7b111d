//! The one place where tasks are started.

use std::future::Future;

use tokio::runtime::Handle;

use crate::error::Error;

/// The runtime tasks are started on.
#[derive(Debug)]
pub(crate) struct Spawner(Handle);

impl Spawner {
    /// The current runtime.
    ///
    /// # Errors
    /// [`Error::Stopped`] outside of one.
    pub(crate) fn here() -> Result<Self, Error> {
        Handle::try_current().map(Self).map_err(|_| Error::Stopped)
    }

    /// Starts a task. It ends by itself: when it is told to, or when the last handle is dropped.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.spawn(work));
    }
}

/// Does what waits for a disk or takes long, where it holds up no task.
///
/// # Errors
/// [`Error::Stopped`] outside of a runtime, or if it ends.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    Spawner::here()?.0.spawn_blocking(work).await.map_err(|_| Error::Stopped)?
}

/// Starts a task on the current runtime.
///
/// # Errors
/// [`Error::Stopped`] outside of one.
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
    Spawner::here()?.spawn(work);
    Ok(())
}
