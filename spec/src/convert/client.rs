//! Client headers: wire to domain and back (CMD-1 to CMD-21).

use bytes::Bytes;
use prost::Message;

use super::wire::{self, client_header::Command as Wire};
use super::{
    FieldError, HeaderError, exact, malformed, optional, readers, seconds_or_none, time_or_none,
    to_bytes,
};
use crate::codes::Code;
use crate::ids::{
    BlobId, BlobOffset, BlobSize, ChainNumber, EnvelopeId, Epoch, Handle, MailboxId, PublicKey,
    ReaderHash, ReaderSecret, RequestId, RequestNumber, Seconds, Seq, Signature, Slot, UnixTime,
};
use crate::limits;
use crate::message::{
    Allow, Append, BlobCreate, BlobRead, ClientHeader, Command, Commit, Create, Credit,
    EnvelopeClass, Hello, MailboxClass, NextKey, Open, PutPrekeys, Rate, Rights, Subscribe, Terms,
};
use crate::token::AdmissionToken;

/// Reads a client's header.
pub(crate) fn decode_client(header: Bytes) -> Result<ClientHeader, HeaderError> {
    let undecodable = HeaderError {
        number: RequestNumber::default(),
        code: Code::Malformed,
        detail: "the header is no protobuf message",
    };
    let header = wire::ClientHeader::decode(header).map_err(|_| undecodable)?;
    let number = RequestNumber::new(header.number);
    let fail = |FieldError(code, detail)| HeaderError { number, code, detail };
    if header.number == 0 {
        return Err(fail(malformed("a request's number is never 0")));
    }
    let unknown = FieldError(Code::Unsupported, "a command this version does not know");
    let wire = header.command.ok_or(fail(unknown))?;
    Ok(ClientHeader { number, command: command(wire).map_err(fail)? })
}

fn command(wire: Wire) -> Result<Command, FieldError> {
    Ok(match wire {
        Wire::Hello(w) => {
            Command::Hello(Hello { versions: w.versions, idle: Seconds::new(w.idle) })
        }
        Wire::Ping(_) => Command::Ping,
        Wire::Create(w) => Command::Create(create(&w)?),
        Wire::Open(w) => Command::Open(Open {
            handle: Handle::new(w.handle),
            mailbox: exact!(MailboxId, w.mailbox)?,
            key: exact!(PublicKey, w.key)?,
            proof: exact!(Signature, w.proof)?,
        }),
        Wire::Close(w) => Command::Close(Handle::new(w.handle)),
        Wire::Allow(w) => Command::Allow(allow(&w)?),
        Wire::Revoke(w) => {
            Command::Revoke { handle: Handle::new(w.handle), key: exact!(PublicKey, w.key)? }
        }
        Wire::AddReader(w) => Command::AddReader {
            handle: Handle::new(w.handle),
            reader: exact!(ReaderHash, w.reader)?,
        },
        Wire::Append(w) => Command::Append(append(w)?),
        Wire::Subscribe(w) => Command::Subscribe(subscribe(&w)?),
        Wire::Credit(w) => Command::Credit {
            handle: Handle::new(w.handle),
            credit: Credit { envelopes: w.envelopes, bytes: w.bytes },
        },
        Wire::Ack(w) => Command::Ack { handle: Handle::new(w.handle), upto: Seq::new(w.upto) },
        Wire::PutPrekeys(w) => Command::PutPrekeys(PutPrekeys {
            handle: Handle::new(w.handle),
            slot: Slot::new(w.slot),
            sizes: w.sizes,
            last_resort: w.last_resort,
        }),
        Wire::TakePrekeys(w) => Command::TakePrekeys {
            handle: Handle::new(w.handle),
            slot: Slot::new(w.slot),
            request: exact!(RequestId, w.request)?,
        },
        Wire::CountPrekeys(w) => Command::CountPrekeys(Handle::new(w.handle)),
        Wire::Delete(w) => Command::Delete(Handle::new(w.handle)),
        Wire::BlobCreate(w) => Command::BlobCreate(blob_create(&w)?),
        Wire::BlobWrite(w) => Command::BlobWrite {
            handle: Handle::new(w.handle),
            blob: exact!(BlobId, w.blob)?,
            offset: BlobOffset::new(w.offset),
        },
        Wire::BlobRead(w) => Command::BlobRead(blob_read(&w)?),
        Wire::BlobDelete(w) => {
            Command::BlobDelete { handle: Handle::new(w.handle), blob: exact!(BlobId, w.blob)? }
        }
    })
}

