//! Relay headers: wire to domain and back.

use bytes::Bytes;
use prost::Message;

use super::client::{
    class_number, envelope_class, envelope_class_number, mailbox_class, rights, rights_to_wire,
};
use super::wire::{self, relay_header::Event as Wire};
use super::{
    FieldError, HeaderError, exact, malformed, optional, readers, seconds_or_none, seq_or_none,
    time_or_none, to_bytes,
};
use crate::codes::Code;
use crate::ids::{
    BlobSize, EnvelopeId, Epoch, Handle, Incarnation, Nonce, PublicKey, ReaderHash, RequestNumber,
    Seconds, Seq, Signature, Slot, SpkiHash, UnixTime,
};
use crate::message::{
    Appended, BlobPart, BlobState, Created, Credit, Deliver, Endorsement, Limits, Opened,
    PrekeyCount, Push, Refusal, RelayHeader, Reply, Welcome,
};

/// Reads a relay's header.
pub(crate) fn decode_relay(header: Bytes) -> Result<RelayHeader, HeaderError> {
    let undecodable = HeaderError {
        number: RequestNumber::default(),
        code: Code::Malformed,
        detail: "the header is no protobuf message",
    };
    let header = wire::RelayHeader::decode(header).map_err(|_| undecodable)?;
    let number = RequestNumber::new(header.number);
    let fail = |FieldError(code, detail)| HeaderError { number, code, detail };
    let unknown = FieldError(Code::Unsupported, "an event this version does not know");
    event(number, header.event.ok_or(fail(unknown))?).map_err(fail)
}

fn event(number: RequestNumber, wire: Wire) -> Result<RelayHeader, FieldError> {
    let reply = |reply| Ok(RelayHeader::Reply(number, reply));
    match wire {
        Wire::Welcome(w) => reply(Reply::Welcome(Box::new(welcome(&w)?))),
        Wire::Done(_) => reply(Reply::Done),
        Wire::Error(w) => reply(Reply::Error(refusal(w)?)),
        Wire::Created(w) => reply(Reply::Created(Created {
            epoch: optional!(Epoch, w.epoch)?,
            ttl: Seconds::new(w.ttl),
        })),
        Wire::Opened(w) => reply(Reply::Opened(Opened {
            class: mailbox_class(w.class)?,
            rights: rights(w.rights.as_ref()),
            ttl: Seconds::new(w.ttl),
            epoch: optional!(Epoch, w.epoch)?,
            from: Seq::new(w.from),
            upto: seq_or_none(w.upto),
            expires_at: time_or_none(w.expires_at),
            lagging: readers(&w.lagging)?,
            memory_first: w.memory_first,
        })),
        Wire::Appended(w) => reply(Reply::Appended(Appended {
            seq: Seq::new(w.seq),
            expires_at: UnixTime::new(w.expires_at),
            already: w.already,
            epoch: optional!(Epoch, w.epoch)?,
        })),
        Wire::Prekey(w) => reply(Reply::Prekey { last_resort: w.last_resort }),
        Wire::PrekeyCounts(w) => reply(Reply::PrekeyCounts(
            w.counts
                .into_iter()
                .map(|c| PrekeyCount {
                    slot: Slot::new(c.slot),
                    count: c.count,
                    last_resort: c.last_resort,
                })
                .collect(),
        )),
        Wire::BlobState(w) => reply(Reply::BlobState(BlobState {
            stored: BlobSize::new(w.stored),
            complete: w.complete,
            expires_at: UnixTime::new(w.expires_at),
        })),
        Wire::BlobPart(w) => reply(Reply::BlobPart(BlobPart {
            size: BlobSize::new(w.size),
            expires_at: UnixTime::new(w.expires_at),
        })),
        Wire::Deliver(w) => Ok(RelayHeader::Push(Push::Deliver(deliver(&w)?))),
        Wire::CaughtUp(w) => Ok(RelayHeader::Push(Push::CaughtUp {
            handle: Handle::new(w.handle),
            head: Seq::new(w.head),
        })),
        Wire::Goaway(w) => {
            Ok(RelayHeader::Push(Push::Goaway { after_ms: w.after_ms, jitter_ms: w.jitter_ms }))
        }
        Wire::Closed(w) => Ok(RelayHeader::Push(Push::Closed {
            handle: Handle::new(w.handle),
            code: code(w.code)?,
            upto: Seq::new(w.upto),
        })),
    }
}

