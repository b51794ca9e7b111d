//! One connection's side of the protocol: which frame may come when, and what it asks.
//!
//! Spec: `spec/02-connection.md` (TRN), `spec/04-commands.md` (CMD), MBX-6.
//! Sans-IO: frames and answers in, steps out; must not know sockets, clocks or mailboxes.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use litemap::LiteMap;
use restante_crypto::reader_hash;
use restante_spec::codes::Code;
use restante_spec::frame::{FRAME_BYTES, Frame};
use restante_spec::ids::{
    BlobId, ChainNumber, Handle, MailboxId, Nonce, PublicKey, ReaderHash, RequestNumber, Seconds,
    Seq, Signature,
};
use restante_spec::limits;
use restante_spec::message::{
    Append, BlobCreate, BlobRead, ClientHeader, Command, Credit, EnvelopeClass, Hello, Open,
    PutPrekeys, Refusal, Reply, Subscribe,
};

use crate::delivery::Wish;
use crate::limits::{BLOB_PROOFS, CALL_BYTES, CALLS_KEPT, HANDLE_BYTES};
use crate::mailbox::api::{
    Access, Answer, AppendAsk, Ask, BlobAsk, Call, Chain, ChainLink, Origin,
};

/// What a connection is in the middle of.
pub(super) struct Session {
    nonce: Nonce,
    origin: Origin,
    phase: Phase,
    /// Most connections have one or a few.
    handles: LiteMap<Handle, Access>,
    /// The chain of each mailbox (MBX-6): its number, and what was appended under it.
    chains: LiteMap<MailboxId, (ChainNumber, Arc<Chain>)>,
    /// Calls that are not answered yet, with what their answers are for. A new number is put at the
    /// end, mostly; for an answer in order all others move, 6 KB at most.
    calls: LiteMap<RequestNumber, Purpose>,
    /// An `open`, `subscribe` or `take_prekeys` is under way: what follows may depend on it.
    is_held: bool,
    /// Reads of blobs that are not answered yet.
    reading: usize,
    /// Proofs that were good, the newest last.
    shown: VecDeque<Shown>,
}

/// How far the connection has come (TRN-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing but `hello` may come.
    Hello,
    /// Nothing was opened or created yet.
    Idle,
    /// In use.
    Active,
}

/// What an answer is for. Small: each connection has room for some, also while it is idle.
enum Purpose {
    Plain,
    /// Nothing is said unless it is refused.
    Silent,
    Open(Box<(Handle, Access)>),
    /// Its answer has a large body: one at a time, so that no more is asked for than may wait.
    Take,
    Subscribe(Box<Wish>),
    /// A read of a blob, whose proof is remembered if it was good.
    BlobRead(Box<Shown>),
}

const _: () = assert!(size_of::<Purpose>() <= 16, "256 of them are moved at most");

impl Purpose {
    /// Whether what follows waits for its answer.
    const fn holds(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Take | Self::Subscribe(_))
    }
}

/// A proof of a blob's read key on this connection (CMD-20).
type Shown = (BlobId, PublicKey, Signature);

/// What to do with a frame.
pub(super) enum Step {
    /// Answer at once.
    Reply(RequestNumber, Reply, Bytes),
    /// Greet: the client's chosen silence.
    Greet(RequestNumber, Seconds),
    /// Ask the mailboxes; the answer comes back through [`Session::handle_answer`].
    Call(RequestNumber, Call),
    /// More credit for a subscription; answered only when refused (CMD-17).
    Credit(RequestNumber, Handle, Credit),
    /// An acknowledgement; answered only when refused (CMD-17).
    Ack(RequestNumber, Handle, Seq),
    /// A handle was closed: its subscription ends (CMD-7).
    Unsubscribe(RequestNumber, Handle),
    /// Traffic without meaning: the connection lives (CMD-2, TRN-8).
    Ping(RequestNumber),
}

/// What to do with an answer.
pub(super) enum Said {
    /// Send it.
    Reply(Reply, Bytes),
    /// Send that it is done, and begin deliveries.
    Subscribed(Wish, crate::mailbox::api::Range),
}

impl Session {
    /// A connection with its nonce.
    pub(super) fn new(nonce: Nonce, origin: Origin) -> Self {
        Self {
            nonce,
            origin,
            phase: Phase::Hello,
            handles: LiteMap::with_capacity(1),
            chains: LiteMap::new(),
            calls: LiteMap::with_capacity(1),
            is_held: false,
            reading: 0,
            shown: VecDeque::new(),
        }
    }