fn create(w: &wire::Create) -> Result<Create, FieldError> {
    Ok(Create {
        mailbox: exact!(MailboxId, w.mailbox)?,
        class: mailbox_class(w.class)?,
        key: exact!(PublicKey, w.key)?,
        possession: exact!(Signature, w.possession)?,
        reader: exact!(ReaderHash, w.reader)?,
        // LIM-26
        token: optional!(AdmissionToken, w.token)?,
        ttl: seconds_or_none(w.ttl),
        memory_first: w.memory_first,
    })
}

fn allow(w: &wire::Allow) -> Result<Allow, FieldError> {
    let rate = match &w.rate {
        None => None,
        Some(rate) if rate.count == 0 || rate.per == 0 => {
            return Err(malformed("a rate needs a count and a time"));
        }
        Some(rate) => Some(Rate { count: rate.count, per: Seconds::new(rate.per) }),
    };
    Ok(Allow {
        handle: Handle::new(w.handle),
        key: exact!(PublicKey, w.key)?,
        possession: exact!(Signature, w.possession)?,
        terms: Terms {
            rights: rights(w.rights.as_ref()),
            expires_at: time_or_none(w.expires_at),
            uses: (w.uses != 0).then_some(w.uses),
            rate,
        },
    })
}

fn append(w: wire::Append) -> Result<Append, FieldError> {
    Ok(Append {
        handle: Handle::new(w.handle),
        chain: ChainNumber::new(w.chain),
        id: exact!(EnvelopeId, w.id)?,
        class: envelope_class(w.class)?,
        ttl: seconds_or_none(w.ttl),
        epoch: optional!(Epoch, w.epoch)?,
        commit: w.commit.map(commit).transpose()?,
    })
}

fn commit(w: wire::Commit) -> Result<Commit, FieldError> {
    // LIM-5: checked before the lists are read any further.
    if w.add_readers.len() + w.strike_readers.len() > limits::COMMIT_READERS {
        return Err(FieldError(Code::TooLarge, "a commit names at most 16 readers"));
    }
    if w.blobs.len() > limits::COMMIT_BLOBS {
        return Err(FieldError(Code::TooLarge, "a commit names at most 4 blobs"));
    }
    let next = match optional!(PublicKey, w.next_key)? {
        None => None,
        Some(key) => Some(NextKey { key, possession: exact!(Signature, w.possession)? }),
    };
    Ok(Commit {
        next,
        add_readers: readers(&w.add_readers)?,
        strike_readers: readers(&w.strike_readers)?,
        blobs: w.blobs.iter().map(|blob| exact!(BlobId, blob)).collect::<Result<_, _>>()?,
    })
}

fn blob_create(w: &wire::BlobCreate) -> Result<BlobCreate, FieldError> {
    Ok(BlobCreate {
        handle: Handle::new(w.handle),
        blob: exact!(BlobId, w.blob)?,
        key: exact!(PublicKey, w.key)?,
        possession: exact!(Signature, w.possession)?,
        size: BlobSize::new(w.size),
        ttl: seconds_or_none(w.ttl),
    })
}

fn blob_read(w: &wire::BlobRead) -> Result<BlobRead, FieldError> {
    Ok(BlobRead {
        blob: exact!(BlobId, w.blob)?,
        key: exact!(PublicKey, w.key)?,
        proof: exact!(Signature, w.proof)?,
        offset: BlobOffset::new(w.offset),
        length: BlobSize::new(w.length),
    })
}

fn subscribe(w: &wire::Subscribe) -> Result<Subscribe, FieldError> {
    let secret = <[u8; ReaderSecret::SIZE]>::try_from(w.reader.as_ref())
        .map_err(|_| malformed("a reader's secret has 16 bytes"))?;
    Ok(Subscribe {
        handle: Handle::new(w.handle),
        reader: ReaderSecret::new(secret),
        after: Seq::new(w.after),
        credit: Credit { envelopes: w.envelopes, bytes: w.bytes },
    })
}

