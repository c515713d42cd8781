//! The reserved numbers of one key: the range in use and the next one.

use std::ops::Range;

/// Two ranges of numbers that no idserver has handed out, lowest first.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    current: Range<u64>,
    /// Fewer numbers left than this call for the next range: half of the current one.
    refill_below: u64,
    next: Range<u64>,
}

impl Numbers {
    /// The next numbers, up to `count` and out of one range. None when both ranges are used up.
    pub(crate) fn take(&mut self, count: u16) -> Option<Range<u64>> {
        if self.current.is_empty() && !self.next.is_empty() {
            let next = std::mem::take(&mut self.next);
            self.add(next);
        }
        let Range { start, end } = self.current;
        let taken = start..end.min(start.saturating_add(count.into()));
        self.current.start = taken.end;
        (!taken.is_empty()).then_some(taken)
    }

    /// True when more than half of the current range is used and there is no next one.
    pub(crate) fn needs_refill(&self) -> bool {
        let left = self.current.end - self.current.start;
        self.next.is_empty() && left < self.refill_below
    }

    /// The number behind the last one that was reserved; 0 before the first range.
    pub(crate) fn end(&self) -> u64 {
        self.current.end.max(self.next.end)
    }

    /// Adds a range. It begins at [`Numbers::end`] or above.
    ///
    /// # Panics
    /// There is a next range already, whose numbers would be lost.
    pub(crate) fn add(&mut self, range: Range<u64>) {
        assert!(self.next.is_empty(), "{:?} is not used up", self.next);
        if self.current.is_empty() {
            self.refill_below = (range.end - range.start) / 2;
            self.current = range;
        } else {
            self.next = range;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_counted_through() {
        let mut numbers = Numbers::default();
        assert_eq!((numbers.take(1), numbers.end()), (None, 0));
        numbers.add(0..3);
        numbers.add(200..201);
        let taken = [(); 4].map(|()| numbers.take(1));
        assert_eq!(taken, [0..1, 1..2, 2..3, 200..201].map(Some));
        assert_eq!((numbers.take(1), numbers.end()), (None, 201));
    }

    #[test]
    fn several_are_taken_at_once_as_far_as_one_range_has_them() {
        let mut numbers = Numbers::default();
        numbers.add(10..20);
        numbers.add(20..30);
        assert_eq!(numbers.take(7), Some(10..17));
        assert_eq!(numbers.take(7), Some(17..20));
        assert_eq!(numbers.take(100), Some(20..30));
        assert_eq!(numbers.take(7), None);
    }

    #[test]
    fn the_next_range_is_wanted_from_half_of_the_current_one_on() {
        let mut numbers = Numbers::default();
        numbers.add(0..10);
        numbers.take(5);
        assert!(!numbers.needs_refill());
        numbers.take(1);
        assert!(numbers.needs_refill());
        numbers.add(10..12);
        assert!(!numbers.needs_refill());
        numbers.take(10);
        numbers.take(2);
        assert!(numbers.needs_refill());
    }

    #[test]
    fn the_last_number_of_all_is_one_too() {
        let mut numbers = Numbers::default();
        let end = i64::MAX as u64;
        numbers.add(end - 1..end);
        assert_eq!(
            (numbers.take(2), numbers.take(2)),
            (Some(end - 1..end), None)
        );
    }
}
