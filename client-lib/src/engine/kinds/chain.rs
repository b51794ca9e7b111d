//! The hash of the log (CNT-7): whether members are shown the same.

use restante_crypto::LogChain;
use restante_spec::content::Content;
use restante_spec::message::Deliver;

use crate::engine::Work;
use crate::error::Error;
use crate::events::Notice;
use crate::limits::LOG_HASHES;
use crate::store::{LogRow, LogState};

impl Work<'_> {
    /// A record was taken; the cursor still stands before it. `begun`: it began an epoch.
    pub(in crate::engine) fn extend_chain(
        &mut self,
        log: &mut LogRow,
        envelope: &Deliver,
        begun: bool,
    ) -> Result<(), Error> {
        if log.state != LogState::Live {
            return Ok(());
        }
        // CNT-7
        if begun {
            log.forked = false;
            self.db.forget_log_hashes(&log.mailbox)?;
            log.chain = Some(self.begun_chain(&log.mailbox)?);
        } else if envelope.prev <= log.cursor {
            // What was shown stays shown, whatever the relay names as the place before.
            let then = |chain| LogChain::stored(chain).then(envelope.seq, &envelope.id);
            log.chain = log.chain.map(|chain| *then(chain).as_bytes());
        } else {
            // Something is missing, and the gap is told: until the next epoch this device cannot
            // know.
            log.chain = None;
        }
        match log.chain {
            Some(chain) => {
                let hash = LogChain::stored(chain).hash();
                self.db.put_log_hash(&log.mailbox, envelope.seq, &hash, LOG_HASHES)
            }
            None => Ok(()),
        }
    }

    /// Compares what a member had seen with what this device has; the person is told once in an
    /// epoch, and reading goes on.
    pub(in crate::engine) fn compare_logs(
        &mut self,
        log: &mut LogRow,
        content: &Content,
    ) -> Result<(), Error> {
        let Some(theirs) = content.log else { return Ok(()) };
        if log.forked || content.seen.generation != log.generation {
            return Ok(());
        }
        let own = self.db.log_hash(&log.mailbox, content.seen.seq)?;
        // CNT-7
        if own.is_some_and(|own| own != theirs) {
            log.forked = true;
            self.notice(Notice::Forked { conversation: log.conversation });
        }
        Ok(())
    }
}
