//! So many messages through the whole relay, but for sockets and TLS: what one of them costs is
//! counted from outside (`tests/tests/costs.rs`).
//!
//! `messages COUNT`: of 1 KiB each, 32 at a time, to a reader who is online and acknowledges.

use std::time::Instant;

use bytes::BytesMut;
use restante_crypto::{OpenChallenge, SigningKey, prove_possession, reader_hash};
use restante_relay::simulation::{Connection, Disk, Now, Relay, Setup};
use restante_spec::frame::{self, Frame};
use restante_spec::ids::{
    ChainNumber, EnvelopeId, Epoch, Handle, MailboxId, Nonce, ReaderSecret, RequestNumber, Seq,
    UnixTime,
};
use restante_spec::limits;
use restante_spec::message::{
    Append, ClientHeader, Command, Create, Credit, EnvelopeClass, Hello, MailboxClass, Open, Push,
    RelayHeader, Reply, Subscribe,
};

const AT_ONCE: u32 = 32;
const BODY: [u8; 1_024] = [0x5a; 1_024];
const MAILBOX: MailboxId = MailboxId::new([7; MailboxId::SIZE]);
const NONCE: Nonce = Nonce::new([8; Nonce::SIZE]);
const HANDLE: Handle = Handle::new(1);

fn main() {
    let count: u32 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .filter(|count| count % AT_ONCE == 0)
        .expect("how many messages, a multiple of 32");
    let mut talk = Talk::begin();
    for round in 0..count / AT_ONCE {
        talk.round(round);
    }
    assert_eq!(talk.delivered, count, "each message is delivered once");
}

/// A conversation of who writes and who reads.
struct Talk {
    relay: Relay,
    writer: Line,
    reader: Line,
    epoch: Option<Epoch>,
    delivered: u32,
}

/// A client's connection.
struct Line {
    relay: Connection,
    now: Now,
    numbers: u32,
}

impl Talk {
    fn begin() -> Self {
        let now = Now { time: UnixTime::new(1_800_000_000), instant: Instant::now() };
        let setup = Setup {
            identity: [9; 32],
            mailbox_entries: limits::MAILBOX_ENTRIES,
            queue_acts: 10_000,
            batch_acts: 1_000,
            cache_bytes: 1 << 20,
            reserve: 1 << 20,
            blobs: None,
        };
        let mut relay = Relay::start(&setup, &Disk::default(), now).expect("a relay");
        let key = SigningKey::from_seed(&[1; 32]);
        let secret = ReaderSecret::new([2; ReaderSecret::SIZE]);
        let mut lines = [(); 2].map(|()| Line::begin(&mut relay, now));
        let [writer, reader] = &mut lines;
        writer.ask(Command::Create(Create {
            mailbox: MAILBOX,
            class: MailboxClass::Conversation,
            key: key.public(),
            possession: prove_possession(&key, &MAILBOX),
            reader: reader_hash(&secret),
            token: None,
            ttl: None,
            memory_first: false,
        }));
        relay.step_writer();
        writer.hear();
        let challenge = OpenChallenge { relay: relay.identity(), nonce: NONCE, mailbox: MAILBOX };
        let (key, proof) = (key.public(), challenge.prove(&key));
        let open = Open { handle: HANDLE, mailbox: MAILBOX, key, proof };
        writer.ask(Command::Open(open.clone()));
        reader.ask(Command::Open(open));
        let heard = reader.hear();
        let [.., RelayHeader::Reply(_, Reply::Opened(opened))] = heard.as_slice() else {
            panic!("opened, not {heard:?}");
        };
        let (epoch, after) = (opened.epoch, opened.from);
        writer.hear();
        let subscribe = Subscribe { handle: HANDLE, reader: secret, after, credit: CREDIT };
        reader.ask(Command::Subscribe(subscribe));
        reader.hear();
        let [writer, reader] = lines;
        Self { relay, writer, reader, epoch, delivered: 0 }
    }

    /// Some messages are sent, stored, delivered, acknowledged and let go.
    fn round(&mut self, round: u32) {
        for place in 0..AT_ONCE {
            let mut id = [0; EnvelopeId::SIZE];
            id[..4].copy_from_slice(&(round * AT_ONCE + place).to_be_bytes());
            let append = Append {
                handle: HANDLE,
                chain: ChainNumber::new(1),
                id: EnvelopeId::new(id),
                class: EnvelopeClass::Normal,
                ttl: None,
                epoch: self.epoch,
                commit: None,
            };
            self.writer.send(Command::Append(append), &BODY);
        }
        self.relay.step_writer();
        let mut upto = Seq::START;
        for header in self.reader.hear() {
            if let RelayHeader::Push(Push::Deliver(deliver)) = header {
                self.delivered += 1;
                upto = deliver.seq;
            }
        }
        self.reader.send(Command::Credit { handle: HANDLE, credit: CREDIT }, b"");
        self.reader.send(Command::Ack { handle: HANDLE, upto }, b"");
        self.relay.step_writer();
        let answers = self.writer.hear();
        let accepted =
            |header: &&RelayHeader| matches!(header, RelayHeader::Reply(_, Reply::Appended(_)));
        assert_eq!(answers.iter().filter(accepted).count(), AT_ONCE as usize, "{answers:?}");
    }
}

const CREDIT: Credit = Credit { envelopes: AT_ONCE, bytes: 64 * 1_024 };

impl Line {
    fn begin(relay: &mut Relay, now: Now) -> Self {
        let mut line = Self { relay: relay.connect(NONCE, now), now, numbers: 0 };
        let versions = vec![restante_spec::VERSION];
        line.ask(Command::Hello(Hello { versions, idle: limits::IDLE_MAX }));
        line.hear();
        line
    }

    fn ask(&mut self, command: Command) {
        self.send(command, b"");
    }

    fn send(&mut self, command: Command, body: &[u8]) {
        self.numbers += 1;
        let header = ClientHeader { number: RequestNumber::new(self.numbers), command };
        let mut bytes = BytesMut::new();
        frame::encode_client(&header, body, &mut bytes).expect("a frame");
        self.relay.receive(&bytes, self.now);
        self.relay.work(self.now);
    }

    /// What the relay has said since.
    fn hear(&mut self) -> Vec<RelayHeader> {
        self.relay.work(self.now);
        let mut said = BytesMut::from(self.relay.send(usize::MAX).as_ref());
        let next =
            || frame::decode_relay(&mut said).expect("a frame").map(|Frame { header, .. }| header);
        std::iter::from_fn(next).collect()
    }
}
