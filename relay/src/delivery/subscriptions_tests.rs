//! What is read for a connection's subscriptions, and in which order, from mailboxes made for it.

use std::sync::Mutex;

use restante_spec::ids::{EnvelopeId, MailboxId};

use super::*;
use crate::mailbox::api::{Call, Respond};

/// Every mailbox holds envelopes of these sizes; what is read of them is written down.
struct Shelf {
    sizes: Vec<usize>,
    /// Nothing of it can be read just now.
    is_away: bool,
    spans: Mutex<Vec<Span>>,
}

impl Shelf {
    fn new(sizes: &[usize]) -> Self {
        Self { sizes: sizes.to_vec(), is_away: false, spans: Mutex::default() }
    }

    /// What was read since this was asked last.
    fn spans(&self) -> Vec<Span> {
        std::mem::take(&mut self.spans.lock().unwrap())
    }
}

impl Mailboxes for Shelf {
    fn call(&self, _: Call, _: UnixTime, _: Respond) {
        panic!("deliveries ask for nothing else");
    }

    fn page(&self, _: Access, span: Span, _: UnixTime) -> Result<Reading, Refusal> {
        let mut spans = self.spans.lock().unwrap();
        spans.push(span);
        assert!(spans.len() < 1_000, "asked without end");
        let mut page = Page { envelopes: Vec::new(), more: self.is_away };
        if self.is_away {
            return Ok(Reading { page, expires_at: None });
        }
        let mut bytes = 0;
        for (seq, size) in (1..).zip(&self.sizes).skip_while(|(seq, _)| *seq <= span.after.get()) {
            bytes += size;
            let fits = page.envelopes.is_empty() || bytes <= span.max_bytes;
            if page.envelopes.len() >= span.max || !fits {
                page.more = true;
                break;
            }
            page.envelopes.push(envelope(seq, *size));
        }
        Ok(Reading { page, expires_at: None })
    }

    fn head(&self, _: MailboxId, _: UnixTime) -> Seq {
        Seq::new(self.sizes.len() as u64)
    }
}

const NOW: UnixTime = UnixTime::new(1);

fn none_yet() -> Subscriptions {
    Subscriptions::new(Arc::new(Hub::default()), Arc::new(Outlet::default()), Origin(1))
}

fn begin(subscriptions: &mut Subscriptions, handle: u32, credit: Credit) {
    let mailbox = MailboxId::new([u8::try_from(handle).unwrap(); 16]);
    let access = Access { mailbox, key: PublicKey::new([1; 32]) };
    let (handle, reader) = (Handle::new(handle), ReaderHash::new([1; 32]));
    let range = Range { after: Seq::START, upto: None, epoch: Seq::START, expires_at: None };
    subscriptions.begin(Wish { handle, access, reader, credit }, range);
}

/// Fills an output with so much room; what was delivered, by handle and number.
fn fill(subscriptions: &mut Subscriptions, shelf: &Shelf, room: usize) -> Vec<(u32, u64)> {
    let (mut sent, mut left) = (Vec::new(), room);
    let mut sink = |push: Push, body: Bytes| {
        if let Push::Deliver(deliver) = push {
            sent.push((deliver.handle.get(), deliver.seq.get()));
        }
        left = left.saturating_sub(body.len());
        left
    };
    subscriptions.fill(shelf, NOW, room, &mut sink);
    sent
}

fn envelope(seq: u64, size: usize) -> Envelope {
    Envelope {
        seq: Seq::new(seq),
        prev: Seq::new(seq - 1),
        epoch: Seq::START,
        id: EnvelopeId::new([1; 16]),
        class: EnvelopeClass::Normal,
        expires_at: UnixTime::new(9),
        commit: false,
        body: Bytes::from(vec![0; size]),
    }
}

/// MBX-11. Once a notice that had waited was sent on although its time was over.
#[test]
fn a_notice_whose_time_is_over_is_not_sent() {
    let mut subscriptions = none_yet();
    begin(&mut subscriptions, 1, Credit { envelopes: 9, bytes: 9 });
    fill(&mut subscriptions, &Shelf::new(&[]), 1);
    let seat = subscriptions.open.get(&Handle::new(1)).unwrap().registration.seat();
    let mut sent = 0;
    for now in [9, 8] {
        let (envelope, at) = (envelope(1, 0), UnixTime::new(1));
        let notice = Arc::new(Notice::Appended { envelope, origin: Origin(2), at });
        subscriptions.notice(seat, notice, UnixTime::new(now), &mut |_, _| {
            sent += 1;
            0
        });
        assert_eq!(sent, usize::from(now == 8));
    }
}

/// DLV-2: what is read is what may be delivered, in bytes too. Once a reader that granted a byte
/// at a time had a thousand envelopes read and opened for each that it was sent.
#[test]
fn no_more_is_read_than_the_credit_is_good_for() {
    let shelf = Shelf::new(&[10; 5]);
    let mut subscriptions = none_yet();
    begin(&mut subscriptions, 1, Credit { envelopes: limits::CREDIT_ENVELOPES, bytes: 1 });
    assert_eq!(fill(&mut subscriptions, &shelf, limits::PENDING_OUTPUT_BYTES), [(1, 1)]);
    let bytes = |spans: Vec<Span>| spans.iter().map(|span| span.max_bytes).collect::<Vec<_>>();
    assert_eq!(bytes(shelf.spans()), [1]);
    // One is overdrawn: of 30 bytes 21 are left, good for two, and one more that overdraws.
    subscriptions.credit(Handle::new(1), Credit { envelopes: 0, bytes: 30 }).unwrap();
    let sent = fill(&mut subscriptions, &shelf, limits::PENDING_OUTPUT_BYTES);
    assert_eq!(sent, [(1, 2), (1, 3), (1, 4)]);
    assert_eq!(bytes(shelf.spans()), [21, 1]);
}

/// Room is for all. Once a subscription with much to read took all there was on a slow line, as
/// long as it had anything, and those with higher handles got nothing.
#[test]
fn everyone_has_a_turn_on_a_slow_line() {
    let shelf = Shelf::new(&[10; 9]);
    let mut subscriptions = none_yet();
    for handle in [1, 2, 3] {
        begin(&mut subscriptions, handle, Credit { envelopes: 9, bytes: 1_000 });
    }
    let turns: Vec<_> = (0..4).flat_map(|_| fill(&mut subscriptions, &shelf, 20)).collect();
    let first = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (1, 3), (1, 4)];
    assert_eq!(turns, first);
    subscriptions.end(Handle::new(2));
    assert_eq!(fill(&mut subscriptions, &shelf, 10), [(3, 3)]);
}

/// Once a page that brought nothing, though there was more, was asked for again without end.
#[test]
fn a_page_that_brings_nothing_is_not_asked_for_again_at_once() {
    let shelf = Shelf { is_away: true, ..Shelf::new(&[10]) };
    let mut subscriptions = none_yet();
    begin(&mut subscriptions, 1, Credit { envelopes: 9, bytes: 1_000 });
    assert!(subscriptions.fill(&shelf, NOW, 20, &mut |_, _| 20), "looked at again later");
    assert_eq!(shelf.spans().len(), 1);
    assert_eq!(fill(&mut subscriptions, &Shelf::new(&[10]), 20), [(1, 1)]);
}
