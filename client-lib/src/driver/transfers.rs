//! Transfers: parts of blobs leave and come, a few at a time beside the messages, and their answers
//! say how far each is.
//!
//! Knows handles and what is under way; what a transfer asks for and what an answer changes is the
//! engine's.

use bytes::Bytes;
use restante_spec::codes::{Code, Retry};
use restante_spec::ids::Handle;
use restante_spec::message::{Refusal, Reply};

use super::channel::Phase;
use super::flight::{Course, Flight, FlightNumber};
use super::pump::Desk;
use super::relay::Purpose;
use crate::engine::Ask;
use crate::error::Error;
use crate::limits::TRANSFER_WINDOW;
use crate::store::{Errand, TransferRow};
use crate::types::TransferId;

impl Desk<'_> {
    /// Asks for what may be asked for now, one request for each transfer in turn.
    pub(super) fn work_on_transfers(&mut self, all: &[TransferRow]) -> Result<(), Error> {
        let name = self.relay.name.clone();
        let rows: Vec<_> = all.iter().filter(|row| row.relay == name).collect();
        let Some(up) = self.relay.up() else { return Ok(()) };
        // What has ended asks for nothing.
        up.flights.retain(|id, _| rows.iter().any(|row| row.id == *id));
        for row in &rows {
            self.begin_flight(row, &rows)?;
        }
        while let Some((row, number, ask)) = self.next_ask(&rows) {
            self.ask_for(row, number, ask)?;
        }
        Ok(())
    }

    /// Begins a flight where there is none on the handle that is open now.
    fn begin_flight(&mut self, row: &TransferRow, all: &[&TransferRow]) -> Result<(), Error> {
        let course = self.course_of(row)?;
        let flight = self.relay.up().and_then(|up| up.flights.get(&row.id));
        if flight.is_some_and(|flight| Some(flight.course) == course) {
            return Ok(());
        }
        // Its handle was given back, or it is asked for something else now.
        self.end_flight(&row.id);
        let Some(course) = course else { return Ok(()) };
        if self.relay.transfer_pauses.has(&row.id, self.now())
            || (course.errand == Errand::Upload && self.is_making_room(all))
        {
            return Ok(());
        }
        let start = match course.errand {
            Errand::Upload | Errand::Withdraw => None,
            Errand::Download => match self.engine.resume_download(row)? {
                Some(start) => Some(start),
                None => return Ok(()),
            },
        };
        let Some(up) = self.relay.up() else { return Ok(()) };
        up.next_flight = up.next_flight.wrapping_add(1);
        let number = FlightNumber(up.next_flight);
        let flight = match start {
            None => Flight::asking(number, course, row.size),
            Some(start) => Flight::reading(number, course, row.size, start),
        };
        up.flights.insert(row.id, flight);
        Ok(())
    }

    /// Whether the relay is forgetting a blob, whose room the next one may need (BLB-7).
    fn is_making_room(&mut self, all: &[&TransferRow]) -> bool {
        let Some(up) = self.relay.up() else { return false };
        all.iter().any(|row| row.errand() == Errand::Withdraw && up.flights.contains_key(&row.id))
    }

    /// What a transfer is asked for and where; `None`: not now.
    fn course_of(&mut self, row: &TransferRow) -> Result<Option<Course>, Error> {
        let errand = row.errand();
        let Some(mailbox) = row.mailbox.filter(|_| errand != Errand::Download) else {
            return Ok(Some(Course { errand, handle: None }));
        };
        if !self.may_write(&mailbox)? {
            return Ok(None);
        }
        let outlet = self.outlet(&mailbox).filter(|channel| channel.phase != Phase::Opening);
        Ok(outlet.map(|channel| Course { errand, handle: Some(channel.handle) }))
    }

    /// The next request, of the transfer with the fewest under way; the oldest of several.
    fn next_ask<'r>(
        &mut self,
        rows: &[&'r TransferRow],
    ) -> Option<(&'r TransferRow, FlightNumber, Ask)> {
        let flights = &self.relay.up()?.flights;
        if flights.values().map(Flight::under_way).sum::<usize>() >= TRANSFER_WINDOW {
            return None;
        }
        let ready = rows.iter().filter_map(|row| {
            let flight = flights.get(&row.id)?;
            Some((flight.under_way(), (*row, flight.number, flight.next_ask()?)))
        });
        ready.min_by_key(|(under_way, _)| *under_way).map(|(_, next)| next)
    }

    fn ask_for(&mut self, row: &TransferRow, number: FlightNumber, ask: Ask) -> Result<(), Error> {
        let Some(up) = self.relay.up() else { return Ok(()) };
        let nonce = up.link.welcome().nonce;
        let Some(flight) = up.flights.get_mut(&row.id) else { return Ok(()) };
        flight.handle_sent(ask);
        let handle = flight.course.handle.unwrap_or(Handle::new(0));
        match self.engine.transfer_request(row, ask, handle, &nonce)? {
            Some((command, body)) => {
                let purpose = Purpose::Transfer(row.id, number, ask);
                self.relay.request(self.pending, purpose, command, Bytes::from(body));
            }
            None => self.end_flight(&row.id),
        }
        Ok(())
    }

    /// A request of a transfer is answered.
    pub(super) fn take_transferred(
        &mut self,
        id: &TransferId,
        number: FlightNumber,
        ask: Ask,
        reply: Reply,
        body: &Bytes,
    ) -> Result<(), Error> {
        let flight = self.relay.up().and_then(|up| up.flights.get_mut(id));
        let Some(flight) = flight.filter(|flight| flight.number == number) else { return Ok(()) };
        match (ask, reply) {
            (_, Reply::Error(refusal)) => return self.take_transfer_refused(id, ask, &refusal),
            (Ask::Create, Reply::BlobState(state)) => {
                match self.engine.upload_stored(id, &state)? {
                    Some(stored) => flight.handle_created(stored),
                    None => self.end_flight(id),
                }
            }
            (Ask::Write(_), Reply::BlobState(state)) => {
                flight.handle_answered();
                self.engine.upload_stored(id, &state)?;
            }
            (Ask::Read(offset), Reply::BlobPart(part)) => {
                flight.handle_answered();
                self.engine.part_arrived(id, offset, &part, body)?;
            }
            (Ask::Delete, Reply::Done) => self.engine.transfer_withdrawn(id)?,
            // Nothing that was asked for: the same as a relay that cannot at the moment.
            (_, _) => {
                self.pause_transfer(id, &Refusal::new(Code::Unavailable, ""));
                return Ok(());
            }
        }
        self.relay.transfer_pauses.end(id);
        self.ask_anew_if_through(id);
        Ok(())
    }

    /// All was written and not all is safe: the relay is asked how far it is, after a while.
    fn ask_anew_if_through(&mut self, id: &TransferId) {
        let flight = self.relay.up().and_then(|up| up.flights.get(id));
        if flight
            .is_some_and(|flight| flight.is_through() && flight.course.errand == Errand::Upload)
        {
            self.pause_transfer(id, &Refusal::new(Code::Unavailable, ""));
        }
    }

    fn take_transfer_refused(
        &mut self,
        id: &TransferId,
        ask: Ask,
        refusal: &Refusal,
    ) -> Result<(), Error> {
        match (refusal.code, refusal.code.retry()) {
            // The commit that ended the epoch is on its way; with it comes another handle.
            (_, Retry::AfterCatchUp) => {
                if let Some(flight) = self.relay.up().and_then(|up| up.flights.get_mut(id)) {
                    flight.handle_answered();
                    flight.handle_stale();
                }
            }
            // What counts against a quota goes after days, or when a person makes room.
            (Code::Quota, _) => self.refuse_transfer(id, refusal.code)?,
            // CMD-20: the bytes are damaged, and asking again ends the link again.
            (Code::Internal, _) if matches!(ask, Ask::Read(_)) => {
                self.refuse_transfer(id, refusal.code)?;
            }
            // LIM-25 among others: no sooner than the relay says (ADM-7).
            (_, Retry::Later | Retry::Reconnect) => self.pause_transfer(id, refusal),
            (code, Retry::Never) => self.refuse_transfer(id, code)?,
        }
        Ok(())
    }

    fn refuse_transfer(&mut self, id: &TransferId, code: Code) -> Result<(), Error> {
        self.end_flight(id);
        self.engine.transfer_refused(id, code)
    }

    /// What is under way is let go; after the pause another flight goes on where it was.
    fn pause_transfer(&mut self, id: &TransferId, refusal: &Refusal) {
        self.end_flight(id);
        let now = self.now();
        self.relay.transfer_pauses.begin(*id, refusal.retry_after, now);
    }

    fn end_flight(&mut self, id: &TransferId) {
        if let Some(up) = self.relay.up() {
            up.flights.remove(id);
        }
    }

    fn now(&self) -> std::time::Instant {
        tokio::time::Instant::now().into_std()
    }
}
