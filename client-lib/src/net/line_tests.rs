//! The task of a link over a pipe in memory: the test is the relay.

use futures_util::FutureExt;
use restante_spec::frame::Frame;
use restante_spec::ids::{Handle, Seconds, Seq};
use restante_spec::message::{ClientHeader, Credit, Push, RelayHeader, Reply};
use tokio::io::DuplexStream;

use super::*;

const HELLO: RequestNumber = RequestNumber::new(1);

/// The owner's ends of a running line, and the relay's end of the pipe.
struct Pair {
    asks: mpsc::Sender<Ask>,
    events: mpsc::Receiver<LinkEvent>,
    relay: DuplexStream,
    input: BytesMut,
}

fn limits(requests_in_flight: u32) -> Limits {
    Limits {
        body_bytes: 64_800,
        mailbox_entries: 1,
        mailbox_bytes: 1,
        ttl_default: Seconds::new(1),
        ttl_max: Seconds::new(1),
        idle: Seconds::new(30),
        handles: 1,
        requests_in_flight,
        credit: Credit::default(),
        token_needed: false,
    }
}

/// Runs `test` beside a line whose event queue has room for `room`.
async fn beside<F: Future<Output = ()>>(
    requests_in_flight: u32,
    room: usize,
    test: impl FnOnce(Pair) -> F,
) {
    let (ours, relay) = tokio::io::duplex(1_024);
    let (asks, asked) = mpsc::channel(64);
    let (told, events) = mpsc::channel(room);
    let line = Line::new(ours, BytesMut::new(), HELLO, &limits(requests_in_flight), asked, told);
    let pair = Pair { asks, events, relay, input: BytesMut::new() };
    tokio::join!(line.run(Arc::new(Notify::new())), test(pair));
}

impl Pair {
    fn ask(&self, command: Command, body: &'static [u8]) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask { command, body: Bytes::from_static(body), reply: Some(reply) };
        self.asks.try_send(ask).unwrap();
        answer
    }

    async fn hear(&mut self) -> Option<Frame<ClientHeader>> {
        loop {
            if let Some(frame) = frame::decode_client(&mut self.input).unwrap() {
                return Some(frame);
            }
            if self.relay.read_buf(&mut self.input).await.unwrap() == 0 {
                return None;
            }
        }
    }

    async fn say(&mut self, header: RelayHeader) {
        let mut output = BytesMut::new();
        frame::encode_relay(&header, b"said", &mut output).unwrap();
        self.relay.write_all(&output).await.unwrap();
    }
}

