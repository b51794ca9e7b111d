//! The one place where tasks are started.

use std::future::Future;

use crate::error::Error;

/// Runs a future on the current runtime.
///
/// # Errors
/// [`Error::Stopped`] outside of a runtime.
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|_| Error::Stopped)?;
    // The task ends by itself: when it is told to, or when the last handle is dropped.
    drop(runtime.spawn(work));
    Ok(())
}
