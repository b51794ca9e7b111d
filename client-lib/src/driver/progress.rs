//! What can be watched from outside: how far a round is, what is in the way, how the link stands.

use super::Driver;
use super::channel::Phase;
use super::relay::{LinkState, Relay};
use crate::error::Error;
use crate::events::{Event, Notice};
use crate::net::LinkError;
use crate::store::JobKind;
use crate::types::{Collected, ConnectionState, ContactState, Fate};
use restante_spec::codes::Code;
use restante_spec::message::Refusal;

/// How far things are. Every change of it is seen by whoever waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Rises with every `collect`.
    pub(crate) round: u64,
    /// Nothing is left to do that can be done now.
    pub(crate) settled: bool,
    /// Why the own relay cannot be used, if so.
    pub(crate) problem: Option<Error>,
    /// Rises with every event.
    revision: u64,
    messages: u32,
    requests: u32,
    sent: u32,
    queued: u32,
}

impl Progress {
    /// Whether waiting longer brings nothing: all is done, or the own relay will not have it.
    pub(crate) fn is_over(&self) -> bool {
        self.settled || self.problem.as_ref().is_some_and(|problem| !problem.is_retryable())
    }

    /// What a round came to that began at another moment.
    pub(crate) fn outcome(&self, before: &Self) -> Result<Collected, Error> {
        match &self.problem {
            Some(problem) if !self.settled || problem.is_about_a_token() => Err(problem.clone()),
            _ => Ok(Collected {
                messages: self.messages.saturating_sub(before.messages),
                requests: self.requests.saturating_sub(before.requests),
                sent: self.sent.saturating_sub(before.sent),
                queued: self.queued,
            }),
        }
    }
}

impl Driver {
    /// A new round: everything is tried at once, also what is in a pause, and every log is opened
    /// anew: only then its relay says that what it has stored until now is here (DLV-4).
    pub(super) fn begin_round(&mut self) {
        let names: Vec<String> = self.relays.keys().cloned().collect();
        for name in &names {
            let Some(mut desk) = self.desk(name) else { continue };
            desk.relay.forget_pauses();
            desk.reopen_current();
        }
        self.progress.send_modify(|progress| {
            progress.round += 1;
            progress.settled = false;
            // Another token is given by itself: until then there is nothing new to ask.
            progress.problem.take_if(|problem| !problem.is_about_a_token());
        });
    }

    pub(super) fn note_problem(&mut self, error: Error) {
        self.progress.send_modify(|progress| progress.problem = Some(error));
    }

    pub(super) fn clear_problem(&mut self) {
        self.progress.send_modify(|progress| progress.problem = None);
    }

    pub(super) fn note_link_problem(&mut self, relay: &str, error: LinkError) {
        if self.engine.is_own_relay(relay) {
            self.note_problem(error.into());
        }
    }

    pub(super) fn note_refusal(
        &mut self,
        relay: &str,
        job: JobKind,
        refusal: &Refusal,
    ) -> Result<(), Error> {
        if !self.engine.is_own_relay(relay) {
            return Ok(());
        }
        let needs_token = self.relays.get_mut(relay).is_some_and(Relay::needs_token);
        let problem =
            match (refusal.code, job) {
                // Without an inbox there is nothing else to do, and waiting does not help (ADM-1).
                (Code::Admission, JobKind::CreateInbox) if needs_token => {
                    if self.engine.has_token()? { Error::TokenRefused } else { Error::TokenNeeded }
                }
                // An account that has one goes on with what it has.
                (Code::Admission, JobKind::CreateConversation | JobKind::CreateRoom) => {
                    self.engine.notice(Notice::NotAdmitted);
                    Error::Refused(Code::Admission)
                }
                (code, _) => Error::Refused(code),
            };
        self.note_problem(problem);
        Ok(())
    }

    /// Tells what has happened, and how far things are now.
    pub(super) fn publish(&mut self) {
        let told = self.engine.take_events();
        let settled = self.online && self.is_settled();
        let queued = self.engine.queued();
        let state = self.connection_state();
        self.progress.send_if_modified(|progress| {
            let before = progress.clone();
            for event in &told {
                progress.revision += 1;
                match event {
                    Event::Message(message) if message.fate == Fate::Received => {
                        progress.messages += 1
                    }
                    Event::Contact(contact) if contact.state == ContactState::Incoming => {
                        progress.requests += 1;
                    }
                    Event::Fate { fate: Fate::Accepted, .. } => progress.sent += 1,
                    _ => {}
                }
            }
            (progress.settled, progress.queued) = (settled, queued);
            *progress != before
        });
        self.state.send_if_modified(|now| std::mem::replace(now, state) != state);
        for event in told {
            self.events.tell(event);
        }
    }

    /// Whether there is nothing left that can be done now: the own relay is up to date, and every
    /// other one is too, or cannot be reached.
    fn is_settled(&mut self) -> bool {
        let Ok(jobs) = self.engine.runnable_jobs() else { return false };
        let own = self.engine.own_address().to_owned();
        if !self.relays.contains_key(&own) {
            return false;
        }
        let Ok(wanted) = self.engine.wanted_relays() else { return false };
        wanted.iter().all(|name| {
            let Some(relay) = self.relays.get_mut(name) else { return false };
            match &relay.link {
                LinkState::Away(_) | LinkState::Connecting(_) if relay.failed => *name != own,
                LinkState::Away(_) | LinkState::Connecting(_) => false,
                LinkState::Up(_) => {
                    let Some(mut desk) = self.desk(name) else { return false };
                    let jobs = jobs.iter().filter(|job| job.what.relay == *name);
                    let done = jobs.into_iter().all(|job| desk.relay.is_paused(&job.what.mailbox));
                    done && desk.is_up_to_date().unwrap_or(false)
                }
            }
        })
    }

    fn connection_state(&mut self) -> ConnectionState {
        if !self.online {
            return ConnectionState::Offline;
        }
        let own = self.engine.own_address().to_owned();
        let Some(mut desk) = self.desk(&own).filter(|desk| desk.relay.is_up()) else {
            return ConnectionState::Connecting;
        };
        if desk.is_up_to_date().unwrap_or(false) {
            ConnectionState::Online
        } else {
            ConnectionState::Collecting
        }
    }
}

impl super::pump::Desk<'_> {
    /// Whether everything that is read on this relay is current, and everything that can be
    /// written there is; what is in a pause is not waited for.
    fn is_up_to_date(&mut self) -> Result<bool, Error> {
        let busy = self.relay.up().is_some_and(|up| !up.busy.is_empty());
        if busy {
            return Ok(false);
        }
        if let Some(inbox) = self.engine.own_inbox(&self.relay.name)?
            && self.phase(&inbox) != Some(Phase::Current)
        {
            return Ok(false);
        }
        if self.engine.waits_for_blobs(&self.relay.name)? {
            return Ok(false);
        }
        if self.engine.is_own_relay(&self.relay.name) && self.engine.is_moving_history()? {
            return Ok(false);
        }
        for mailbox in self.engine.conversations_on(&self.relay.name)? {
            if self.relay.is_paused(&mailbox) {
                continue;
            }
            let idle = self
                .relay
                .up()
                .and_then(|up| up.channels.get(&mailbox))
                .is_some_and(|channel| channel.phase == Phase::Current && channel.is_idle());
            if !idle || self.engine.has_outgoing(&mailbox)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
