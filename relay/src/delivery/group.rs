//! The subscriptions of one mailbox, and the notices on their way to them.
//!
//! Few are told at once, by whoever brings the notice. Many are told in steps by the hub's own
//! task, in the order in which the notices came: whoever brings one, the buffer's thread above all,
//! pays for one entry in a list, however many there are. Live envelopes always go that way, so that
//! their sender's time does not tell who is there (MBX-19); stored ones do not wait for them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use restante_spec::ids::Handle;
use restante_spec::limits;

use super::numbered::Numbered;
use super::outlet::Outlet;
use crate::limits::{FAN_OUT_AT_ONCE, FAN_OUT_BYTES, FAN_OUT_STEP};
use crate::mailbox::api::Notice;

/// Which subscription a notice is for. The number is given once: a handle that is used anew is
/// another seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat {
    pub(super) number: u64,
    pub(super) handle: Handle,
}

/// Everyone subscribed to a mailbox.
#[derive(Default)]
pub(super) struct Group(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    /// By their seats' numbers.
    places: Numbered<Place>,
    /// Nothing, most of the time.
    spreading: Option<Box<Spreading>>,
}

/// What not everyone was told yet.
#[derive(Default)]
struct Spreading {
    /// All but live envelopes.
    rounds: Rounds,
    live: Rounds,
}

/// Where notices of a subscription go.
#[derive(Clone)]
struct Place {
    handle: Handle,
    outlet: Arc<Outlet>,
}

/// News waiting to be told, oldest first.
#[derive(Default)]
struct Rounds {
    waiting: VecDeque<Round>,
    /// Bytes of the notices in `waiting`.
    bytes: usize,
}

/// One notice for those who were there when it came: `from <= number < until` are still to be told.
struct Round {
    news: News,
    from: u64,
    until: u64,
}

/// What is told.
#[derive(Clone)]
enum News {
    Notice(Arc<Notice>),
    /// There was more than could wait: it is to be read from the buffer.
    Missed,
}

impl Group {
    /// How many there are.
    #[cfg(feature = "simulation")]
    pub(super) fn len(&self) -> usize {
        self.lock().places.len()
    }

    /// Somebody subscribes, with a number above all before.
    pub(super) fn join(&self, seat: Seat, outlet: &Arc<Outlet>) {
        let mut inside = self.lock();
        let place = Place { handle: seat.handle, outlet: Arc::clone(outlet) };
        inside.places.push(seat.number, place);
    }

    /// Somebody goes. Returns whether nobody is left.
    pub(super) fn leave(&self, seat: Seat) -> bool {
        let mut inside = self.lock();
        inside.places.remove(seat.number);
        inside.places.len() == 0
    }

    /// Whether nobody is there.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().places.len() == 0
    }

    /// Something happened. Returns whether there is now something to [`Group::spread`], and was
    /// not before.
    pub(super) fn notice(&self, notice: Notice) -> bool {
        let mut inside = self.lock();
        let rested = inside.is_at_rest();
        let notice = Arc::new(notice);
        if notice.is_live() {
            inside.queue_live(notice);
        } else if !inside.has_rounds() && inside.places.len() <= FAN_OUT_AT_ONCE {
            let news = News::Notice(notice);
            for (number, place) in inside.places.range(0..inside.until()) {
                place.tell(number, &news);
            }
        } else {
            inside.queue(notice);
        }
        rested && !inside.is_at_rest()
    }

    /// Tells the next few. Returns whether there are more to tell.
    pub(super) fn spread(&self) -> bool {
        let Some((news, places)) = self.next_few() else { return false };
        // Told without the lock. The round stays in its list meanwhile, so that nothing newer comes
        // first.
        for (number, place) in &places {
            place.tell(*number, &news);
        }
        let mut inside = self.lock();
        let spreading = inside.spreading.as_mut();
        if spreading.is_none_or(|spreading| spreading.drop_finished()) {
            inside.spreading = None;
        }
        !inside.is_at_rest()
    }

    fn next_few(&self) -> Option<(News, Vec<(u64, Place)>)> {
        let mut inside = self.lock();
        let Inside { places, spreading, .. } = &mut *inside;
        let Spreading { rounds, live } = &mut **spreading.as_mut()?;
        let round = rounds.waiting.front_mut().or_else(|| live.waiting.front_mut())?;
        let left = places.range(round.from..round.until).take(FAN_OUT_STEP);
        let few: Vec<_> = left.map(|(number, place)| (number, place.clone())).collect();
        let last = if few.len() < FAN_OUT_STEP { None } else { few.last() };
        round.from = last.map_or(round.until, |(number, _)| number + 1);
        Some((round.news.clone(), few))
    }

    /// Keeps everyone else out, for tests of who waits for whom.
    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Drop {
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn is_at_rest(&self) -> bool {
        self.spreading.is_none()
    }

    /// Above every seat's number there is; whoever joins later has a higher one.
    fn until(&self) -> u64 {
        self.places.last().map_or(0, |number| number + 1)
    }

    fn has_rounds(&self) -> bool {
        self.spreading.as_ref().is_some_and(|spreading| !spreading.rounds.waiting.is_empty())
    }

    /// Puts a notice behind the others; one that finds no room is missed by all.
    fn queue(&mut self, notice: Arc<Notice>) {
        let (from, until) = (0, self.until());
        let Spreading { rounds, .. } = &mut **self.spreading.get_or_insert_default();
        if rounds.bytes + notice.size() <= FAN_OUT_BYTES {
            return rounds.push(notice, until);
        }
        // A mark that nobody was told yet tells them of this one too.
        let waiting = &mut rounds.waiting;
        match waiting.back_mut() {
            Some(Round { news: News::Missed, from: 0, until: last }) => *last = until,
            _ => waiting.push_back(Round { news: News::Missed, from, until }),
        }
    }

    /// Puts a live envelope behind the others, or drops it (DLV-9).
    fn queue_live(&mut self, notice: Arc<Notice>) {
        let waiting = self.spreading.as_ref().map_or(0, |spreading| spreading.live.bytes);
        if waiting + notice.size() <= limits::LIVE_PENDING_BYTES {
            let until = self.until();
            self.spreading.get_or_insert_default().live.push(notice, until);
        }
    }
}

