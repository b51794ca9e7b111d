//! History: what the account has, as archives, for a device that was linked and for the recovery
//! file.
//!
//! ```text
//!  giver   tables --> segment (write) --> blob, manifest (give) ~~~> taker
//!  taker   blob (take) --> records --> tables (read) --> how far it is ~~~> giver
//! ```
//!
//! Both note each step in their stores, and after a cut go on with the next one. Knows rows and
//! records; must not know links.

mod give;
mod read;
mod recover;
mod take;
mod want;
mod write;

use restante_spec::ids::UnixTime;

use super::Engine;
use crate::error::Error;
use crate::store::Way;
use crate::types::HistoryProgress;

impl Engine {
    /// Gives and takes history as far as it can be now; tells when to look again.
    pub(super) fn work_on_history(&mut self) -> Result<Option<UnixTime>, Error> {
        let mut next = self.begin_archives()?;
        for archive in self.store.read().archives()? {
            if archive.is_over() {
                continue;
            }
            if archive.due > self.now {
                next = next.into_iter().chain([archive.due]).min();
            } else if archive.is_taken() {
                self.take(archive)?;
            } else {
                self.give(archive)?;
            }
        }
        Ok(next)
    }

    /// Whether a segment of history is on its way that can be given or taken now.
    pub(crate) fn is_moving_history(&self) -> Result<bool, Error> {
        let db = self.store.read();
        for archive in db.archives()? {
            if archive.is_over() || archive.due > self.now {
                continue;
            }
            let segments = db.segments(&archive.id)?;
            let moves = match archive.way {
                Way::To(_) => segments.iter().any(|segment| !segment.told),
                Way::From(_) => !segments.is_empty(),
            };
            if moves {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How far the history is that other devices give; `None`: none does.
    pub(crate) fn history_progress(&self) -> Result<Option<HistoryProgress>, Error> {
        take::progress(self.store.read())
    }
}
