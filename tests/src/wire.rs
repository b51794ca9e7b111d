//! A client that speaks the protocol by the letter and no more: frames, one at a time.
//!
//! Knows the codec and the proofs. It has no memory, retries nothing and believes nothing, so that
//! tests can say exactly what goes over the wire.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use restante_crypto::{OpenChallenge, SigningKey, prove_possession, spki_hash};
use restante_spec::address::RelayAddress;
use restante_spec::codes::Code;
use restante_spec::frame;
use restante_spec::ids::{
    ChainNumber, EnvelopeId, Epoch, Handle, MailboxId, ReaderHash, ReaderSecret, RequestNumber,
    Seconds, Seq, SpkiHash,
};
use restante_spec::message::{
    Append, Appended, ClientHeader, Command, Commit, Create, Created, Credit, Deliver,
    EnvelopeClass, Hello, MailboxClass, NextKey, Open, Opened, Push, Refusal, RelayHeader, Reply,
    Subscribe, Welcome,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime as TlsTime};
use rustls::{ClientConfig, DigitallySignedStruct, NamedGroup, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::line::{Line, Transport};

/// Nothing here takes longer, or the test has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Credit that no test uses up by accident.
pub const PLENTY: Credit = Credit { envelopes: 1_024, bytes: 1_048_576 };

/// One connection.
pub struct Wire {
    line: Line,
    input: BytesMut,
    /// Commands that were queued and not sent.
    output: BytesMut,
    /// What the relay said in `hello`.
    pub welcome: Welcome,
    /// The operator's words in it.
    pub operator_text: Bytes,
    next_number: u32,
    replies: HashMap<RequestNumber, (Reply, Bytes)>,
    pushes: VecDeque<(Push, Bytes)>,
}

impl Wire {
    /// Connects and says hello.
    pub async fn connect(address: &RelayAddress) -> Self {
        Self::try_connect(address).await.expect("a relay that answers")
    }

    /// Connects and says hello; `None` if the line breaks meanwhile.
    pub async fn try_connect(address: &RelayAddress) -> Option<Self> {
        Self::hello(Line::connect(Transport::Frames, address).await.ok()?).await
    }

    /// Connects over this transport and says hello.
    pub async fn over(transport: Transport, address: &RelayAddress) -> Self {
        let line = Line::connect(transport, address).await.expect("a line");
        Self::hello(line).await.expect("a relay that answers")
    }

    /// Says hello on a connection after its handshake; `None` if the line breaks meanwhile.
    pub async fn hello(mut line: Line) -> Option<Self> {
        let hello = Hello { versions: vec![restante_spec::VERSION], idle: Seconds::new(60) };
        let header = ClientHeader { number: RequestNumber::new(1), command: Command::Hello(hello) };
        let mut bytes = BytesMut::new();
        frame::encode_client(&header, b"", &mut bytes).expect("hello fits");
        line.send(&bytes).await.ok()?;
        let mut input = BytesMut::new();
        let frame = next_frame(&mut line, &mut input).await?;
        let RelayHeader::Reply(_, Reply::Welcome(welcome)) = frame.0 else {
            panic!("no welcome: {:?}", frame.0);
        };
        let (welcome, operator_text) = (*welcome, frame.1);
        let (replies, pushes) = (HashMap::new(), VecDeque::new());
        Some(Self {
            line,
            input,
            output: BytesMut::new(),
            welcome,
            operator_text,
            next_number: 2,
            replies,
            pushes,
        })
    }

    /// The negotiated key exchange group.
    pub fn group(&self) -> Option<NamedGroup> {
        self.line.tls().get_ref().1.negotiated_key_exchange_group().map(|group| group.name())
    }

    /// The relay's certificate, DER.
    pub fn certificate(&self) -> CertificateDer<'static> {
        let chain = self.line.tls().get_ref().1.peer_certificates().expect("a certificate");
        chain[0].clone().into_owned()
    }

    /// The hash of the certificate's public key, which is what the relay endorses.
    pub fn spki(&self) -> SpkiHash {
        let certificate = self.certificate();
        let parsed = rustls::server::ParsedCertificate::try_from(&certificate).expect("X.509");
        spki_hash(&parsed.subject_public_key_info())
    }

    /// Sends a command and returns its number.
    pub async fn send(&mut self, command: Command, body: &[u8]) -> RequestNumber {
        self.try_send(command, body).await.expect("sent")
    }

    /// Sends a command and returns its number; `None` if the line is broken.
    pub async fn try_send(&mut self, command: Command, body: &[u8]) -> Option<RequestNumber> {
        let number = RequestNumber::new(self.next_number);
        self.next_number += 1;
        let mut bytes = BytesMut::new();
        let header = ClientHeader { number, command };
        frame::encode_client(&header, body, &mut bytes).expect("the command fits");
        self.line.send(&bytes).await.ok()?;
        Some(number)
    }

    /// Adds a command to those that [`Wire::flush`] sends, and returns its number.
    pub fn queue(&mut self, command: Command, body: &[u8]) -> RequestNumber {
        let number = RequestNumber::new(self.next_number);
        self.next_number += 1;
        let header = ClientHeader { number, command };
        frame::encode_client(&header, body, &mut self.output).expect("the command fits");
        number
    }

    /// Sends what was queued, together.
    pub async fn flush(&mut self) {
        self.line.send_all(&mut self.output).await.expect("sent");
    }

    /// Sends bytes as they are.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.line.send(bytes).await.expect("sent");
    }

    /// Waits for the answer to a number.
    pub async fn reply(&mut self, number: RequestNumber) -> (Reply, Bytes) {
        self.try_reply(number).await.expect("the relay keeps the connection")
    }

    /// Waits for the answer to a number; `None` if the line breaks.
    pub async fn try_reply(&mut self, number: RequestNumber) -> Option<(Reply, Bytes)> {
        loop {
            if let Some(reply) = self.replies.remove(&number) {
                return Some(reply);
            }
            if !self.receive().await {
                return None;
            }
        }
    }

    /// Sends a command and waits for its answer.
    pub async fn ask(&mut self, command: Command, body: &[u8]) -> (Reply, Bytes) {
        let number = self.send(command, body).await;
        self.reply(number).await
    }

    /// Waits for what the relay says by itself.
    pub async fn push(&mut self) -> (Push, Bytes) {
        self.try_push().await.expect("the relay keeps the connection")
    }

    /// Waits for what the relay says by itself; `None` if the line breaks.
    pub async fn try_push(&mut self) -> Option<(Push, Bytes)> {
        loop {
            if let Some(push) = self.pushes.pop_front() {
                return Some(push);
            }
            if !self.receive().await {
                return None;
            }
        }
    }

    /// What the relay has said by itself and was not asked for yet.
    pub fn pushed(&self) -> usize {
        self.pushes.len()
    }

    /// Waits until the relay has closed the connection.
    pub async fn closed(&mut self) {
        while self.receive().await {}
    }

    /// Ends the connection without a word, as a broken line does.
    pub fn cut(self) {
        drop(self);
    }

    async fn receive(&mut self) -> bool {
        match next_frame(&mut self.line, &mut self.input).await {
            None => false,
            Some((RelayHeader::Reply(number, reply), body)) => {
                self.replies.insert(number, (reply, body));
                true
            }
            Some((RelayHeader::Push(push), body)) => {
                self.pushes.push_back((push, body));
                true
            }
        }
    }
}

