//! What a relay says without being asked: deliveries, and how subscriptions stand and end.

use bytes::Bytes;
use restante_spec::codes::Code;
use restante_spec::message::{Command, Deliver, EnvelopeClass, Push};

use super::answers::leave;
use super::client::{Request, Scene, Session};
use super::ledger::Moment;
use super::town::Status;

impl Session {
    /// Something that was not asked for has come.
    pub(super) fn push(&mut self, push: Push, body: &Bytes, said: Moment, scene: &mut Scene<'_>) {
        match push {
            Push::Deliver(deliver) => self.deliver(&deliver, body, said, scene),
            Push::CaughtUp { handle, head } => {
                let desk = self.desks.get_mut(&handle.get());
                if let Some(reading) = desk.and_then(|desk| desk.reading.as_mut()) {
                    scene.ledger.caught_up(reading, head);
                }
            }
            Push::Goaway { .. } => {}
            Push::Closed { handle, code, upto } => {
                let Some(desk) = self.desks.remove(&handle.get()) else { return };
                self.send(Request::Quiet, Command::Close(handle), b"");
                if let Some(reading) = &desk.reading {
                    scene.ledger.closed(reading, code, upto);
                }
                scene.town.persist(desk.seat);
                if let (Code::Gone, Some(reading)) = (code, &desk.reading) {
                    self.turned_away.insert((desk.seat, desk.key));
                    leave(&desk, reading.place, code, scene);
                }
                if code == Code::NotFound {
                    scene.town.seats[desk.seat].status = Status::Out;
                }
            }
        }
    }

    fn deliver(&mut self, deliver: &Deliver, body: &Bytes, said: Moment, scene: &mut Scene<'_>) {
        let Some(desk) = self.desks.get_mut(&deliver.handle.get()) else { return };
        let reading = desk.reading.as_mut().expect("DLV-8: a delivery without a subscription");
        if deliver.class == EnvelopeClass::Live {
            return scene.ledger.live_delivered(reading, deliver, body, said);
        }
        scene.ledger.delivered(reading, deliver, body, said);
        if deliver.commit {
            scene.town.committed(scene.ledger, deliver.id, deliver.seq);
        }
        let seat = &mut scene.town.seats[desk.seat];
        // Who was added anew while an older subscription went on reads the rest for nothing.
        let last = seat.fresh.last().map_or(seat.cursor, |(_, seq)| *seq);
        if seat.secret == desk.secret && seat.status == Status::Active && deliver.seq > last {
            seat.fresh.push((deliver.id, deliver.seq));
        }
    }
}
