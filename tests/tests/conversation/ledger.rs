//! What was asked for and what stands in the logs, by what passes between the devices and the
//! relay; and what follows from it for everybody's history.
//!
//! Knows frames and the specification only; must not know the client's engine or the workload.

use std::collections::{BTreeMap, BTreeSet};

use restante_client::{Gap, Message, MessageKind};
use restante_crypto::reader_hash;
use restante_spec::codes::Code;
use restante_spec::ids::{EnvelopeId, Handle, MailboxId, ReaderHash, RequestNumber, Seq};
use restante_spec::message::{ClientHeader, Command, MailboxClass, Push, RelayHeader, Reply};

use super::log::{Log, Membership};

/// Everything that is known of a run.
#[derive(Default)]
pub(crate) struct Ledger {
    is_telling: bool,
    /// Logs of conversations, in the order they were made.
    logs: BTreeMap<MailboxId, Log>,
    /// Which device has shown which reader.
    readers: BTreeMap<ReaderHash, usize>,
    /// What each device has on its connection.
    desks: BTreeMap<usize, Desk>,
    /// Whose each device is.
    people: BTreeMap<usize, usize>,
    /// Devices that were away for longer than the relay keeps anything.
    absent: BTreeSet<usize>,
    /// Devices that were removed from their account.
    removed: BTreeSet<usize>,
    /// What its writer appended again because the relay had forgotten that it stood there: the
    /// writer knows of the second place only, others keep the first.
    twice: BTreeSet<EnvelopeId>,
    /// What the relay has given to each device.
    given: BTreeMap<usize, BTreeSet<EnvelopeId>>,
    /// Texts that were written: by whom.
    texts: BTreeMap<EnvelopeId, (usize, String)>,
    /// Other words that texts were given, in no order.
    words: BTreeMap<EnvelopeId, BTreeSet<String>>,
    /// Texts somebody took back, or wanted to.
    taken_back: BTreeSet<EnvelopeId>,
    /// Texts of removed devices: nobody hears what stands behind the list without it (DEV-14).
    unheard: BTreeSet<EnvelopeId>,
    pub(crate) seen: Seen,
}

/// One connection.
#[derive(Default)]
struct Desk {
    handles: BTreeMap<Handle, MailboxId>,
    appends: BTreeMap<RequestNumber, (MailboxId, EnvelopeId)>,
}

/// How often something happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) texts: u64,
    /// Texts that were let go before a device read them, and that it has all the same.
    pub(crate) repaired: u64,
    /// Reactions, edits, deletes and answers.
    pub(crate) touches: u64,
    pub(crate) commits: u64,
    pub(crate) stale: u64,
    /// Appends whose answer was lost.
    pub(crate) unanswered: u64,
    pub(crate) compared: u64,
}

impl Ledger {
    pub(crate) fn new(is_telling: bool) -> Self {
        Self { is_telling, ..Self::default() }
    }