    /// The connection's nonce.
    pub(super) const fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// Which connection it is.
    pub(super) const fn origin(&self) -> Origin {
        self.origin
    }

    /// How far it has come.
    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the next frame may be handled: within the bounds of requests in flight (LIM-8) and
    /// of blobs' bytes that may be waiting for it (LIM-25), and no `open` or `subscribe` before it
    /// is undecided.
    pub(super) fn is_ready(&self) -> bool {
        !self.is_held
            && self.calls.len() < limits::REQUESTS_IN_FLIGHT
            && self.reading < limits::BLOB_READS_IN_FLIGHT
    }

    /// Calls not yet answered.
    pub(super) fn in_flight(&self) -> usize {
        self.calls.len()
    }

    /// What is kept here, and what answers may bring that are on their way, bytes (LIM-29).
    pub(super) fn held(&self) -> usize {
        self.calls.len() * CALL_BYTES + self.mailboxes() * HANDLE_BYTES + self.reading * FRAME_BYTES
    }

    /// Mailboxes of which something is kept here.
    fn mailboxes(&self) -> usize {
        self.handles.len().max(self.chains.len())
    }

    /// A frame has arrived.
    pub(super) fn handle_frame(&mut self, frame: Frame<ClientHeader>) -> Step {
        let Frame { header: ClientHeader { number, command }, body } = frame;
        let refused = |refusal| Step::Reply(number, Reply::Error(refusal), Bytes::new());
        // TRN-10: the number is what tells the answers apart.
        if self.calls.contains_key(&number) {
            let detail = "this number's request is not answered yet";
            return refused(Refusal::new(Code::Malformed, detail));
        }
        if let (Phase::Hello, command) = (self.phase, &command)
            && !matches!(command, Command::Hello(_))
        {
            // TRN-4
            return refused(Refusal::new(Code::Malformed, "hello comes first"));
        }
        self.handle_command(number, command, body).unwrap_or_else(refused)
    }

    fn handle_command(
        &mut self,
        number: RequestNumber,
        command: Command,
        body: Bytes,
    ) -> Result<Step, Refusal> {
        match command {
            Command::Hello(hello) => self.hello(number, &hello),
            Command::Ping => Ok(Step::Ping(number)),
            Command::Create(create) => {
                self.phase = Phase::Active;
                Ok(self.call(number, Call::Create(create), Purpose::Plain))
            }
            Command::Open(open) => self.open(number, &open),
            Command::Close(handle) => {
                self.access(handle)?;
                self.handles.remove(&handle);
                Ok(Step::Unsubscribe(number, handle))
            }
            Command::Allow(allow) => {
                let access = self.access(allow.handle)?;
                let ask = Ask::Allow {
                    key: allow.key,
                    possession: allow.possession,
                    terms: allow.terms,
                    card: body,
                };
                Ok(self.ask(number, access, ask))
            }
            Command::Revoke { handle, key } => {
                let access = self.access(handle)?;
                Ok(self.ask(number, access, Ask::Revoke { key }))
            }
            Command::AddReader { handle, reader } => {
                let access = self.access(handle)?;
                Ok(self.ask(number, access, Ask::AddReader { reader }))
            }
            Command::Append(append) => self.append(number, append, body),
            Command::Subscribe(subscribe) => self.subscribe(number, &subscribe),
            Command::Credit { handle, credit } => Ok(Step::Credit(number, handle, credit)),
            Command::Ack { handle, upto } => Ok(Step::Ack(number, handle, upto)),
            Command::PutPrekeys(put) => self.put_prekeys(number, &put, body),
            Command::TakePrekeys { handle, slot, request } => {
                let access = self.access(handle)?;
                let ask = Ask::TakePrekeys { slot, request };
                Ok(self.call(number, Call::With(access, ask), Purpose::Take))
            }
            Command::CountPrekeys(handle) => {
                let access = self.access(handle)?;
                Ok(self.ask(number, access, Ask::CountPrekeys))
            }
            Command::Delete(handle) => {
                let access = self.access(handle)?;
                Ok(self.ask(number, access, Ask::Delete))
            }
            Command::BlobCreate(create) => {
                let BlobCreate { handle, blob, key, possession, size, ttl } = create;
                let ask = BlobAsk { blob, key, possession, size, ttl };
                let access = self.access(handle)?;
                Ok(self.ask(number, access, Ask::BlobCreate(ask)))
            }
            Command::BlobWrite { handle, blob, offset } => {
                let access = self.access(handle)?;
                Ok(self.ask(number, access, Ask::BlobWrite { blob, offset, body }))
            }
            Command::BlobRead(read) => Ok(self.read_blob(number, read)),
            Command::BlobDelete { handle, blob } => {
                let access = self.access(handle)?;
                Ok(self.ask(number, access, Ask::BlobDelete { blob }))
            }
        }
    }

