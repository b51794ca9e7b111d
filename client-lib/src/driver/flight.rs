//! One transfer on one link: what was asked for it there, and what may be asked next.
//!
//! Sans-IO: knows offsets and counts; must not know the link, the store or the file.

use restante_spec::ids::Handle;

use crate::engine::{Ask, part_size};
use crate::store::Errand;

/// Flights of a link are numbered, so that a late answer is not taken for one of another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlightNumber(pub(super) u64);

/// What a transfer is asked for, and on which handle: a blob is written with the key of the current
/// epoch, so that another handle begins another flight (BLB-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Course {
    pub(super) errand: Errand,
    /// `None`: none is needed.
    pub(super) handle: Option<Handle>,
}

/// A transfer on a link; see the module's words.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) number: FlightNumber,
    pub(super) course: Course,
    size: u64,
    /// Requests without an answer.
    under_way: usize,
    next: Next,
}

/// What may be asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The first request; nothing was asked yet.
    First,
    /// The part that begins there, or nothing when all were asked for.
    Part(u64),
    /// Nothing: what was asked must be answered first, or this course is over.
    Nothing,
}

impl Flight {
    /// An upload or the withdrawal of one: the relay first says how far the blob is.
    pub(super) const fn asking(number: FlightNumber, course: Course, size: u64) -> Self {
        Self { number, course, size, under_way: 0, next: Next::First }
    }

    /// A download that goes on at this part.
    pub(super) const fn reading(
        number: FlightNumber,
        course: Course,
        size: u64,
        start: u64,
    ) -> Self {
        Self { number, course, size, under_way: 0, next: Next::Part(start) }
    }

    /// Requests without an answer.
    pub(super) const fn under_way(&self) -> usize {
        self.under_way
    }

    /// What may be asked now.
    pub(super) const fn next_ask(&self) -> Option<Ask> {
        match (self.next, self.course.errand) {
            (Next::First, Errand::Withdraw) => Some(Ask::Delete),
            (Next::First, Errand::Upload | Errand::Download) => Some(Ask::Create),
            (Next::Part(offset), _) if offset >= self.size => None,
            (Next::Part(offset), Errand::Download) => Some(Ask::Read(offset)),
            (Next::Part(offset), Errand::Upload | Errand::Withdraw) => Some(Ask::Write(offset)),
            (Next::Nothing, _) => None,
        }
    }

    /// A request leaves.
    pub(super) const fn handle_sent(&mut self, ask: Ask) {
        self.under_way += 1;
        self.next = match ask {
            Ask::Create | Ask::Delete => Next::Nothing,
            Ask::Write(offset) | Ask::Read(offset) => {
                Next::Part(offset + part_size(offset, self.size))
            }
        };
    }

    /// A part was answered.
    pub(super) const fn handle_answered(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// The relay said from where an upload goes on (BLB-3).
    pub(super) const fn handle_created(&mut self, stored: u64) {
        self.handle_answered();
        self.next = Next::Part(stored);
    }

    /// The epoch is over: nothing is asked on this handle any more.
    pub(super) const fn handle_stale(&mut self) {
        self.next = Next::Nothing;
    }

    /// Whether everything was asked for and answered.
    pub(super) const fn is_through(&self) -> bool {
        self.under_way == 0 && matches!(self.next, Next::Part(offset) if offset >= self.size)
    }
}

#[cfg(test)]
mod tests {
    use restante_spec::limits::BLOB_PART_BYTES;

    use super::*;

    const PART: u64 = BLOB_PART_BYTES as u64;

    fn course(errand: Errand) -> Course {
        Course { errand, handle: Some(Handle::new(1)) }
    }

    /// BLB-3: an upload asks first how far the blob is, and goes on behind that, part by part.
    #[test]
    fn uploads_ask_where_to_go_on() {
        let size = 3 * PART + 7;
        let mut flight = Flight::asking(FlightNumber(1), course(Errand::Upload), size);
        assert_eq!(flight.next_ask(), Some(Ask::Create));
        flight.handle_sent(Ask::Create);
        assert_eq!(flight.next_ask(), None);
        flight.handle_created(2 * PART);
        for offset in [2 * PART, 3 * PART] {
            assert_eq!(flight.next_ask(), Some(Ask::Write(offset)));
            flight.handle_sent(Ask::Write(offset));
        }
        assert_eq!((flight.next_ask(), flight.under_way(), flight.is_through()), (None, 2, false));
        flight.handle_answered();
        flight.handle_answered();
        assert!(flight.is_through());
    }

    /// A download begins with a part, and is through when the last one is answered.
    #[test]
    fn downloads_ask_for_parts() {
        let mut flight = Flight::reading(FlightNumber(1), course(Errand::Download), PART + 1, 0);
        for offset in [0, PART] {
            assert_eq!(flight.next_ask(), Some(Ask::Read(offset)));
            flight.handle_sent(Ask::Read(offset));
        }
        assert_eq!(flight.next_ask(), None);
    }

    /// BLB-2: when the epoch is over nothing more is asked on its handle.
    #[test]
    fn stale_flights_ask_nothing() {
        let mut flight = Flight::asking(FlightNumber(1), course(Errand::Upload), PART);
        flight.handle_sent(Ask::Create);
        flight.handle_created(0);
        flight.handle_stale();
        assert_eq!(flight.next_ask(), None);
    }

    /// CMD-21: a withdrawal is one request.
    #[test]
    fn withdrawals_ask_once() {
        let mut flight = Flight::asking(FlightNumber(1), course(Errand::Withdraw), PART);
        assert_eq!(flight.next_ask(), Some(Ask::Delete));
        flight.handle_sent(Ask::Delete);
        assert_eq!(flight.next_ask(), None);
    }
}