    /// A line for whoever looks at one run.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.is_telling {
            eprintln!("{}", what());
        }
    }

    /// A device of somebody is there.
    pub(crate) fn sat_down(&mut self, seat: usize, person: usize) {
        self.people.insert(seat, person);
    }

    /// A device was removed from its account.
    pub(crate) fn removed(&mut self, seat: usize) {
        self.removed.insert(seat);
        let its = self.texts.iter().filter(|(_, (by, _))| *by == seat).map(|(id, _)| *id);
        self.unheard.extend(its);
    }

    /// A device was away for longer than the relay keeps anything.
    pub(crate) fn was_absent(&mut self, seat: usize) {
        self.absent.insert(seat);
    }

    /// A device has a new connection.
    pub(crate) fn connected(&mut self, seat: usize) {
        let before = self.desks.insert(seat, Desk::default());
        self.seen.unanswered += before.map_or(0, |desk| desk.appends.len() as u64);
    }

    /// A device's person wrote this.
    pub(crate) fn wrote(&mut self, seat: usize, message: &Message) {
        self.seen.texts += 1;
        let id = id_of(message);
        if self.removed.contains(&seat) {
            self.unheard.insert(id);
        }
        assert!(self.texts.insert(id, (seat, message.text.clone())).is_none(), "an id twice");
    }

    /// Whether whoever may read a message shows it at one place.
    pub(crate) fn is_for_all(&self, message: &Message) -> bool {
        !self.twice.contains(&id_of(message))
    }

    /// Somebody did something with a message.
    pub(crate) const fn touched(&mut self) {
        self.seen.touches += 1;
    }

    /// Somebody gave a text other words.
    pub(crate) fn reworded(&mut self, message: &Message) {
        self.words.entry(id_of(message)).or_default().insert(message.text.clone());
    }

    /// Somebody took a text back.
    pub(crate) fn took_back(&mut self, message: &Message) {
        self.taken_back.insert(id_of(message));
    }

    /// A device says something to the relay.
    pub(crate) fn said(&mut self, seat: usize, header: ClientHeader) {
        let desk = self.desks.entry(seat).or_default();
        match header.command {
            Command::Create(create) if create.class == MailboxClass::Conversation => {
                let number = self.logs.len();
                let log = self.logs.entry(create.mailbox);
                let log = log.or_insert_with(|| Log { number, ..Log::default() });
                log.first = Some(create.reader);
                self.readers.insert(create.reader, seat);
            }
            Command::Open(open) => drop(desk.handles.insert(open.handle, open.mailbox)),
            Command::Subscribe(subscribe) => {
                let reader = reader_hash(&subscribe.reader);
                if self.readers.insert(reader, seat).is_none() {
                    self.tell(|| format!("{seat} is the reader {}", short(&reader)));
                    self.note_unused(&reader);
                }
            }
            Command::Append(append) => {
                let Some(mailbox) = desk.handles.get(&append.handle) else { return };
                let Some(log) = self.logs.get_mut(mailbox) else { return };
                desk.appends.insert(header.number, (*mailbox, append.id));
                if let Some(commit) = append.commit {
                    log.commits.insert(append.id, commit);
                }
            }
            _ => {}
        }
    }

    /// Who was away from before its first look at a log is added again under this reader, and the
    /// one it never used was its own: that of the same place in the commit, or any if nobody else
    /// comes.
    fn note_unused(&mut self, reader: &ReaderHash) {
        let seat = self.readers[reader];
        for commit in self.logs.values().flat_map(|log| log.commits.values()) {
            let (come, go) = (&commit.add_readers, &commit.strike_readers);
            let Some(place) = come.iter().position(|added| added == reader) else { continue };
            let unused = match go.get(place..=place) {
                Some(same) if come.len() == go.len() => same,
                _ if come.len() == 1 => go,
                _ => continue,
            };
            for reader in unused {
                self.readers.entry(*reader).or_insert(seat);
            }
        }
    }

    /// The relay says something to a device.
    pub(crate) fn heard(&mut self, seat: usize, header: RelayHeader) {
        if let RelayHeader::Reply(_, Reply::Error(refusal)) = &header {
            self.tell(|| format!("{seat} is refused: {refusal:?}"));
        }
        let desk = self.desks.entry(seat).or_default();
        let (mailbox, id, seq) = match header {
            RelayHeader::Reply(number, reply) => {
                let Some((mailbox, id)) = desk.appends.remove(&number) else { return };
                match reply {
                    Reply::Appended(appended) => (mailbox, id, appended.seq),
                    Reply::Error(refusal) => {
                        self.seen.stale += u64::from(refusal.code == Code::StaleEpoch);
                        return;
                    }
                    _ => return,
                }
            }
            RelayHeader::Push(Push::Deliver(deliver)) => {
                let Some(mailbox) = desk.handles.get(&deliver.handle) else { return };
                self.given.entry(seat).or_default().insert(deliver.id);
                (*mailbox, deliver.id, deliver.seq)
            }
            RelayHeader::Push(_) => return,
        };
        let Some(log) = self.logs.get_mut(&mailbox) else { return };
        if log.entries.insert(seq, id).is_none() {
            if log.entries.values().filter(|entry| **entry == id).count() > 1 {
                self.twice.insert(id);
            }
            let log = &self.logs[&mailbox];
            let commit = log.commits.get(&id);
            self.seen.commits += u64::from(commit.is_some());
            let what = || match commit {
                Some(it) => {
                    let names = |all: &[ReaderHash]| all.iter().map(short).collect::<Vec<_>>();
                    let (come, go) = (names(&it.add_readers), names(&it.strike_readers));
                    format!("a commit with {come:?}, without {go:?},")
                }
                None => self.texts.get(&id).map_or("something", |(_, text)| text).to_owned(),
            };
            self.tell(|| format!("log {}: {} at {seq}, says {seat}", log.number, what()));
        }
    }

    /// Compares what a device shows of one conversation with the logs. `is_reading`: it is in the
    /// conversation and has read all there is, but for these gaps.
    pub(crate) fn compare(
        &mut self,
        seat: usize,
        history: &[Message],
        is_reading: Option<&Vec<Gap>>,
    ) {
        let mut shown = BTreeMap::new();
        for (place, message) in history.iter().enumerate() {
            let (id, said) = (id_of(message), &message.text);
            assert!(shown.insert(id, place).is_none(), "device {seat} shows {said} twice");
            match message.kind {
                MessageKind::Text => {
                    let (_, text) = self.texts.get(&id).expect("a message nobody wrote");
                    let others = self.words.get(&id).is_some_and(|words| words.contains(said));
                    assert!(text == said || (message.edited && others), "another text");
                }
                MessageKind::Deleted => {
                    assert!(self.taken_back.contains(&id), "{seat}: nobody took it back");
                }
                _ => {}
            }
            let Some(answered) = message.reply_to.map(|to| EnvelopeId::new(*to.message.as_bytes()))
            else {
                continue;
            };
            // What it answers comes before it, or is not here; or stands in the log twice, and its
            // writer has the later place.
            let is_once = !self.twice.contains(&answered);
            let later = |it: &&Message| is_once && id_of(it) == answered && it.seq.is_some();
            let is_early = history[place..].iter().find(later);
            assert!(is_early.is_none(), "device {seat} shows {said} before what it answers");
        }
        let unreadable = history.iter().filter(|it| it.kind == MessageKind::Unreadable).count();
        assert_eq!(unreadable, 0, "device {seat} cannot read what it was sent");
        let mut compared = 0;
        for log in self.logs.values() {
            let number = log.number;
            // What its writer has no answer for yet has no place there.
            let here: Vec<(Seq, EnvelopeId)> = history
                .iter()
                .filter(|message| message.seq.is_some())
                .map(id_of)
                .filter(|id| !self.twice.contains(id))
                .filter_map(|id| log.place_of(&id).map(|seq| (seq, id)))
                .collect();
            if here.is_empty() {
                continue;
            }
            assert!(
                here.is_sorted_by_key(|(seq, _)| *seq),
                "device {seat} shows log {number} in another order"
            );
            let times = self.times(log, seat);
            for (seq, id) in here.iter().filter(|(_, id)| self.texts.contains_key(id)) {
                assert!(
                    times.iter().any(|time| time.holds(*seq)),
                    "device {seat} read {} of log {number} outside of its membership: {times:?}",
                    seq.get()
                );
                compared += u64::from(self.texts[id].0 != seat);
            }
        }
        self.seen.compared += compared;
        if self.absent.contains(&seat) && is_reading.is_some() {
            self.seen.repaired += self.missed(seat, history);
        }
        if let Some(gaps) = is_reading {
            self.has_all(seat, history, gaps);
        }
    }

    /// How many of these texts the relay never gave to a device.
    fn missed(&self, seat: usize, history: &[Message]) -> u64 {
        let given = self.given.get(&seat);
        let is_missed = |id: &EnvelopeId| {
            let by_another = self.texts.get(id).is_some_and(|(by, _)| *by != seat);
            by_another && !given.is_some_and(|given| given.contains(id))
        };
        history.iter().map(id_of).filter(is_missed).count() as u64
    }

    /// A device that is in a log has every message that stood there in its time; one that was in it
    /// has every one up to the last that it has.
    fn has_all(&mut self, seat: usize, history: &[Message], gaps: &[Gap]) {
        let ids: BTreeSet<EnvelopeId> = history.iter().map(id_of).collect();
        for log in self.logs.values() {
            if !log.entries.values().any(|id| ids.contains(id)) {
                continue;
            }
            let last = log.entries.iter().rfind(|(_, id)| ids.contains(id)).map(|(seq, _)| *seq);
            for time in self.times(log, seat) {
                let upto =
                    time.upto.map_or(Some(Seq::new(u64::MAX)), |upto| last.map(|it| it.min(upto)));
                for (seq, id) in &log.entries {
                    let is_due = time.holds(*seq) && Some(*seq) <= upto;
                    if is_due && self.texts.contains_key(id) && !self.unheard.contains(id) {
                        let number = log.number;
                        // Nobody gives what was taken back or given other words, or what somebody
                        // would read who came later (CNV-18).
                        let is_given = !self.words.contains_key(id)
                            && !self.taken_back.contains(id)
                            && !self.has_newcomers(log, *seq);
                        let is_shown = gaps.iter().any(|gap| gap.seq > *seq);
                        // Of a gap its account has from before it came a device is not told; nor
                        // who agreed to an invitation of long ago, of what somebody said who has
                        // left (CNV-16); nor anybody where nobody is left who has heard it.
                        let is_absent = self.absent.contains(&seat);
                        let was_given = self.given.get(&seat).is_some_and(|it| it.contains(id));
                        let came_late = !self.absent.is_empty() && !was_given;
                        let is_there = log.has(self.texts[id].0, &self.readers);
                        assert!(
                            ids.contains(id)
                                || (is_shown && !is_given)
                                || (is_absent
                                    && !is_there
                                    && (is_shown || !self.has_witnesses(log, seat, *seq)))
                                || (came_late && !is_absent && !(is_given && is_there)),
                            "device {seat} misses {} of log {number} ({}), and shows {gaps:?}",
                            seq.get(),
                            self.texts[id].1
                        );
                    }
                }
            }
        }
    }

    /// When a device may have read a log: in the time of any device of its account, as what one
    /// has it gives to the others; one that was removed only until then.
    fn times(&self, log: &Log, seat: usize) -> Vec<Membership> {
        let person = self.people[&seat];
        let seats = self.people.iter().filter(|(_, of)| **of == person).map(|(seat, _)| *seat);
        let mut times: Vec<Membership> =
            seats.flat_map(|seat| log.memberships(seat, &self.readers)).collect();
        let own = log.memberships(seat, &self.readers);
        if self.removed.contains(&seat)
            && let Some(end) = own.last().and_then(|time| time.upto)
        {
            for time in &mut times {
                time.upto = Some(time.upto.map_or(end, |upto| upto.min(end)));
            }
        }
        times
    }

    /// Whether somebody came into a log behind this place, for the first time or again; whoever has
    /// not looked in is not known.
    fn has_newcomers(&self, log: &Log, seq: Seq) -> bool {
        let is_unknown = |reader: &ReaderHash| !self.readers.contains_key(reader);
        let mut later = log.changes().filter(|(at, _)| *at > seq);
        if later.any(|(_, commit)| commit.add_readers.iter().any(is_unknown)) {
            return true;
        }
        self.people.keys().any(|seat| {
            let times = self.times(log, *seat);
            let was_there = |from| {
                let before = times.iter().filter(|time| time.from < from);
                before.map(|time| time.upto).any(|upto| upto.is_none_or(|upto| upto >= from))
            };
            times.iter().any(|time| time.from > seq && !was_there(time.from))
        })
    }

    /// Whether another device is in a log that was there when something was said.
    fn has_witnesses(&self, log: &Log, seat: usize, seq: Seq) -> bool {
        let mut others = self.people.keys().filter(|other| **other != seat);
        others.any(|other| {
            let times = log.memberships(*other, &self.readers);
            times.iter().any(|time| time.holds(seq) && time.upto.is_none())
        })
    }

    /// Whether a device is in the log of this history.
    pub(crate) fn is_in(&self, seat: usize, history: &[Message]) -> bool {
        self.newest_log(history).is_some_and(|log| log.has(seat, &self.readers))
    }

    fn newest_log(&self, history: &[Message]) -> Option<&Log> {
        let ids = history.iter().rev().map(id_of);
        let places = |id: EnvelopeId| self.logs.values().find(|log| log.place_of(&id).is_some());
        ids.filter_map(places).next()
    }

    /// Whether a message stands in a log.
    pub(crate) fn is_stored(&self, message: &Message) -> bool {
        let id = id_of(message);
        self.logs.values().any(|log| log.place_of(&id).is_some())
    }

    /// Whether a device, or another of its account, has been in the log of a message ever since.
    pub(crate) fn has_stayed_since(&self, seat: usize, message: &Message) -> bool {
        let id = id_of(message);
        let mut logs = self.logs.values();
        let found = logs.find_map(|log| log.place_of(&id).map(|seq| (log, seq)));
        found.is_some_and(|(log, seq)| {
            let times = self.times(log, seat);
            times.iter().any(|time| time.holds(seq) && time.upto.is_none())
        })
    }

    /// Whether a device has been in the log of this history ever since it came.
    pub(crate) fn has_stayed(&self, seat: usize, history: &[Message]) -> bool {
        let ids = history.iter().map(id_of);
        let mut logs =
            ids.filter_map(|id| self.logs.values().find(|log| log.place_of(&id).is_some()));
        logs.next().is_some_and(|log| {
            let times = log.memberships(seat, &self.readers);
            times.len() == 1 && times.iter().all(|time| time.upto.is_none())
        })
    }

    /// How many devices are in the log that holds one of these messages: the newest such log.
    pub(crate) fn devices_beside(&self, history: &[Message]) -> Option<usize> {
        self.newest_log(history).map(|log| log.current().len())
    }
}

/// What a told run calls a reader.
fn short(reader: &ReaderHash) -> String {
    let [a, b, ..] = reader.as_bytes();
    format!("{a:02x}{b:02x}")
}

/// A message has the id of its envelope.
fn id_of(message: &Message) -> EnvelopeId {
    EnvelopeId::new(*message.id.as_bytes())
}
