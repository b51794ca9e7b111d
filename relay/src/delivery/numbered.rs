//! Things by rising numbers, for a mailbox's places.
//!
//! Sans-IO: few, as most mailboxes have, are a list, which is the smallest; of many, one that goes
//! does not move the others.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::limits::FAN_OUT_AT_ONCE;

/// Things in the order of their numbers: a walk over them may pause anywhere.
pub(super) enum Numbered<T> {
    Few(Vec<(u64, T)>),
    #[expect(clippy::box_collection, reason = "most have few, which this must not make larger")]
    Many(Box<BTreeMap<u64, T>>),
}

const _: () = assert!(size_of::<Numbered<u64>>() == size_of::<Vec<u64>>());

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<T> Numbered<T> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(list) => list.len(),
            Self::Many(map) => map.len(),
        }
    }

    /// The highest number.
    pub(super) fn last(&self) -> Option<u64> {
        match self {
            Self::Few(list) => list.last().map(|(number, _)| *number),
            Self::Many(map) => map.last_key_value().map(|(number, _)| *number),
        }
    }

    /// Adds one with a number above all before.
    pub(super) fn push(&mut self, number: u64, thing: T) {
        if let Self::Few(list) = self
            && list.len() >= FAN_OUT_AT_ONCE
        {
            *self = Self::Many(Box::new(std::mem::take(list).into_iter().collect()));
        }
        match self {
            Self::Few(list) => {
                if list.is_empty() {
                    list.reserve_exact(1);
                }
                list.push((number, thing));
            }
            Self::Many(map) => drop(map.insert(number, thing)),
        }
    }

    /// Takes one out; none is fine.
    pub(super) fn remove(&mut self, number: u64) {
        match self {
            Self::Few(list) => list.retain(|(other, _)| *other != number),
            Self::Many(map) => drop(map.remove(&number)),
        }
    }

    /// Those with these numbers.
    pub(super) fn range(&self, numbers: Range<u64>) -> impl Iterator<Item = (u64, &T)> {
        let (few, many) = match self {
            Self::Few(list) => (Some(list), None),
            Self::Many(map) => (None, Some(map)),
        };
        let (wanted, few) = (numbers.clone(), few.into_iter().flatten());
        let few = few.map(|(number, thing)| (*number, thing));
        let many = many.into_iter().flat_map(move |map| map.range(numbers.clone()));
        let many = many.map(|(number, thing)| (*number, thing));
        few.filter(move |(number, _)| wanted.contains(number)).chain(many)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once the first of a hundred thousand that left moved all others, under a lock that the
    /// storage thread waits for.
    #[test]
    fn many_are_no_list_and_few_are() {
        let count = FAN_OUT_AT_ONCE as u64;
        let mut all = Numbered::default();
        for number in 0..count {
            all.push(number, ());
        }
        assert!(matches!(all, Numbered::Few(_)));
        all.push(count, ());
        assert!(matches!(all, Numbered::Many(_)));
    }

    #[test]
    fn few_and_many_are_walked_alike() {
        for count in [4, 2 * FAN_OUT_AT_ONCE as u64] {
            let mut all = Numbered::default();
            for number in 0..count {
                all.push(number, number * 2);
            }
            all.remove(1);
            all.remove(count);
            assert_eq!((all.len() as u64, all.last()), (count - 1, Some(count - 1)));
            let found: Vec<_> = all.range(0..3).map(|(number, thing)| (number, *thing)).collect();
            assert_eq!(found, [(0, 0), (2, 4)]);
            for number in 0..count {
                all.remove(number);
            }
            assert_eq!((all.len(), all.last(), all.range(0..9).count()), (0, None, 0));
        }
    }
}