/// The commands tests use most, with what they usually say.
impl Wire {
    /// Creates a mailbox of this class.
    pub async fn create(&mut self, class: MailboxClass, owner: &Owner) -> Created {
        self.created(owner.create(class)).await
    }

    /// Makes a mailbox by this command.
    pub async fn created(&mut self, create: Command) -> Created {
        match self.ask(create, b"").await.0 {
            Reply::Created(created) => created,
            other => panic!("not created: {other:?}"),
        }
    }

    /// Opens a mailbox with a key.
    pub async fn open(&mut self, handle: u32, mailbox: MailboxId, key: &SigningKey) -> Opened {
        match self.try_open(handle, mailbox, key).await {
            Ok((opened, _)) => opened,
            Err(refusal) => panic!("not opened: {refusal:?}"),
        }
    }

    /// Opens a mailbox with a key, or says why not.
    pub async fn try_open(
        &mut self,
        handle: u32,
        mailbox: MailboxId,
        key: &SigningKey,
    ) -> Result<(Opened, Bytes), Refusal> {
        let command = self.open_command(handle, mailbox, key);
        match self.ask(command, b"").await {
            (Reply::Opened(opened), card) => Ok((opened, card)),
            (Reply::Error(refusal), _) => Err(refusal),
            other => panic!("unexpected answer: {other:?}"),
        }
    }

    /// An `open` with its proof for this connection.
    pub fn open_command(&self, handle: u32, mailbox: MailboxId, key: &SigningKey) -> Command {
        let challenge =
            OpenChallenge { relay: self.welcome.identity, nonce: self.welcome.nonce, mailbox };
        Command::Open(Open {
            handle: Handle::new(handle),
            mailbox,
            key: key.public(),
            proof: challenge.prove(key),
        })
    }

    /// Appends, or says why not.
    pub async fn append(&mut self, append: Append, body: &[u8]) -> Result<Appended, Refusal> {
        let number = self.send(Command::Append(append), body).await;
        self.appended(number).await
    }

    /// The answer to an append sent before.
    pub async fn appended(&mut self, number: RequestNumber) -> Result<Appended, Refusal> {
        match self.reply(number).await.0 {
            Reply::Appended(appended) => Ok(appended),
            Reply::Error(refusal) => Err(refusal),
            other => panic!("unexpected answer: {other:?}"),
        }
    }

    /// Subscribes, or says why not.
    pub async fn subscribe(
        &mut self,
        handle: u32,
        reader: &ReaderSecret,
        after: Seq,
        credit: Credit,
    ) -> Result<(), Refusal> {
        let handle = Handle::new(handle);
        let subscribe = Subscribe { handle, reader: reader.clone(), after, credit };
        self.done(Command::Subscribe(subscribe), b"").await
    }