/// Writes a client's header.
pub(crate) fn encode_client(header: &ClientHeader) -> Vec<u8> {
    let command = match &header.command {
        Command::Hello(c) => {
            Wire::Hello(wire::Hello { versions: c.versions.clone(), idle: c.idle.get() })
        }
        Command::Ping => Wire::Ping(wire::Ping {}),
        Command::Create(c) => Wire::Create(wire::Create {
            mailbox: to_bytes(c.mailbox.as_bytes()),
            class: class_number(c.class) as i32,
            key: to_bytes(c.key.as_bytes()),
            possession: to_bytes(c.possession.as_bytes()),
            reader: to_bytes(c.reader.as_bytes()),
            ttl: c.ttl.map_or(0, Seconds::get),
            token: c.token.as_ref().map_or_else(Bytes::new, |t| to_bytes(t.as_bytes())),
            memory_first: c.memory_first,
        }),
        Command::Open(c) => Wire::Open(wire::Open {
            handle: c.handle.get(),
            mailbox: to_bytes(c.mailbox.as_bytes()),
            key: to_bytes(c.key.as_bytes()),
            proof: to_bytes(c.proof.as_bytes()),
        }),
        Command::Close(handle) => Wire::Close(wire::Close { handle: handle.get() }),
        Command::Allow(c) => Wire::Allow(allow_to_wire(c)),
        Command::Revoke { handle, key } => {
            Wire::Revoke(wire::Revoke { handle: handle.get(), key: to_bytes(key.as_bytes()) })
        }
        Command::AddReader { handle, reader } => Wire::AddReader(wire::AddReader {
            handle: handle.get(),
            reader: to_bytes(reader.as_bytes()),
        }),
        Command::Append(c) => Wire::Append(append_to_wire(c)),
        Command::Subscribe(c) => Wire::Subscribe(subscribe_to_wire(c)),
        Command::Credit { handle, credit } => Wire::Credit(wire::Credit {
            handle: handle.get(),
            envelopes: credit.envelopes,
            bytes: credit.bytes,
        }),
        Command::Ack { handle, upto } => {
            Wire::Ack(wire::Ack { handle: handle.get(), upto: upto.get() })
        }
        Command::PutPrekeys(c) => Wire::PutPrekeys(wire::PutPrekeys {
            handle: c.handle.get(),
            slot: c.slot.get(),
            sizes: c.sizes.clone(),
            last_resort: c.last_resort,
        }),
        Command::TakePrekeys { handle, slot, request } => Wire::TakePrekeys(wire::TakePrekeys {
            handle: handle.get(),
            slot: slot.get(),
            request: to_bytes(request.as_bytes()),
        }),
        Command::CountPrekeys(handle) => {
            Wire::CountPrekeys(wire::CountPrekeys { handle: handle.get() })
        }
        Command::Delete(handle) => Wire::Delete(wire::Delete { handle: handle.get() }),
        Command::BlobCreate(c) => Wire::BlobCreate(blob_create_to_wire(c)),
        Command::BlobWrite { handle, blob, offset } => Wire::BlobWrite(wire::BlobWrite {
            handle: handle.get(),
            blob: to_bytes(blob.as_bytes()),
            offset: offset.get(),
        }),
        Command::BlobRead(c) => Wire::BlobRead(blob_read_to_wire(c)),
        Command::BlobDelete { handle, blob } => Wire::BlobDelete(wire::BlobDelete {
            handle: handle.get(),
            blob: to_bytes(blob.as_bytes()),
        }),
    };
    wire::ClientHeader { number: header.number.get(), command: Some(command) }.encode_to_vec()
}

fn allow_to_wire(c: &Allow) -> wire::Allow {
    wire::Allow {
        handle: c.handle.get(),
        key: to_bytes(c.key.as_bytes()),
        possession: to_bytes(c.possession.as_bytes()),
        rights: Some(rights_to_wire(c.terms.rights)),
        expires_at: c.terms.expires_at.map_or(0, UnixTime::get),
        uses: c.terms.uses.unwrap_or(0),
        rate: c.terms.rate.map(|rate| wire::Rate { count: rate.count, per: rate.per.get() }),
    }
}

fn append_to_wire(c: &Append) -> wire::Append {
    wire::Append {
        handle: c.handle.get(),
        chain: c.chain.get(),
        id: to_bytes(c.id.as_bytes()),
        class: envelope_class_number(c.class) as i32,
        ttl: c.ttl.map_or(0, Seconds::get),
        epoch: c.epoch.map_or_else(Bytes::new, |epoch| to_bytes(epoch.as_bytes())),
        commit: c.commit.as_ref().map(commit_to_wire),
    }
}

