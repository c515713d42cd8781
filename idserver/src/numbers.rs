//! The reserved numbers of one key.

use std::ops::Range;

/// Numbers that were reserved and not handed out yet, lowest first.
#[derive(Debug, Default)]
pub(crate) struct Numbers(Range<u64>);

impl Numbers {
    /// The next number; none when the step is used up.
    pub(crate) fn take(&mut self) -> Option<u64> {
        self.0.next()
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
        assert_eq!(numbers.take(), None);
        numbers.refill(0..3);
        assert_eq!([0, 1, 2].map(Some), [(); 3].map(|()| numbers.take()));
        assert_eq!(numbers.take(), None);
        numbers.refill(200..201);
        assert_eq!((numbers.take(), numbers.take()), (Some(200), None));
    }

    #[test]
    fn the_last_number_of_all_is_one_too() {
        let mut numbers = Numbers::default();
        let end = i64::MAX as u64;
        numbers.refill(end - 1..end);
        assert_eq!((numbers.take(), numbers.take()), (Some(end - 1), None));
    }
}
