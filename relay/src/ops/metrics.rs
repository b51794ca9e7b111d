//! What the relay counts, and its text form for Prometheus.
//!
//! Knows numbers and closed enums. No label can carry a person: the only labels are values of enums
//! whose every value is listed here or in `spec/src/codes.rs`. Counts are those of the process.

use std::fmt::Write as _;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use restante_spec::codes::Code;

use crate::limits::LABEL_VALUES;

/// A number that only grows.
pub(crate) struct Counter {
    name: &'static str,
    help: &'static str,
    value: AtomicU64,
}

/// A number that is now this and now that.
pub(crate) struct Gauge(Counter);

/// Counters of one name, told apart by a label.
pub(crate) struct Family<L> {
    name: &'static str,
    help: &'static str,
    values: [AtomicU64; LABEL_VALUES],
    label: PhantomData<fn(L)>,
}

/// One that is present as long as this lives.
pub(crate) struct Present(&'static Gauge);

/// An enum whose values may be a label.
pub(crate) trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every value.
    const ALL: &'static [Self];
    /// Its place in [`Self::ALL`].
    fn place(self) -> usize;
    /// Its text.
    fn text(self) -> &'static str;
}

macro_rules! metrics {
    ($(#[doc = $help:literal] $id:ident: $kind:ty = $name:literal;)*) => {
        $(#[doc = $help] pub(crate) static $id: $kind = <$kind>::new($name, $help);)*

        /// Everything, as Prometheus reads it (text format 0.0.4).
        pub(crate) fn render() -> String {
            let mut text = String::new();
            $($id.render(&mut text);)*
            text
        }
    };
}

metrics! {
    /// Connections that are open after their TLS handshake.
    CONNECTIONS_OPEN: Gauge = "restante_connections_open";
    /// Connections by what the door said: one that is refused has reached a bound.
    CONNECTIONS: Family<Door> = "restante_connections_total";
    /// TLS handshakes that failed.
    HANDSHAKES_FAILED: Family<Handshake> = "restante_handshakes_failed_total";
    /// Connections by what they carry, after their TLS handshake.
    TRANSPORTS: Family<Transport> = "restante_transports_total";
    /// Bytes that connections hold together beyond what each may hold anyway.
    HELD_BYTES: Gauge = "restante_held_bytes";
    /// Frames received and sent.
    FRAMES: Family<Direction> = "restante_frames_total";
    /// Envelopes accepted, repeats among them.
    APPENDS_ACCEPTED: Counter = "restante_appends_accepted_total";
    /// Envelopes not accepted.
    APPENDS_REFUSED: Family<Code> = "restante_appends_refused_total";
    /// What was refused for want of room.
    SHED: Family<Shed> = "restante_shed_total";
    /// How far that has come: 1 no new mailboxes, 2 no live envelopes, 3 no envelopes.
    PRESSURE: Gauge = "restante_pressure";
    /// Bytes free on the store's disk.
    DISK_FREE_BYTES: Gauge = "restante_disk_free_bytes";
    /// Envelopes sent to readers.
    DELIVERIES: Counter = "restante_deliveries_total";
    /// Acts waiting for the storage thread.
    QUEUE_ACTS: Gauge = "restante_queue_acts";
    /// Bytes waiting for the storage thread.
    QUEUE_BYTES: Gauge = "restante_queue_bytes";
    /// Commits of the store: each makes a batch of acts durable.
    COMMITS: Counter = "restante_commits_total";
    /// Acts made durable; by the commits, the size of a batch.
    COMMITTED_ACTS: Counter = "restante_committed_acts_total";
    /// Envelopes that all readers confirmed before they were written.
    UNWRITTEN: Counter = "restante_unwritten_total";
    /// Stored envelopes passed over by reads: their keys went with a clock that was ahead.
    UNOPENED: Counter = "restante_unopened_total";
    /// Chunks of envelopes let go because their time was over.
    EXPIRED_CHUNKS: Counter = "restante_expired_chunks_total";
    /// Chunks with few envelopes left that were packed together.
    CLEANED_CHUNKS: Counter = "restante_cleaned_chunks_total";
    /// Failures after which the store was opened anew.
    STORE_FAILURES: Counter = "restante_store_failures_total";
    /// Size of the store's file.
    STORE_BYTES: Gauge = "restante_store_bytes";
    /// Blobs kept, complete or not.
    BLOBS: Gauge = "restante_blobs";
    /// Bytes they count for.
    BLOB_BYTES: Gauge = "restante_blob_bytes";
    /// Parts of blobs written and read.
    BLOB_PARTS: Family<BlobWork> = "restante_blob_parts_total";
    /// Objects without a blob, or blobs without their objects, that were found and let go.
    BLOB_ORPHANS: Counter = "restante_blob_orphans_total";
    /// Failures of the place where blobs are kept.
    BLOB_FAILURES: Counter = "restante_blob_failures_total";
    /// Mailboxes kept.
    MAILBOXES: Gauge = "restante_mailboxes";
}

macro_rules! labels {
    ($($(#[$doc:meta])* $label:ident, $name:literal { $($value:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum $label {
            $(#[doc = $text] $value,)*
        }

        impl Label for $label {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$value,)*];

            fn place(self) -> usize {
                self as usize
            }

            fn text(self) -> &'static str {
                match self { $(Self::$value => $text,)* }
            }
        }
    )*};
}

