//! A client's store with a million messages: opening it, a page of its history, a search; beside a
//! small store, and beside reading everything through.
//!
//! The store is made from a recovery file that stands in no drawer: written here, with messages
//! of words that are as unequal as those of a language. All of the client runs on one thread, so
//! that CPU is that thread's and says little of what else the machine does.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::time::Instant;

use restante_client::{Builder, Client, ConversationId, RecoverySecret, StoreKey};
use restante_crypto::{
    RecoveryHeader, RecoveryReader, RecoverySecret as Borrowed, RecoveryWords, RecoveryWriter,
};
use restante_spec::address::RelayAddress;
use restante_spec::archive::{
    Head, KeptFate, KeptKind, KeptMessage, Purpose, Record, SegmentReader, SegmentWriter,
};
use restante_spec::content::LogPosition;
use restante_spec::ids::{ContactName, EnvelopeId, PublicKey, Seq, UnixTime};

use super::process::{cpu_us, read_by_this};
use super::report::{Report, median};

/// Different words.
const WORDS: f64 = 30_000.0;
/// Words of a message.
const LENGTH: usize = 12;
/// Stands in three messages.
const RARE: &str = "zyzzyva";
/// Messages of a page, as an app asks for them.
const PAGE: u32 = 50;
/// Messages of a page when all are read through.
const SCAN_PAGE: u32 = 200;

/// Makes a small, a middle and a large store, and notes what they cost and how that grows.
pub fn run(quick: bool, report: &mut Report) {
    let (large, rounds) = if quick { (50_000, 3) } else { (1_000_000, 15) };
    let measured = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let measure = async {
            let mut all = Vec::new();
            for count in [1_000, 10_000, large] {
                let begun = Instant::now();
                let kept = Kept::make(count).await;
                let made = begun.elapsed().as_secs_f64();
                println!("history: {count} messages made in {made:.0} s");
                all.push((count, kept.measure(count, rounds).await));
            }
            all
        };
        runtime.expect("a runtime").block_on(measure)
    });
    let measured = measured.join().expect("measured");
    for (count, figures) in &measured {
        for (name, value, unit) in figures {
            report.note(&format!("history.{count}.{name}"), *value, unit, None);
        }
    }
    let (small, middle, large) = (&measured[0].1, &measured[1].1, &measured[2].1);
    for (place, (name, value, _)) in large.iter().enumerate().filter(|(_, f)| f.2 == "us") {
        for (than, other) in [("1000", small), ("10000", middle)] {
            let ratio = value / other[place].1;
            report.note(&format!("history.{name}_vs_{than}"), ratio, "ratio", None);
        }
        if name.starts_with("search") {
            let scan = large.last().expect("the scan").1;
            report.note(&format!("history.scan_vs_{name}"), scan / value, "ratio", None);
        }
    }
}

/// Name, value and unit.
type Figure = (&'static str, f64, &'static str);

/// A home with a history.
struct Kept {
    home: tempfile::TempDir,
    of: ConversationId,
}

impl Kept {
    async fn make(count: u64) -> Self {
        let place = tempfile::tempdir().expect("a folder");
        let nobody = RelayAddress::new(PublicKey::new([7; 32]), "127.0.0.1", 1).expect("one");
        let client = builder(place.path()).create(&nobody, "Alice").expect("an account");
        client.start().expect("started");
        let of = client.create_group("Talk", false).await.expect("a group").id;
        let secret = RecoverySecret::new_words().expect("words");
        let words = secret.words().expect("words").expect("24 of them");
        let (few, many) = (place.path().join("few"), place.path().join("many"));
        client.write_recovery(&few, secret).await.expect("written");
        client.shutdown().await.expect("closed");
        let borrowed = RecoveryWords::parse(&words).expect("words");
        fill(&few, &many, &Borrowed::Words(&borrowed), of, count);
        let home = tempfile::tempdir().expect("a folder");
        let secret = RecoverySecret::from_words(&words).expect("words");
        drop(builder(home.path()).restore(&many, &secret).expect("restored"));
        Self { home, of }
    }

    async fn measure(&self, count: u64, rounds: usize) -> Vec<Figure> {
        let mut figures = Vec::new();
        let size = std::fs::metadata(self.home.path().join("store")).expect("a file").len();
        figures.push(("store_bytes_per_message", size as f64 / count as f64, "bytes"));
        let mut opened = Vec::new();
        for _ in 0..rounds {
            let (read, cpu, begun) = (read_by_this(), cpu_us(), Instant::now());
            let client = builder(self.home.path()).open().expect("opened");
            let took = begun.elapsed().as_secs_f64() * 1e6;
            opened.push([took, cpu_us() - cpu, read_by_this() - read]);
            drop(client);
        }
        let figure = |place: usize| median(opened.iter().map(|round| round[place]).collect());
        figures.push(("open_us", figure(0), "us"));
        figures.push(("open_cpu_us", figure(1), "us"));
        figures.push(("open_read_bytes", figure(2), "bytes"));

        let client = builder(self.home.path()).open().expect("opened");
        client.start().expect("started");
        let begun = cpu_us();
        let (middle, found) = self.scan(&client).await;
        let scan = cpu_us() - begun;
        assert_eq!(found, 3, "a plain look at every message");
        for (name, before) in [("page_at_end_cpu_us", None), ("page_in_middle_cpu_us", middle)] {
            let page = async || client.history(self.of, before, PAGE).await.expect("a page").len();
            figures.push((name, cpu_of(rounds, PAGE as usize, page).await, "us"));
        }
        let frequent = word(0.0);
        // The first letter of a word that is being typed.
        let letter = frequent[..1].to_owned();
        for (name, words, most) in [
            ("search_rare_cpu_us", RARE.to_owned(), 3),
            ("search_frequent_cpu_us", frequent.clone(), PAGE as usize),
            ("search_letter_cpu_us", letter, PAGE as usize),
            ("search_both_cpu_us", format!("{frequent} {RARE}"), 3),
        ] {
            let search = async || client.search(&words, PAGE).await.expect("found").len();
            figures.push((name, cpu_of(rounds, most, search).await, "us"));
        }
        figures.push(("scan_cpu_us", scan, "us"));
        client.shutdown().await.expect("closed");
        figures
    }