fn subscribe_to_wire(c: &Subscribe) -> wire::Subscribe {
    wire::Subscribe {
        handle: c.handle.get(),
        reader: to_bytes(c.reader.as_bytes()),
        after: c.after.get(),
        envelopes: c.credit.envelopes,
        bytes: c.credit.bytes,
    }
}

fn commit_to_wire(c: &Commit) -> wire::Commit {
    let hashes = |list: &[ReaderHash]| list.iter().map(|hash| to_bytes(hash.as_bytes())).collect();
    wire::Commit {
        next_key: c.next.map_or_else(Bytes::new, |next| to_bytes(next.key.as_bytes())),
        possession: c.next.map_or_else(Bytes::new, |next| to_bytes(next.possession.as_bytes())),
        add_readers: hashes(&c.add_readers),
        strike_readers: hashes(&c.strike_readers),
        blobs: c.blobs.iter().map(|blob| to_bytes(blob.as_bytes())).collect(),
    }
}

fn blob_create_to_wire(c: &BlobCreate) -> wire::BlobCreate {
    wire::BlobCreate {
        handle: c.handle.get(),
        blob: to_bytes(c.blob.as_bytes()),
        key: to_bytes(c.key.as_bytes()),
        possession: to_bytes(c.possession.as_bytes()),
        size: c.size.get(),
        ttl: c.ttl.map_or(0, Seconds::get),
    }
}

fn blob_read_to_wire(c: &BlobRead) -> wire::BlobRead {
    wire::BlobRead {
        blob: to_bytes(c.blob.as_bytes()),
        key: to_bytes(c.key.as_bytes()),
        proof: to_bytes(c.proof.as_bytes()),
        offset: c.offset.get(),
        length: c.length.get(),
    }
}

pub(super) fn rights(wire: Option<&wire::Rights>) -> Rights {
    wire.map_or_else(Rights::default, |w| Rights {
        read: w.read,
        write: w.write,
        take: w.take,
        manage: w.manage,
    })
}

pub(super) const fn rights_to_wire(rights: Rights) -> wire::Rights {
    wire::Rights {
        read: rights.read,
        write: rights.write,
        take: rights.take,
        manage: rights.manage,
    }
}

pub(super) fn mailbox_class(number: i32) -> Result<MailboxClass, FieldError> {
    match wire::MailboxClass::try_from(number) {
        Ok(wire::MailboxClass::Inbox) => Ok(MailboxClass::Inbox),
        Ok(wire::MailboxClass::Conversation) => Ok(MailboxClass::Conversation),
        Ok(wire::MailboxClass::Room) => Ok(MailboxClass::Room),
        Ok(wire::MailboxClass::Unspecified) | Err(_) => {
            Err(FieldError(Code::Unsupported, "a mailbox class this version does not know"))
        }
    }
}

pub(super) const fn class_number(class: MailboxClass) -> wire::MailboxClass {
    match class {
        MailboxClass::Inbox => wire::MailboxClass::Inbox,
        MailboxClass::Conversation => wire::MailboxClass::Conversation,
        MailboxClass::Room => wire::MailboxClass::Room,
    }
}

pub(super) fn envelope_class(number: i32) -> Result<EnvelopeClass, FieldError> {
    match wire::EnvelopeClass::try_from(number) {
        Ok(wire::EnvelopeClass::Normal) => Ok(EnvelopeClass::Normal),
        Ok(wire::EnvelopeClass::Quiet) => Ok(EnvelopeClass::Quiet),
        Ok(wire::EnvelopeClass::Live) => Ok(EnvelopeClass::Live),
        Ok(wire::EnvelopeClass::Unspecified) | Err(_) => {
            Err(FieldError(Code::Unsupported, "an envelope class this version does not know"))
        }
    }
}

pub(super) const fn envelope_class_number(class: EnvelopeClass) -> wire::EnvelopeClass {
    match class {
        EnvelopeClass::Normal => wire::EnvelopeClass::Normal,
        EnvelopeClass::Quiet => wire::EnvelopeClass::Quiet,
        EnvelopeClass::Live => wire::EnvelopeClass::Live,
    }
}
