//! What clients say live: to whoever is there, stored nowhere.

use bytes::Bytes;
use restante_spec::ids::{ChainNumber, EnvelopeId, Handle};
use restante_spec::message::{Append, Command, EnvelopeClass, MailboxClass};

use super::client::{Request, Scene, Session};
use super::ledger::Attempt;
use super::town::Role;
use super::workload::desk_of;

/// Says something to whoever is there (MBX-19).
pub(super) fn live(session: &mut Session, number: usize, scene: &mut Scene<'_>) {
    let seat = &scene.town.seats[number];
    let is_inbox = scene.town.mailbox(seat.place).class == MailboxClass::Inbox;
    if is_inbox || !matches!(seat.role, Role::Member | Role::Writer) {
        return;
    }
    let Some(handle) = desk_of(session, number, scene.town) else { return };
    let Some(opened) = session.desks[&handle].opened.as_ref() else { return };
    let attempt = Attempt {
        place: seat.place,
        id: EnvelopeId::new(scene.random.bytes()),
        epoch: opened.epoch,
        key: seat.key.public(),
        sent: scene.now,
    };
    let body = Bytes::from(scene.random.bytes::<16>().to_vec());
    scene.ledger.live_sent(&attempt, session.line, &body);
    let append = Append {
        handle: Handle::new(handle),
        chain: ChainNumber::new(1),
        id: attempt.id,
        class: EnvelopeClass::Live,
        ttl: None,
        epoch: attempt.epoch,
        commit: None,
    };
    session.send(Request::Live { attempt }, Command::Append(append), &body);
}