    /// Does what is answered with `done`, or says why not.
    pub async fn done(&mut self, command: Command, body: &[u8]) -> Result<(), Refusal> {
        match self.ask(command, body).await.0 {
            Reply::Done => Ok(()),
            Reply::Error(refusal) => Err(refusal),
            other => panic!("unexpected answer: {other:?}"),
        }
    }

    /// The code a command is refused with.
    pub async fn refused(&mut self, command: Command, body: &[u8]) -> Code {
        match self.ask(command, body).await.0 {
            Reply::Error(refusal) => refusal.code,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The next delivery, whatever else is said between.
    pub async fn deliver(&mut self) -> (Deliver, Bytes) {
        loop {
            if let (Push::Deliver(deliver), body) = self.push().await {
                return (deliver, body);
            }
        }
    }

    /// Everything delivered until the relay says that this is all.
    pub async fn backlog(&mut self) -> Vec<(Deliver, Bytes)> {
        let mut all = Vec::new();
        loop {
            match self.push().await {
                (Push::Deliver(deliver), body) => all.push((deliver, body)),
                (Push::CaughtUp { .. }, _) => return all,
                (other, _) => panic!("unexpected push: {other:?}"),
            }
        }
    }

    /// Tells that everything up to here is safe.
    pub async fn ack(&mut self, handle: u32, upto: Seq) {
        self.send(Command::Ack { handle: Handle::new(handle), upto }, b"").await;
        // Acknowledgements are not answered; the answer to a ping behind it says it was handled.
        self.done(Command::Ping, b"").await.expect("ping");
    }
}

/// Who makes a mailbox: its id, first key and reader.
pub struct Owner {
    /// Random.
    pub mailbox: MailboxId,
    /// Manage key or first epoch key.
    pub key: SigningKey,
    /// The creator's reader.
    pub reader: ReaderSecret,
}

impl Owner {
    /// A new one.
    pub fn new() -> Self {
        let key = SigningKey::generate().expect("randomness");
        Self { mailbox: MailboxId::new(random()), key, reader: ReaderSecret::new(random()) }
    }

    /// The command that creates the mailbox.
    pub fn create(&self, class: MailboxClass) -> Command {
        Command::Create(Create {
            mailbox: self.mailbox,
            class,
            key: self.key.public(),
            possession: prove_possession(&self.key, &self.mailbox),
            reader: self.reader_hash(),
            token: None,
            ttl: None,
            memory_first: false,
        })
    }

    /// The same for a memory-first mailbox (MBX-21).
    pub fn create_memory_first(&self, class: MailboxClass) -> Command {
        match self.create(class) {
            Command::Create(create) => Command::Create(Create { memory_first: true, ..create }),
            other => other,
        }
    }

    /// How the relay knows the reader.
    pub fn reader_hash(&self) -> ReaderHash {
        restante_crypto::reader_hash(&self.reader)
    }
}

impl Default for Owner {
    fn default() -> Self {
        Self::new()
    }
}

/// An append of a normal envelope with a new id.
pub fn envelope(handle: u32, epoch: Option<Epoch>) -> Append {
    Append {
        handle: Handle::new(handle),
        chain: ChainNumber::new(1),
        id: EnvelopeId::new(random()),
        class: EnvelopeClass::Normal,
        ttl: None,
        epoch,
        commit: None,
    }
}

/// A commit to `next`, with a new id.
pub fn commit(handle: u32, epoch: Option<Epoch>, mailbox: MailboxId, next: &SigningKey) -> Append {
    let possession = prove_possession(next, &mailbox);
    let commit = Commit {
        next: Some(NextKey { key: next.public(), possession }),
        add_readers: Vec::new(),
        strike_readers: Vec::new(),
        blobs: Vec::new(),
    };
    Append { commit: Some(commit), ..envelope(handle, epoch) }
}

/// Random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("randomness");
    bytes
}

/// A TLS connection that offers these protocols.
///
/// # Errors
/// What TCP or TLS say.
pub async fn tls(address: &RelayAddress, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(aws_lc_rs::default_provider())))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let connecting = async {
        let tcp = TcpStream::connect((address.host(), address.port())).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(address.host().to_owned()).expect("a host name");
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    };
    tokio::time::timeout(PATIENCE, connecting).await.expect("connected in time")
}

async fn next_frame(line: &mut Line, input: &mut BytesMut) -> Option<(RelayHeader, Bytes)> {
    loop {
        if let Some(frame) = frame::decode_relay(input).expect("a valid frame") {
            return Some((frame.header, frame.body));
        }
        let received = tokio::time::timeout(PATIENCE, line.receive(input)).await;
        if !received.expect("the relay says something in time") {
            return None;
        }
    }
}

/// Takes any certificate: tests compare it themselves.
#[derive(Debug)]
struct Anyone(CryptoProvider);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: TlsTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