fn welcome(w: &wire::Welcome) -> Result<Welcome, FieldError> {
    let e = w.endorsement.as_ref().ok_or(malformed("the endorsement is missing"))?;
    let l = w.limits.as_ref().ok_or(malformed("the limits are missing"))?;
    Ok(Welcome {
        version: w.version,
        identity: exact!(PublicKey, w.identity)?,
        nonce: exact!(Nonce, w.nonce)?,
        incarnation: exact!(Incarnation, w.incarnation)?,
        endorsement: Endorsement {
            spki: exact!(SpkiHash, e.spki)?,
            not_after: UnixTime::new(e.not_after),
            signature: exact!(Signature, e.signature)?,
        },
        limits: Limits {
            body_bytes: l.body_bytes,
            mailbox_entries: l.mailbox_entries,
            mailbox_bytes: l.mailbox_bytes,
            ttl_default: Seconds::new(l.ttl_default),
            ttl_max: Seconds::new(l.ttl_max),
            idle: Seconds::new(l.idle),
            handles: l.handles,
            requests_in_flight: l.requests_in_flight,
            credit: Credit { envelopes: l.credit_envelopes, bytes: l.credit_bytes },
            token_needed: l.token_needed,
        },
        now: UnixTime::new(w.now),
    })
}

fn deliver(w: &wire::Deliver) -> Result<Deliver, FieldError> {
    Ok(Deliver {
        handle: Handle::new(w.handle),
        seq: Seq::new(w.seq),
        prev: Seq::new(w.prev),
        epoch: optional!(Epoch, w.epoch)?,
        id: exact!(EnvelopeId, w.id)?,
        class: envelope_class(w.class)?,
        expires_at: UnixTime::new(w.expires_at),
        commit: w.commit,
        own: w.own,
    })
}

fn refusal(w: wire::Error) -> Result<Refusal, FieldError> {
    Ok(Refusal {
        code: code(w.code)?,
        retry_after: seconds_or_none(w.retry_after),
        detail: w.detail,
        upto: seq_or_none(w.upto),
        lagging: readers(&w.lagging)?,
    })
}

fn code(number: u32) -> Result<Code, FieldError> {
    Code::from_number(number)
        .ok_or(FieldError(Code::Unsupported, "an error code this version does not know"))
}

/// Writes a relay's header.
pub(crate) fn encode_relay(header: &RelayHeader) -> Vec<u8> {
    let (number, event) = match header {
        RelayHeader::Reply(number, reply) => (number.get(), reply_to_wire(reply)),
        RelayHeader::Push(push) => (0, push_to_wire(push)),
    };
    wire::RelayHeader { number, event: Some(event) }.encode_to_vec()
}