labels! {
    /// What the door said.
    Door, "result" { Accepted = "accepted", Refused = "refused", }
    /// Why a handshake failed.
    Handshake, "reason" {
        Tls = "tls", Late = "late", Protocol = "protocol", Full = "full",
    }
    /// What a connection carries; `http` is a request that became no WebSocket.
    Transport, "transport" { Frames = "frames", WebSocket = "websocket", Http = "http", }
    /// What was done with a part.
    BlobWork, "work" { Written = "written", Read = "read", }
    /// What is not taken when room is short.
    Shed, "what" {
        Mailbox = "mailbox", Blob = "blob", Live = "live", Append = "append", Part = "part",
    }
    /// Which way a frame went.
    Direction, "direction" { Received = "received", Sent = "sent", }
}

impl Label for Code {
    const NAME: &'static str = "code";
    const ALL: &'static [Self] = Self::ALL;

    fn place(self) -> usize {
        self as usize
    }

    fn text(self) -> &'static str {
        self.name()
    }
}

impl Counter {
    const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, value: AtomicU64::new(0) }
    }

    /// One more.
    pub(crate) fn count(&self) {
        self.add(1);
    }

    /// So many more.
    pub(crate) fn add(&self, more: usize) {
        self.value.fetch_add(more as u64, Ordering::Relaxed);
    }

    fn render(&self, text: &mut String) {
        self.render_as(text, "counter");
    }

    fn render_as(&self, text: &mut String, kind: &str) {
        head(text, self.name, self.help, kind);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {}", self.name, self.value.load(Ordering::Relaxed));
    }
}

impl Gauge {
    const fn new(name: &'static str, help: &'static str) -> Self {
        Self(Counter::new(name, help))
    }

    /// It is this now.
    pub(crate) fn set(&self, value: u64) {
        self.0.value.store(value, Ordering::Relaxed);
    }

    /// So many more.
    pub(crate) fn add(&self, more: usize) {
        self.0.add(more);
    }

    /// So many fewer.
    pub(crate) fn sub(&self, fewer: usize) {
        self.0.value.fetch_sub(fewer as u64, Ordering::Relaxed);
    }

    /// One more, until the guard is dropped.
    pub(crate) fn enter(&'static self) -> Present {
        self.add(1);
        Present(self)
    }

    fn render(&self, text: &mut String) {
        self.0.render_as(text, "gauge");
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.sub(1);
    }
}

impl<L: Label> Family<L> {
    const fn new(name: &'static str, help: &'static str) -> Self {
        const { assert!(L::ALL.len() <= LABEL_VALUES, "a place for each value") };
        let values = [const { AtomicU64::new(0) }; LABEL_VALUES];
        Self { name, help, values, label: PhantomData }
    }

    /// One more of these.
    pub(crate) fn count(&self, label: L) {
        if let Some(value) = self.values.get(label.place()) {
            value.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn render(&self, text: &mut String) {
        head(text, self.name, self.help, "counter");
        for (label, value) in L::ALL.iter().zip(&self.values) {
            let (name, value) = (self.name, value.load(Ordering::Relaxed));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}{{{}=\"{}\"}} {value}", L::NAME, label.text());
        }
    }
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    // Writing to a string cannot fail.
    let _ = write!(text, "# HELP {name} {}\n# TYPE {name} {kind}\n", help.trim());
}

#[cfg(test)]
mod tests {
    use super::*;

    static REFUSED: Family<Code> = Family::new("refused", " Refused.");
    static OPEN: Gauge = Gauge::new("open", " Open.");

    #[test]
    fn values_stand_beside_their_labels() {
        REFUSED.count(Code::Quota);
        REFUSED.count(Code::Quota);
        let mut text = String::new();
        REFUSED.render(&mut text);
        assert!(text.starts_with("# HELP refused Refused.\n# TYPE refused counter\n"), "{text}");
        for code in Code::ALL {
            let count = if *code == Code::Quota { 2 } else { 0 };
            let line = format!("\nrefused{{code=\"{}\"}} {count}\n", code.name());
            assert!(text.contains(&line), "{line} is not in {text}");
        }
    }

    #[test]
    fn what_has_left_is_not_counted() {
        let (first, second) = (OPEN.enter(), OPEN.enter());
        drop(first);
        let mut text = String::new();
        OPEN.render(&mut text);
        assert!(text.ends_with("# TYPE open gauge\nopen 1\n"), "{text}");
        drop(second);
    }
}
