//! What some answers mean for a seat beyond the request they belong to.

use bytes::Bytes;
use restante_spec::codes::Code;
use restante_spec::ids::RequestId;
use restante_spec::message::{Refusal, Reply};

use super::client::{Desk, Scene};
use super::ledger::{Moment, Place};
use super::town::{Role, Status};

/// A seat's key or reader is not there any more: it leaves, if that may be.
pub(crate) fn leave(desk: &Desk, place: Place, code: Code, scene: &mut Scene<'_>) {
    let seat = &mut scene.town.seats[desk.seat];
    let is_own = seat.secret == desk.secret && seat.key.public() == desk.key;
    if !is_own || !seat.reads() {
        return;
    }
    if seat.role == Role::Device && code != Code::Gone {
        // Its key is not allowed at the moment.
        return;
    }
    seat.status = Status::Out;
    seat.outbox.clear();
    let (reader, epoch) = (seat.reader(), scene.town.epochs.get(&desk.key).copied());
    if epoch.is_some() || seat.role != Role::Member {
        scene.ledger.gone(place, epoch, reader);
    }
}

/// A prekey was given, or not.
pub(crate) fn took(
    number: usize,
    (request, sent): (RequestId, Moment),
    answer: Result<Reply, Refusal>,
    body: &Bytes,
    scene: &mut Scene<'_>,
) {
    let seat = &mut scene.town.seats[number];
    let is_over = match answer {
        Ok(Reply::Prekey { last_resort }) => {
            scene.ledger.took(seat.place, request, body, last_resort, sent);
            // Sometimes the same is asked again.
            scene.random.permille(600)
        }
        Ok(other) => panic!("{other:?} to take_prekeys"),
        Err(refusal) => !matches!(refusal.code, Code::Unavailable | Code::Unknown),
    };
    if is_over && seat.take.is_some_and(|(kept, _)| kept == request) {
        seat.take = None;
    }
}
