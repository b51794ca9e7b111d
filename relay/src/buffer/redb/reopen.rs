//! A store that has failed: it is closed, opened anew now and then, and what comes until then is
//! refused.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Instant;

use redb::Database;
use tracing::{error, info};

use super::open::{self, begin};
use super::{Job, Writer};
use crate::buffer::BufferError;
use crate::error::advice;
use crate::limits::REST_DOUBLINGS;
use crate::ops::metrics;

impl Writer {
    /// After a failed read: redb refuses everything once the disk has failed, until it is opened
    /// anew.
    pub(super) fn check(&mut self) {
        let Ok(database) = self.store.database() else { return };
        let works = begin(&database).and_then(|transaction| Ok(transaction.abort()?));
        drop(database);
        if let Err(cause) = works {
            self.close(&cause);
        }
    }

    /// The store, if it is open and may be written to now.
    pub(super) fn writable(&self) -> Option<Arc<Database>> {
        if self.rests > 0 { None } else { self.store.database().ok() }
    }

    /// From here on readers are told that the store is not available, and whoever writes also for a
    /// while after it is open again, if it fails again and again: a full disk stays full, and each
    /// failure costs a scan of the store.
    pub(super) fn close(&mut self, cause: &redb::Error) {
        metrics::STORE_FAILURES.count();
        let advice = if let redb::Error::Io(cause) = cause { advice(cause) } else { "" };
        error!(error = %cause, "the store failed{advice}");
        if self.failures > 0 {
            self.rests = 1 << self.failures.min(REST_DOUBLINGS);
        }
        self.failures += 1;
        self.store.set_database(None);
        self.fail_hold();
    }

    /// Whether the store is open; one that failed is opened anew, unless the writer is told to
    /// end. What was queued until then is refused: it was judged on a state that may not be what
    /// is stored.
    pub(super) fn is_open(&mut self) -> bool {
        if self.store.database().is_ok() {
            return true;
        }
        self.refuse_queued();
        if self.stopping {
            return false;
        }
        let opened = open::open(&self.opener, self.now).and_then(|opened| {
            self.store.keys_mut().reload(self.now)?;
            Ok(opened)
        });
        match opened {
            Ok((database, index)) => {
                self.reserved = index.last_number();
                self.next_chunk = self.next_chunk.max(index.newest_chunk() + 1);
                *self.store.index() = index;
                self.store.set_database(Some(Arc::new(database)));
                info!("the store is open again");
                true
            }
            Err(cause) => {
                error!(error = %cause, "cannot open the store again yet");
                false
            }
        }
    }

    /// Refuses what comes until then, or until it is told to end: an attempt to open the store is a
    /// scan of all of it. Returns whether anyone is left to submit anything.
    pub(super) fn refuse_until(&mut self, then: Instant) -> bool {
        while !self.stopping {
            match self.jobs.recv_timeout(then.saturating_duration_since(Instant::now())) {
                Ok(job) => self.refuse(job),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }

    /// Refuses all that is queued, and what comes until nothing is: it may have been judged by what
    /// is being refused here.
    pub(super) fn refuse_queued(&mut self) {
        while let Ok(job) = self.jobs.try_recv() {
            self.refuse(job);
        }
    }

    fn refuse(&mut self, job: Job) {
        match job {
            Job::Act { act, done, .. } => {
                self.queued.take(1, act.size());
                done.answer(Err(BufferError::Unavailable));
            }
            Job::Tick(now) => self.tick(now),
            Job::Check => {}
            Job::Stop => self.stopping = true,
        }
    }
}
