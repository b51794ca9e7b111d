//! What can be done now is begun: links, openings, jobs, appends. Looks at everything anew each
//! time.

use std::collections::BTreeSet;

use futures_util::stream::FuturesUnordered;
use restante_spec::ids::MailboxId;
use tokio::time::Instant;

use super::channel::Phase;
use super::relay::{LinkNumber, LinkState, Relay};
use super::{Driver, Outcome, Pending};
use crate::engine::{Engine, is_theirs};
use crate::error::Error;
use crate::store::{Job, TransferRow};

/// One relay, and what is needed to work on it.
pub(super) struct Desk<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) pending: &'a FuturesUnordered<Pending>,
    pub(super) relay: &'a mut Relay,
}

impl Driver {
    /// Begins what can be begun. What is live is sent now or never.
    pub(super) fn pump(&mut self) -> Result<(), Error> {
        self.engine.housekeeping(self.online)?;
        self.engine.remove_litter()?;
        if self.online {
            self.begin()?;
        }
        self.engine.forget_live();
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Error> {
        self.engine.fetch_wanted()?;
        let transfers = self.engine.owed_transfers()?;
        let wanted = self.engine.wanted_relays()?;
        self.relays.retain(|name, _| wanted.contains(name));
        for name in wanted {
            if !self.relays.contains_key(&name) {
                let address = name.parse()?;
                self.relays.insert(name.clone(), Relay::new(name, address));
            }
        }
        let names: Vec<String> = self.relays.keys().cloned().collect();
        for name in &names {
            self.connect_if_due(name);
        }
        let jobs = self.engine.runnable_jobs()?;
        for name in &names {
            if let Some(mut desk) = self.desk(name) {
                desk.work(&jobs, &transfers)?;
            }
        }
        Ok(())
    }

    /// The relay of this name.
    pub(super) fn desk(&mut self, name: &str) -> Option<Desk<'_>> {
        let relay = self.relays.get_mut(name)?;
        Some(Desk { engine: &mut self.engine, pending: &self.pending, relay })
    }

    fn connect_if_due(&mut self, name: &str) {
        let now = Instant::now();
        let Some(relay) = self.relays.get_mut(name) else { return };
        if relay.up().is_some_and(|up| up.leave_at.is_some_and(|at| at <= now)) {
            relay.handle_lost(None);
        }
        if !matches!(relay.link, LinkState::Away(until) if until <= now) {
            return;
        }
        self.next_link += 1;
        relay.link = LinkState::Connecting(LinkNumber(self.next_link));
        let (name, link) = (relay.name.clone(), (self.dial)(relay.address.clone()));
        self.pending.push(Box::pin(async move { Outcome::Connected(name, link.await) }));
    }
}

impl Desk<'_> {
    /// Begins what can be begun on a link that is there.
    fn work(&mut self, jobs: &[Job], transfers: &[TransferRow]) -> Result<(), Error> {
        let Some(up) = self.relay.up() else { return Ok(()) };
        if up.leave_at.is_some() {
            return Ok(());
        }
        let readable = self.open_what_is_read()?;
        let name = self.relay.name.clone();
        for job in jobs.iter().filter(|job| job.what.relay == name) {
            let done = self.work_on_job(job);
            self.contain(job.what.mailbox, done)?;
        }
        for mailbox in readable {
            let sent = self.send_what_can_be_sent(mailbox).and_then(|()| self.send_live(mailbox));
            self.contain(mailbox, sent)?;
        }
        // Behind the messages, so that no part is before one that could leave now.
        self.work_on_transfers(transfers)
    }

    /// Opens the own inbox and the conversations that are on this relay, and gives back those
    /// conversations; what is open and not read any more is closed by the jobs that used it.
    fn open_what_is_read(&mut self) -> Result<BTreeSet<MailboxId>, Error> {
        if let Some(inbox) = self.engine.own_inbox(&self.relay.name)? {
            self.open_unless_open(inbox)?;
        }
        let conversations = self.engine.conversations_on(&self.relay.name)?;
        for mailbox in &conversations {
            let opened = self.open_unless_open(*mailbox);
            self.contain(*mailbox, opened)?;
        }
        Ok(conversations)
    }

    /// What is wrong with what came from others concerns the mailbox it came to: that one is left
    /// alone for a while, and all others go on.
    pub(super) fn contain(
        &mut self,
        mailbox: MailboxId,
        done: Result<(), Error>,
    ) -> Result<(), Error> {
        match done {
            Err(error) if is_theirs(&error) => {
                tracing::error!(code = error.code(), %error, "a mailbox is left alone for a while");
                self.relay.pause(mailbox, None);
                Ok(())
            }
            other => other,
        }
    }

    fn open_unless_open(&mut self, mailbox: MailboxId) -> Result<(), Error> {
        let open = self.relay.up().is_some_and(|up| up.channels.contains_key(&mailbox));
        if open || self.relay.is_paused(&mailbox) {
            return Ok(());
        }
        let key = self.engine.reading_key(&mailbox)?;
        self.relay.open(self.pending, mailbox, &key);
        Ok(())
    }

    /// How far this mailbox is on the link that is there.
    pub(super) fn phase(&mut self, mailbox: &MailboxId) -> Option<Phase> {
        self.relay.up()?.channels.get(mailbox).map(|channel| channel.phase)
    }
}

#[cfg(test)]
mod tests {
    use restante_spec::address::RelayAddress;
    use restante_spec::ids::{PublicKey, UnixTime};
    use restante_spec::token::Entrance;

    use super::*;
    use crate::key::StoreKey;

    /// CNV-4. Once what MLS refused in one conversation ended all links, each second anew.
    #[test]
    fn what_is_refused_in_one_mailbox_holds_up_no_other() {
        let home = tempfile::tempdir().unwrap();
        let address = RelayAddress::new(PublicKey::new([1; 32]), "relay.example.org", 7443);
        let entrance = Entrance { address: address.unwrap(), token: None };
        let (key, now) = (StoreKey::from_bytes([7; 32]), UnixTime::new(1_800_000_000));
        let mut engine = Engine::create(home.path(), &key, &entrance, "Alice", now).unwrap();
        let mut relay = Relay::new(entrance.address.to_string(), entrance.address);
        let pending = FuturesUnordered::new();
        let mut desk = Desk { engine: &mut engine, pending: &pending, relay: &mut relay };
        let [refused, other] = [1, 2].map(|id| MailboxId::new([id; 16]));
        let wrong = || Err(restante_crypto::Error::BadKey.into());
        assert_eq!(desk.contain(refused, wrong()), Ok(()));
        assert_eq!(desk.contain(other, Ok(())), Ok(()));
        assert!(desk.relay.is_paused(&refused) && !desk.relay.is_paused(&other));
        // MBX-7: what came from one relay neither.
        let came = MailboxId::new([3; 16]);
        assert_eq!(desk.contain_taken(came, wrong()), Ok(()));
        assert!(desk.relay.is_paused(&came));
        let failed = Error::Storage("the disk is full".to_owned());
        assert_eq!(desk.contain(other, Err(failed.clone())), Err(failed.clone()));
        assert_eq!(desk.contain_taken(other, Err(failed.clone())), Err(failed));
    }
}