impl Spreading {
    /// Takes what everyone was told from the lists. Returns whether nothing is left.
    fn drop_finished(&mut self) -> bool {
        self.rounds.drop_finished();
        self.live.drop_finished();
        self.rounds.waiting.is_empty() && self.live.waiting.is_empty()
    }
}

impl Rounds {
    fn push(&mut self, notice: Arc<Notice>, until: u64) {
        self.bytes += notice.size();
        self.waiting.push_back(Round { news: News::Notice(notice), from: 0, until });
    }

    /// Takes what everyone was told from the list.
    fn drop_finished(&mut self) {
        if self.waiting.front().is_some_and(|round| round.from >= round.until)
            && let Some(Round { news: News::Notice(notice), .. }) = self.waiting.pop_front()
        {
            self.bytes -= notice.size();
        }
    }
}

impl Place {
    fn tell(&self, number: u64, news: &News) {
        match news {
            News::Notice(notice) => {
                self.outlet.notice(Seat { number, handle: self.handle }, notice);
            }
            News::Missed => self.outlet.missed(self.handle),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use restante_spec::codes::Code;
    use restante_spec::ids::{EnvelopeId, PublicKey, Seq, UnixTime};
    use restante_spec::message::EnvelopeClass;

    use super::*;
    use crate::mailbox::api::{Envelope, Origin};

    /// A group, and the outlets of so many readers in it.
    fn group(readers: usize) -> (Group, Vec<Arc<Outlet>>) {
        let group = Group::default();
        let outlets: Vec<_> = (0..readers).map(|_| Arc::new(Outlet::default())).collect();
        for (number, outlet) in outlets.iter().enumerate() {
            group.join(seat(number), outlet);
        }
        (group, outlets)
    }

    fn seat(number: usize) -> Seat {
        Seat { number: number as u64, handle: Handle::new(7) }
    }

    fn envelope(seq: usize, class: EnvelopeClass, size: usize) -> Notice {
        let envelope = Envelope {
            seq: Seq::new(seq as u64),
            prev: Seq::new(seq as u64 - 1),
            epoch: Seq::START,
            id: EnvelopeId::new([1; 16]),
            class,
            expires_at: UnixTime::new(9),
            commit: false,
            body: Bytes::from(vec![0; size]),
        };
        Notice::Appended { envelope, origin: Origin(1), at: UnixTime::new(1) }
    }

    fn stored(seq: usize) -> Notice {
        envelope(seq, EnvelopeClass::Normal, 10)
    }

    /// The numbers an outlet was told, 0 for a struck key, and whether it missed something.
    fn told(outlet: &Outlet) -> (Vec<u64>, bool) {
        let received = outlet.take().unwrap_or_default();
        let number = |notice: &Notice| match notice {
            Notice::Appended { envelope, .. } => envelope.seq.get(),
            _ => 0,
        };
        let numbers = received.notices.iter().map(|(_, notice)| number(notice)).collect();
        (numbers, !received.behind.is_empty())
    }

    fn spread(group: &Group) {
        while group.spread() {}
    }

    /// Rounds that wait, and live ones.
    fn waiting(group: &Group) -> (usize, usize) {
        let inside = group.lock();
        let count =
            |spreading: &Spreading| (spreading.rounds.waiting.len(), spreading.live.waiting.len());
        inside.spreading.as_deref().map_or((0, 0), count)
    }

    #[test]
    fn few_are_told_at_once() {
        let (group, outlets) = group(FAN_OUT_AT_ONCE);
        assert!(!group.notice(stored(1)));
        assert!(outlets.iter().all(|outlet| told(outlet) == (vec![1], false)));
    }

    /// MBX-19: whoever brings a live envelope tells nobody, one reader or many; DLV-9: stored ones
    /// do not wait for it.
    #[test]
    fn live_envelopes_are_never_told_by_who_brings_them() {
        let (group, outlets) = group(1);
        assert!(group.notice(envelope(100, EnvelopeClass::Live, 10)), "to be spread");
        assert!(!group.notice(stored(1)));
        assert_eq!(told(&outlets[0]), (vec![1], false));
        spread(&group);
        assert_eq!(told(&outlets[0]), (vec![100], false));
    }

    /// Whoever brings news to many waits for nobody; each is told all of it, in order, whenever it
    /// came and whoever leaves meanwhile.
    #[test]
    fn many_are_told_in_steps_and_in_order() {
        let (group, outlets) = group(10 * FAN_OUT_STEP);
        assert!(group.notice(stored(1)), "to be spread");
        assert!(!group.notice(stored(2)), "and it is known");
        assert_eq!(told(&outlets[0]), (vec![], false));
        assert!(group.spread());
        assert_eq!(told(&outlets[0]), (vec![1], false));
        assert_eq!(told(&outlets[FAN_OUT_STEP]), (vec![], false));
        assert!(!group.leave(seat(0)));
        assert!(!group.leave(seat(5 * FAN_OUT_STEP)));
        assert!(!group.notice(stored(3)));
        spread(&group);
        assert_eq!(told(&outlets[0]), (vec![], false), "it has left");
        assert_eq!(told(&outlets[1]), (vec![1, 2, 3], false));
        assert_eq!(told(outlets.last().unwrap()), (vec![1, 2, 3], false));
        assert!(group.notice(stored(4)), "to be spread anew");
    }

    /// News is for those who were there when it came: a key that was struck and is allowed again
    /// does not lose the subscription it begins then.
    #[test]
    fn who_joins_later_is_not_told_of_what_was_before() {
        let (group, _outlets) = group(FAN_OUT_AT_ONCE + 1);
        let struck = Notice::Struck { key: PublicKey::new([1; 32]), code: Code::Revoked };
        group.notice(struck);
        let late = Arc::new(Outlet::default());
        group.join(seat(1_000), &late);
        group.notice(stored(2));
        spread(&group);
        assert_eq!(told(&late), (vec![2], false));
    }

    /// What waits to be told is bounded: with one more, everyone is sent to the buffer once, and
    /// live ones take none of the room.
    #[test]
    fn news_that_cannot_wait_is_read_from_the_buffer() {
        let (group, outlets) = group(FAN_OUT_AT_ONCE + 1);
        let size = FAN_OUT_BYTES / 16 - limits::HEADER_BYTES;
        for seq in 1..=20 {
            group.notice(envelope(seq, EnvelopeClass::Normal, size));
            group.notice(envelope(100, EnvelopeClass::Live, limits::BODY_BYTES));
        }
        // 16 stored ones and the mark that some were missed.
        assert_eq!(waiting(&group), (17, 1));
        while waiting(&group) != (0, 1) {
            assert!(group.spread());
        }
        let room = |spreading: &Spreading| spreading.rounds.bytes;
        assert_eq!(group.lock().spreading.as_deref().map(room), Some(0), "it is given back");
        spread(&group);
        assert!(group.lock().spreading.is_none(), "at rest it holds nothing");
        assert!(outlets.iter().all(|outlet| told(outlet).1));
        group.notice(stored(21));
        spread(&group);
        assert!(outlets.iter().all(|outlet| told(outlet) == (vec![21], false)));
    }
}