fn reply_to_wire(reply: &Reply) -> Wire {
    match reply {
        Reply::Welcome(r) => Wire::Welcome(welcome_to_wire(r)),
        Reply::Done => Wire::Done(wire::Done {}),
        Reply::Error(r) => Wire::Error(wire::Error {
            code: r.code.number(),
            retry_after: r.retry_after.map_or(0, Seconds::get),
            detail: r.detail.clone(),
            upto: r.upto.map_or(0, Seq::get),
            lagging: hashes(&r.lagging),
        }),
        Reply::Created(r) => {
            Wire::Created(wire::Created { epoch: epoch_bytes(r.epoch), ttl: r.ttl.get() })
        }
        Reply::Opened(r) => Wire::Opened(wire::Opened {
            class: class_number(r.class) as i32,
            rights: Some(rights_to_wire(r.rights)),
            ttl: r.ttl.get(),
            epoch: epoch_bytes(r.epoch),
            from: r.from.get(),
            upto: r.upto.map_or(0, Seq::get),
            expires_at: r.expires_at.map_or(0, UnixTime::get),
            lagging: hashes(&r.lagging),
            memory_first: r.memory_first,
        }),
        Reply::Appended(r) => Wire::Appended(wire::Appended {
            seq: r.seq.get(),
            expires_at: r.expires_at.get(),
            already: r.already,
            epoch: epoch_bytes(r.epoch),
        }),
        Reply::Prekey { last_resort } => Wire::Prekey(wire::Prekey { last_resort: *last_resort }),
        Reply::PrekeyCounts(counts) => {
            let counts = counts.iter().map(|c| wire::PrekeyCount {
                slot: c.slot.get(),
                count: c.count,
                last_resort: c.last_resort,
            });
            Wire::PrekeyCounts(wire::PrekeyCounts { counts: counts.collect() })
        }
        Reply::BlobState(r) => Wire::BlobState(wire::BlobState {
            stored: r.stored.get(),
            complete: r.complete,
            expires_at: r.expires_at.get(),
        }),
        Reply::BlobPart(r) => {
            Wire::BlobPart(wire::BlobPart { size: r.size.get(), expires_at: r.expires_at.get() })
        }
    }
}

fn welcome_to_wire(r: &Welcome) -> wire::Welcome {
    wire::Welcome {
        version: r.version,
        identity: to_bytes(r.identity.as_bytes()),
        nonce: to_bytes(r.nonce.as_bytes()),
        incarnation: to_bytes(r.incarnation.as_bytes()),
        endorsement: Some(wire::Endorsement {
            spki: to_bytes(r.endorsement.spki.as_bytes()),
            not_after: r.endorsement.not_after.get(),
            signature: to_bytes(r.endorsement.signature.as_bytes()),
        }),
        limits: Some(wire::Limits {
            body_bytes: r.limits.body_bytes,
            mailbox_entries: r.limits.mailbox_entries,
            mailbox_bytes: r.limits.mailbox_bytes,
            ttl_default: r.limits.ttl_default.get(),
            ttl_max: r.limits.ttl_max.get(),
            idle: r.limits.idle.get(),
            handles: r.limits.handles,
            requests_in_flight: r.limits.requests_in_flight,
            credit_envelopes: r.limits.credit.envelopes,
            credit_bytes: r.limits.credit.bytes,
            token_needed: r.limits.token_needed,
        }),
        now: r.now.get(),
    }
}

fn push_to_wire(push: &Push) -> Wire {
    match push {
        Push::Deliver(d) => Wire::Deliver(wire::Deliver {
            handle: d.handle.get(),
            seq: d.seq.get(),
            prev: d.prev.get(),
            epoch: epoch_bytes(d.epoch),
            id: to_bytes(d.id.as_bytes()),
            class: envelope_class_number(d.class) as i32,
            expires_at: d.expires_at.get(),
            commit: d.commit,
            own: d.own,
        }),
        Push::CaughtUp { handle, head } => {
            Wire::CaughtUp(wire::CaughtUp { handle: handle.get(), head: head.get() })
        }
        Push::Goaway { after_ms, jitter_ms } => {
            Wire::Goaway(wire::Goaway { after_ms: *after_ms, jitter_ms: *jitter_ms })
        }
        Push::Closed { handle, code, upto } => Wire::Closed(wire::Closed {
            handle: handle.get(),
            code: code.number(),
            upto: upto.get(),
        }),
    }
}

fn epoch_bytes(epoch: Option<Epoch>) -> Bytes {
    epoch.map_or_else(Bytes::new, |epoch| to_bytes(epoch.as_bytes()))
}

fn hashes(list: &[ReaderHash]) -> Vec<Bytes> {
    list.iter().map(|hash| to_bytes(hash.as_bytes())).collect()
}
