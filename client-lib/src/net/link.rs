//! A link: made, checked, then asked.
//!
//! Knows how a connection begins and the two handles an owner holds; the talking itself is
//! `line.rs`. Must not know what requests mean.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use restante_spec::address::RelayAddress;
use restante_spec::codes::Code;
use restante_spec::ids::{RequestNumber, Seconds};
use restante_spec::message::{ClientHeader, Command, Hello, RelayHeader, Reply, Welcome};
use restante_spec::{VERSION, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_rustls::client::TlsStream;

use super::error::LinkError;
use super::exchange::{Answer, LinkEvent};
use super::line::{Ask, Line};
use super::{pinning, tls};
use crate::limits::{CONNECT_ATTEMPT, LINK_EVENTS, LINK_REQUESTS};
use crate::{clock, tasks};

/// The number of `hello`: the first on every connection.
pub(super) const HELLO: RequestNumber = RequestNumber::new(1);

/// A connection with the relay its address names. Ends when it is dropped: what was asked before
/// is still sent.
#[derive(Debug)]
pub(crate) struct Link {
    asks: mpsc::Sender<Ask>,
    give_up: Arc<Notify>,
    welcome: Welcome,
}

/// What the relay says by itself. Bounded: while nobody takes it, the link stops reading.
#[derive(Debug)]
pub(crate) struct LinkEvents(mpsc::Receiver<LinkEvent>);

/// The other half of a link.
#[cfg(feature = "simulation")]
pub(super) struct Half {
    pub(super) asked: mpsc::Receiver<Ask>,
    pub(super) events: mpsc::Sender<LinkEvent>,
}

impl Link {
    /// Connects, shakes hands, says `hello` and checks who answers, all within `deadline`. The
    /// relay may close the link after `idle` of silence, which does not happen while it lives.
    pub(crate) async fn connect(
        address: &RelayAddress,
        idle: Seconds,
        deadline: Duration,
    ) -> Result<(Self, LinkEvents), LinkError> {
        let greeted = tokio::time::timeout(deadline, greet(address, idle)).await;
        let (stream, input, welcome) = greeted.map_err(|_| LinkError::Timeout)??;
        let (asks, asked) = mpsc::channel(LINK_REQUESTS);
        let (events, told) = mpsc::channel(LINK_EVENTS);
        let give_up = Arc::new(Notify::new());
        let line = Line::new(stream, input, HELLO, &welcome.limits, asked, events);
        let work = line.run(Arc::clone(&give_up));
        tasks::spawn(work).map_err(|error| LinkError::Unreachable(error.to_string()))?;
        Ok((Self { asks, give_up, welcome }, LinkEvents(told)))
    }

    /// A link whose other half is not a task: what is asked through it, and where answers and
    /// events are to be put. For simulations.
    #[cfg(feature = "simulation")]
    pub(super) fn loose(welcome: Welcome) -> (Self, LinkEvents, Half) {
        let (asks, asked) = mpsc::channel(LINK_REQUESTS);
        let (events, told) = mpsc::channel(LINK_EVENTS);
        let give_up = Arc::new(Notify::new());
        let half = Half { asked, events };
        (Self { asks, give_up, welcome }, LinkEvents(told), half)
    }

    /// The relay's first words, checked.
    pub(crate) const fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Asks. Requests are sent in the order of these calls, without waiting for answers; this
    /// call itself does not wait either. The answer is the relay's, or why there is none.
    pub(crate) fn request(
        &self,
        command: Command,
        body: Bytes,
    ) -> impl Future<Output = Answer> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask { command, body, reply: Some(reply) };
        if let Err(mpsc::error::TrySendError::Full(Ask { reply: Some(reply), .. })) =
            self.asks.try_send(ask)
        {
            // Whoever asked is still there: the future was not given out yet.
            let _ = reply.send(Err(LinkError::Busy));
        }
        // A link that ended has dropped the other half.
        async move { answer.await.unwrap_or(Err(LinkError::Lost)) }
    }

    /// Says what needs no answer: `credit`, `ack`, `close`. It keeps its place among the
    /// requests. Where it does not fit any more the relay has not listened for long, and the link
    /// is given up: a lost `credit` would stop deliveries without a sign.
    pub(crate) fn tell(&self, command: Command) {
        let ask = Ask { command, body: Bytes::new(), reply: None };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.asks.try_send(ask) {
            self.give_up.notify_one();
        }
    }
}

impl LinkEvents {
    /// The next one; `None` when the link has ended.
    pub(crate) async fn next(&mut self) -> Option<LinkEvent> {
        self.0.recv().await
    }
}

type Greeted = (TlsStream<TcpStream>, BytesMut, Welcome);