    /// The mailboxes have answered.
    pub(super) fn handle_answer(
        &mut self,
        number: RequestNumber,
        answer: Result<Answer, Refusal>,
    ) -> Option<Said> {
        let purpose = self.calls.remove(&number)?;
        if self.calls.is_empty() {
            self.give_back_room();
        }
        if purpose.holds() {
            self.is_held = false;
        }
        if let Purpose::BlobRead(shown) = &purpose {
            self.reading -= 1;
            if answer.is_ok() {
                self.remember(**shown);
            }
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(refusal) => return Some(Said::Reply(Reply::Error(refusal), Bytes::new())),
        };
        if matches!(purpose, Purpose::Silent) {
            return None;
        }
        Some(match (answer, purpose) {
            (Answer::Opened(opened, card), Purpose::Open(place)) => {
                let (handle, access) = *place;
                self.handles.insert(handle, access);
                Said::Reply(Reply::Opened(opened), card)
            }
            (Answer::Subscribed(range), Purpose::Subscribe(wish)) => Said::Subscribed(*wish, range),
            (Answer::Created(created), _) => Said::Reply(Reply::Created(created), Bytes::new()),
            (Answer::Appended(appended), _) => Said::Reply(Reply::Appended(appended), Bytes::new()),
            (Answer::Prekey { last_resort, package }, _) => {
                Said::Reply(Reply::Prekey { last_resort }, package)
            }
            (Answer::PrekeyCounts(counts), _) => {
                Said::Reply(Reply::PrekeyCounts(counts), Bytes::new())
            }
            (Answer::Blob(state), _) => Said::Reply(Reply::BlobState(state), Bytes::new()),
            (Answer::BlobPart(part, bytes), _) => Said::Reply(Reply::BlobPart(part), bytes),
            (Answer::Done | Answer::Opened(..) | Answer::Subscribed(_), _) => {
                Said::Reply(Reply::Done, Bytes::new())
            }
        })
    }

    /// An idle connection does not keep room for all the calls it has once had at a time.
    fn give_back_room(&mut self) {
        let mut calls = std::mem::take(&mut self.calls).into_tuple_vec();
        calls.shrink_to(CALLS_KEPT);
        self.calls = LiteMap::from_sorted_store_unchecked(calls);
    }

    /// An acknowledgement that the subscription allows.
    pub(super) fn acknowledge(
        &mut self,
        number: RequestNumber,
        access: Access,
        reader: ReaderHash,
        upto: Seq,
    ) -> Step {
        let ask = Ask::Ack { reader, upto };
        self.call(number, Call::With(access, ask), Purpose::Silent)
    }

    fn hello(&mut self, number: RequestNumber, hello: &Hello) -> Result<Step, Refusal> {
        if self.phase != Phase::Hello {
            return Err(Refusal::new(Code::Malformed, "hello comes once"));
        }
        // TRN-7
        if !hello.versions.contains(&restante_spec::VERSION) {
            return Err(Refusal::new(Code::Unsupported, "this relay speaks version 1"));
        }
        self.phase = Phase::Idle;
        // TRN-8: within the bounds, as the client wishes.
        Ok(Step::Greet(number, hello.idle.clamp(limits::IDLE_MIN, limits::IDLE_MAX)))
    }

    fn open(&mut self, number: RequestNumber, open: &Open) -> Result<Step, Refusal> {
        if self.handles.contains_key(&open.handle) {
            return Err(Refusal::new(Code::Conflict, "this handle is open"));
        }
        // LIM-8
        if self.handles.len() >= limits::HANDLES {
            return Err(Refusal::new(Code::Quota, "as many handles as a connection may have"));
        }
        self.phase = Phase::Active;
        let access = Access { mailbox: open.mailbox, key: open.key };
        let call = Call::Open {
            mailbox: open.mailbox,
            key: open.key,
            nonce: self.nonce,
            proof: open.proof,
        };
        Ok(self.call(number, call, Purpose::Open(Box::new((open.handle, access)))))
    }