    /// Reads everything through, from the newest: where the middle is, and how many messages have
    /// the rare word.
    async fn scan(&self, client: &Client) -> (Option<restante_client::Position>, usize) {
        let (mut before, mut found, mut seen) = (None, 0, Vec::new());
        loop {
            let page = client.history(self.of, before, SCAN_PAGE).await.expect("a page");
            found += page.iter().filter(|message| message.text.contains(RARE)).count();
            let Some(first) = page.first() else { break };
            before = Some(first.position);
            seen.push(first.position);
        }
        (seen.get(seen.len() / 2).copied(), found)
    }
}

/// CPU of doing this, median of the rounds behind a first one; it finds so many each time.
async fn cpu_of(rounds: usize, count: usize, does: impl AsyncFn() -> usize) -> f64 {
    assert_eq!(does().await, count);
    let mut all = Vec::new();
    for _ in 0..rounds {
        let begun = cpu_us();
        assert_eq!(does().await, count);
        all.push(cpu_us() - begun);
    }
    median(all)
}

fn builder(home: &Path) -> Builder {
    Client::builder(home).store_key(StoreKey::from_bytes([3; 32]))
}

/// Writes a recovery file as `few` is, with so many messages in a conversation (ARC-3).
fn fill(few: &Path, many: &Path, secret: &Borrowed<'_>, of: ConversationId, count: u64) {
    let mut file = BufReader::new(File::open(few).expect("opened"));
    let key = RecoveryHeader::read(&mut file).expect("a header").unlock(secret).expect("its key");
    let mut reader = RecoveryReader::new(key, file).expect("a file");
    let first = reader.next_segment().expect("read").expect("one segment");
    assert!(reader.next_segment().expect("read").is_none(), "the only one");
    let (head, records) = SegmentReader::first(Purpose::Recovery, &first).expect("its head");
    let mut writer = SegmentWriter::first(&Head { messages: count, ..head });
    for record in records {
        assert!(writer.push(&record.expect("a record")).expect("written"));
    }
    let file = BufWriter::new(File::create(many).expect("a file"));
    let mut file = RecoveryWriter::new(secret, file).expect("begun");
    let mut random = 1;
    for number in (1..=count).rev() {
        let mut text = text(&mut random);
        if number % (count / 4) == 0 && number < count {
            text = format!("{} {text} {RARE}", word(0.0));
        }
        let record = Record::Message(Box::new(message(of, number, text)));
        if !writer.push(&record).expect("written") {
            file.push(writer.finish()).expect("written");
            writer = SegmentWriter::following(Purpose::Recovery);
            assert!(writer.push(&record).expect("written"));
        }
    }
    file.push(writer.finish()).expect("written");
    file.finish().expect("written").into_inner().expect("flushed");
}

/// The message of this number; every other one is somebody else's.
fn message(of: ConversationId, number: u64, text: String) -> KeptMessage {
    let mut id = [0xAB; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let own = number.is_multiple_of(2);
    KeptMessage {
        conversation: restante_spec::ids::ConversationId::new(*of.as_bytes()),
        id: EnvelopeId::new(id),
        position: LogPosition { generation: 0, seq: Seq::new(number) },
        author: (!own).then(|| ContactName::new([9; 16])),
        kind: KeptKind::Text,
        text,
        content: Vec::new(),
        at: UnixTime::new(1_700_000_000 + number).into(),
        fate: if own { KeptFate::Delivered } else { KeptFate::ReceivedRead },
        relay_until: None,
        reply_to: None,
        edited: false,
        timer: None,
        expires: None,
        reached: Vec::new(),
        acts: Vec::new(),
    }
}

fn text(random: &mut u64) -> String {
    let words = (0..LENGTH).map(|_| {
        // The generator of MMIX (Knuth); its upper half is the better one.
        *random = random.wrapping_mul(6_364_136_223_846_793_005);
        *random = random.wrapping_add(1_442_695_040_888_963_407);
        word((*random >> 32) as f64 / f64::from(u32::MAX))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A word, the more frequent the lower the number between 0 and 1 is: the n-th as often as 1/n
/// (Zipf). Two syllables or three.
fn word(place: f64) -> String {
    let mut left = WORDS.powf(place) as usize + 99;
    let mut word = String::new();
    while left > 0 {
        word.push(char::from(b"bcdfghjklmnpqrstvwxz"[left % 20]));
        word.push(char::from(b"aeiou"[left / 20 % 5]));
        left /= 100;
    }
    word
}