/// Whether a future waits for something that does not come, however often the line is polled.
async fn is_stuck(mut work: std::pin::Pin<&mut impl Future>) -> bool {
    for _ in 0..10_000 {
        if work.as_mut().now_or_never().is_some() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

fn caught_up(head: u64) -> RelayHeader {
    let push = Push::CaughtUp { handle: Handle::new(1), head: Seq::new(head) };
    RelayHeader::Push(push)
}

/// TRN-10: requests go out in the order they were asked, without waiting, each with its body.
#[tokio::test]
async fn requests_are_pipelined_in_order() {
    beside(256, 8, |mut pair| async move {
        let first = pair.ask(Command::CountPrekeys(Handle::new(1)), b"one");
        let second = pair.ask(Command::CountPrekeys(Handle::new(2)), b"two");
        let (one, two) = (pair.hear().await.unwrap(), pair.hear().await.unwrap());
        assert_eq!(one.header.command, Command::CountPrekeys(Handle::new(1)));
        assert_eq!((&one.body[..], &two.body[..]), (&b"one"[..], &b"two"[..]));
        pair.say(RelayHeader::Reply(two.header.number, Reply::Done)).await;
        pair.say(RelayHeader::Reply(one.header.number, Reply::PrekeyCounts(Vec::new()))).await;
        let done = Ok((Reply::Done, Bytes::from_static(b"said")));
        assert_eq!(second.await.unwrap(), done);
        assert!(matches!(first.await.unwrap(), Ok((Reply::PrekeyCounts(_), _))));
    })
    .await;
}

/// LIM-8: no more requests are under way than the relay takes; the next one goes out when one is
/// answered.
#[tokio::test]
async fn window_of_the_relay_is_kept() {
    beside(1, 8, |mut pair| async move {
        let _first = pair.ask(Command::CountPrekeys(Handle::new(1)), b"");
        let _second = pair.ask(Command::CountPrekeys(Handle::new(2)), b"");
        let one = pair.hear().await.unwrap();
        assert!(is_stuck(std::pin::pin!(pair.hear())).await);
        pair.say(RelayHeader::Reply(one.header.number, Reply::Done)).await;
        let two = pair.hear().await.unwrap();
        assert_eq!(two.header.command, Command::CountPrekeys(Handle::new(2)));
    })
    .await;
}

/// While nobody takes events nothing is read, so the pipe fills and holds the relay back.
#[tokio::test]
async fn slow_application_holds_the_relay_back() {
    beside(256, 1, |mut pair| async move {
        let flood = async {
            for head in 1..=1_000 {
                pair.say(caught_up(head)).await;
            }
        };
        assert!(is_stuck(std::pin::pin!(flood)).await);
    })
    .await;
}

/// Events come in the order they were said, through a queue smaller than their number.
#[tokio::test]
async fn events_keep_their_order() {
    beside(256, 2, |mut pair| async move {
        let Pair { relay, events, .. } = &mut pair;
        let said = async {
            for head in 1..=500 {
                let mut output = BytesMut::new();
                frame::encode_relay(&caught_up(head), &[], &mut output).unwrap();
                relay.write_all(&output).await.unwrap();
            }
        };
        let heard = async {
            for expected in 1..=500 {
                let event = events.recv().await;
                let head = Seq::new(expected);
                assert_eq!(event, Some(LinkEvent::CaughtUp { handle: Handle::new(1), head }));
            }
        };
        tokio::join!(said, heard);
    })
    .await;
}

/// When the relay is gone, whoever waits for an answer or an event learns it.
#[tokio::test]
async fn loss_is_told_to_all_who_wait() {
    beside(256, 8, |mut pair| async move {
        let answer = pair.ask(Command::Ping, b"");
        pair.hear().await.unwrap();
        drop(pair.relay);
        assert!(answer.await.is_err());
        assert_eq!(pair.events.recv().await, None);
    })
    .await;
}

/// A link that is given back still says what was asked before.
#[tokio::test]
async fn last_words_are_sent() {
    beside(256, 8, |mut pair| async move {
        for upto in 1..=3 {
            let command = Command::Ack { handle: Handle::new(1), upto: Seq::new(upto) };
            pair.asks.try_send(Ask { command, body: Bytes::new(), reply: None }).unwrap();
        }
        let (spare, _) = mpsc::channel(1);
        pair.asks = spare;
        for upto in 1..=3 {
            let heard = pair.hear().await.unwrap().header.command;
            assert_eq!(heard, Command::Ack { handle: Handle::new(1), upto: Seq::new(upto) });
        }
        assert!(pair.hear().await.is_none());
    })
    .await;
}

/// FRM-3: what cannot be framed ends the link.
#[tokio::test]
async fn garbage_ends_the_link() {
    beside(256, 8, |pair| async move {
        // The whole pair: a dropped `asks` would end the link first.
        let mut pair = pair;
        pair.relay.write_all(&[0xff; 16]).await.unwrap();
        assert_eq!(pair.events.recv().await, None);
    })
    .await;
}

/// TRN-8: a link on which everything was answered lives on in silence; one that owes an answer does
/// not.
#[tokio::test(start_paused = true)]
async fn answered_links_live_in_silence() {
    // Half of what the relay allows: then `ping` is said, and owed an answer.
    let quiet = Duration::from_secs(15);
    beside(256, 8, |mut pair| async move {
        let answer = pair.ask(Command::CountPrekeys(Handle::new(1)), b"");
        let asked = pair.hear().await.unwrap();
        pair.say(RelayHeader::Reply(asked.header.number, Reply::Done)).await;
        answer.await.unwrap().unwrap();
        tokio::time::advance(quiet).await;
        assert_eq!(pair.hear().await.unwrap().header.command, Command::Ping);
        tokio::time::advance(ANSWER_WAIT - Duration::from_secs(1)).await;
        pair.say(caught_up(1)).await;
        assert!(pair.events.recv().await.is_some());
        tokio::time::advance(ANSWER_WAIT).await;
        assert_eq!(pair.events.recv().await, None);
    })
    .await;
}