async fn greet(address: &RelayAddress, idle: Seconds) -> Result<Greeted, LinkError> {
    let socket = dial(address).await?;
    let (mut stream, presented) = tls::shake_hands(socket, address.host()).await?;
    let hello = Command::Hello(Hello { versions: vec![VERSION], idle });
    let mut output = BytesMut::new();
    frame::encode_client(&ClientHeader { number: HELLO, command: hello }, &[], &mut output)?;
    let lost = |_| LinkError::Lost;
    stream.write_all(&output).await.map_err(lost)?;
    stream.flush().await.map_err(lost)?;
    let mut input = BytesMut::new();
    let welcome = loop {
        if let Some(frame) = frame::decode_relay(&mut input)? {
            break welcome_in(frame.header)?;
        }
        if stream.read_buf(&mut input).await.map_err(lost)? == 0 {
            return Err(LinkError::Lost);
        }
    };
    // TRN-6: nothing else was sent yet, and nothing is unless this holds.
    pinning::check(address, &welcome, &presented, clock::now())?;
    Ok((stream, input, welcome))
}

pub(super) fn welcome_in(header: RelayHeader) -> Result<Welcome, LinkError> {
    match header {
        // TRN-7
        RelayHeader::Reply(HELLO, Reply::Welcome(welcome)) if welcome.version == VERSION => {
            Ok(*welcome)
        }
        RelayHeader::Reply(_, Reply::Welcome(_)) => Err(LinkError::Unsupported),
        RelayHeader::Reply(_, Reply::Error(refusal)) if refusal.code == Code::Unsupported => {
            Err(LinkError::Unsupported)
        }
        RelayHeader::Reply(_, Reply::Error(refusal)) => Err(LinkError::Refused(refusal)),
        RelayHeader::Reply(..) | RelayHeader::Push(_) => Err(LinkError::Unexpected),
    }
}

/// Tries every address the name has, one after another.
async fn dial(address: &RelayAddress) -> Result<TcpStream, LinkError> {
    let unreachable = |what: &str, error: std::io::Error| {
        LinkError::Unreachable(format!("{what} ({})", error.kind()))
    };
    let places = lookup_host((address.host(), address.port()))
        .await
        .map_err(|error| unreachable("its name is not known", error))?;
    let mut last = LinkError::Unreachable("its name has no address".to_owned());
    for place in places {
        match tokio::time::timeout(CONNECT_ATTEMPT, TcpStream::connect(place)).await {
            Ok(Ok(socket)) => {
                // Small frames must not wait for each other; where that fails they only wait.
                let _ = socket.set_nodelay(true);
                return Ok(socket);
            }
            Ok(Err(error)) => last = unreachable("nobody answers there", error),
            Err(_) => last = LinkError::Timeout,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use restante_spec::ids::{Handle, Seq};
    use restante_spec::message::{Push, Refusal};

    use super::*;

    /// TRN-7: a relay that has no version in common is told apart from one that refuses.
    #[test]
    fn first_words_are_judged() {
        let refused = |code| {
            let header = RelayHeader::Reply(HELLO, Reply::Error(Refusal::new(code, "")));
            welcome_in(header).unwrap_err()
        };
        assert_eq!(refused(Code::Unsupported), LinkError::Unsupported);
        assert!(matches!(refused(Code::Unavailable), LinkError::Refused(_)));
        let done = welcome_in(RelayHeader::Reply(HELLO, Reply::Done));
        assert_eq!(done, Err(LinkError::Unexpected));
        let push = Push::CaughtUp { handle: Handle::new(1), head: Seq::START };
        assert_eq!(welcome_in(RelayHeader::Push(push)), Err(LinkError::Unexpected));
    }

    /// Somewhere nobody listens is unreachable, and so is what is no relay.
    #[tokio::test]
    async fn nobody_there_is_unreachable() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let identity = restante_spec::ids::PublicKey::new([7; 32]);
        let address = RelayAddress::new(identity, "127.0.0.1", port).unwrap();
        let linked = Link::connect(&address, Seconds::new(30), Duration::from_secs(5)).await;
        assert!(matches!(linked, Err(LinkError::Unreachable(_))));
    }

    /// Somebody who answers something else than TLS is told apart from nobody.
    #[tokio::test]
    async fn something_else_is_not_tls() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let identity = restante_spec::ids::PublicKey::new([7; 32]);
        let address = RelayAddress::new(identity, "127.0.0.1", port).unwrap();
        let other = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            socket
        };
        let link = Link::connect(&address, Seconds::new(30), Duration::from_secs(5));
        let (linked, _socket) = tokio::join!(link, other);
        assert!(matches!(linked, Err(LinkError::NotTls(_))));
    }
}
