//! The reserved numbers of one key.

use std::ops::Range;

/// Numbers that were reserved and not handed out yet, lowest first.
#[derive(Debug, Default)]
pub(crate) struct Numbers(Range<u64>);

impl Numbers {
    /// The next numbers, as many as are left up to `count`; none when the step is used up.
    pub(crate) fn take(&mut self, count: u16) -> Option<Range<u64>> {
        let Range { start, end } = self.0;
        let taken = start..end.min(start.saturating_add(count.into()));
        self.0.start = taken.end;
        (!taken.is_empty()).then_some(taken)
    }

    /// The number behind the last one of the step; 0 when there was none yet.
    pub(crate) fn end(&self) -> u64 {
        self.0.end
    }

    /// Goes on with a new step.
    ///
    /// # Panics
    /// When there are numbers left of the last one, which would be lost.
    pub(crate) fn refill(&mut self, step: Range<u64>) {
        assert!(self.0.is_empty(), "{} numbers left", self.0.clone().count());
        self.0 = step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_through() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.take(1), None);
        numbers.refill(0..3);
        assert_eq!(
            [0..1, 1..2, 2..3].map(Some),
            [(); 3].map(|()| numbers.take(1))
        );
        assert_eq!(numbers.take(1), None);
        numbers.refill(200..201);
        assert_eq!((numbers.take(1), numbers.take(1)), (Some(200..201), None));
    }

    #[test]
    fn several_are_taken_at_once_as_far_as_they_are_there() {
        let mut numbers = Numbers::default();
        numbers.refill(10..20);
        assert_eq!(numbers.take(7), Some(10..17));
        assert_eq!(numbers.take(7), Some(17..20));
        assert_eq!(numbers.take(7), None);
    }

    #[test]
    fn the_last_number_of_all_is_one_too() {
        let mut numbers = Numbers::default();
        let end = i64::MAX as u64;
        numbers.refill(end - 1..end);
        assert_eq!(
            (numbers.take(2), numbers.take(2)),
            (Some(end - 1..end), None)
        );
    }
}