    fn append(
        &mut self,
        number: RequestNumber,
        append: Append,
        body: Bytes,
    ) -> Result<Step, Refusal> {
        let access = self.access(append.handle)?;
        // MBX-19: a live one is in no chain, and names none.
        let link = if append.class == EnvelopeClass::Live {
            Chain::new().link()
        } else {
            self.link(access.mailbox, append.chain)
        };
        let ask = AppendAsk {
            id: append.id,
            class: append.class,
            ttl: append.ttl,
            epoch: append.epoch,
            commit: append.commit,
            body,
            link,
            origin: self.origin,
        };
        Ok(self.ask(number, access, Ask::Append(ask)))
    }

    /// The next place in a mailbox's chain; another number begins another (MBX-6).
    fn link(&mut self, mailbox: MailboxId, number: ChainNumber) -> ChainLink {
        self.forget_chains();
        let (named, chain) = self.chains.entry(mailbox).or_insert_with(|| (number, Chain::new()));
        if *named != number {
            (*named, *chain) = (number, Chain::new());
        }
        chain.link()
    }

    fn subscribe(&mut self, number: RequestNumber, subscribe: &Subscribe) -> Result<Step, Refusal> {
        let access = self.access(subscribe.handle)?;
        let reader = reader_hash(&subscribe.reader);
        let wish = Wish { handle: subscribe.handle, access, reader, credit: subscribe.credit };
        let ask = Ask::Subscribe { reader, after: subscribe.after };
        Ok(self.call(number, Call::With(access, ask), Purpose::Subscribe(Box::new(wish))))
    }

    fn put_prekeys(
        &mut self,
        number: RequestNumber,
        put: &PutPrekeys,
        mut body: Bytes,
    ) -> Result<Step, Refusal> {
        let access = self.access(put.handle)?;
        let total: u64 = put.sizes.iter().map(|size| u64::from(*size)).sum();
        if put.sizes.is_empty() || total != body.len() as u64 {
            return Err(Refusal::new(Code::Malformed, "the sizes do not add up to the body"));
        }
        // LIM-7
        let bound = limits::PREKEY_BYTES;
        if put.sizes.iter().any(|size| *size == 0 || *size as usize > bound) {
            return Err(Refusal::new(Code::TooLarge, "a prekey has 1 to 16200 bytes"));
        }
        let packages = put.sizes.iter().map(|size| body.split_to(*size as usize)).collect();
        let ask = Ask::PutPrekeys { slot: put.slot, packages, last_resort: put.last_resort };
        Ok(self.ask(number, access, ask))
    }

    /// MBX-6, LIM-8: chains of mailboxes that were closed are kept while they are few.
    fn forget_chains(&mut self) {
        if self.chains.len() > limits::HANDLES {
            let open: HashSet<_> = self.handles.values().map(|access| access.mailbox).collect();
            self.chains.retain(|mailbox, _| open.contains(mailbox));
        }
    }

    fn read_blob(&mut self, number: RequestNumber, read: BlobRead) -> Step {
        self.phase = Phase::Active;
        self.reading += 1;
        let proof = (read.blob, read.key, read.proof);
        let shown = self.shown.contains(&proof);
        let call = Call::BlobRead { read, nonce: self.nonce, shown };
        self.call(number, call, Purpose::BlobRead(Box::new(proof)))
    }

    /// A proof was good: on this connection it is from now on, as long as few others come (CMD-20).
    fn remember(&mut self, proof: Shown) {
        if self.shown.contains(&proof) {
            return;
        }
        if self.shown.len() >= BLOB_PROOFS {
            self.shown.pop_front();
        }
        self.shown.push_back(proof);
    }

    fn ask(&mut self, number: RequestNumber, access: Access, ask: Ask) -> Step {
        self.call(number, Call::With(access, ask), Purpose::Plain)
    }

    fn call(&mut self, number: RequestNumber, call: Call, purpose: Purpose) -> Step {
        self.is_held |= purpose.holds();
        self.calls.insert(number, purpose);
        Step::Call(number, call)
    }

    fn access(&self, handle: Handle) -> Result<Access, Refusal> {
        let none = || Refusal::new(Code::NotFound, "this handle is not open");
        self.handles.get(&handle).copied().ok_or_else(none)
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
pub(super) mod tests;
