//! The numbers of one request to an idserver, and how many to ask for next.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use proto::storage_path::FILES_PER_FOLDER;

/// Fewest numbers per request.
const SIZE_MIN: u64 = 100;
/// Most numbers per request: eight folders. A stop skips those that are left.
const SIZE_MAX: u64 = 8 * FILES_PER_FOLDER;
/// A batch is to last this long.
const TIME: Duration = Duration::from_secs(1);

/// Numbers of new files. Each next one is of another folder, as far as the batch has several, since
/// concurrent uploads into one folder wait for its lock.
#[derive(Default)]
pub(super) struct Batch {
    /// The numbers left, one range for each folder; the first has the next number.
    folders: VecDeque<Range<u64>>,
    /// Numbers at the start.
    size: u64,
    received_at: Option<Instant>,
}

impl Batch {
    pub(super) fn new(numbers: Range<u64>, received_at: Instant) -> Batch {
        let mut folders = VecDeque::new();
        let mut start = numbers.start;
        while start < numbers.end {
            let next_folder = (start / FILES_PER_FOLDER + 1) * FILES_PER_FOLDER;
            let end = next_folder.min(numbers.end);
            folders.push_back(start..end);
            start = end;
        }
        Batch {
            folders,
            size: numbers.end.saturating_sub(numbers.start),
            received_at: Some(received_at),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.folders.is_empty()
    }

    /// The next number.
    pub(super) fn next(&mut self) -> Option<u64> {
        let mut folder = self.folders.pop_front()?;
        let number = folder.next();
        if !folder.is_empty() {
            self.folders.push_back(folder);
        }
        number
    }

    /// The size of the next batch, from the rate at which this one was used up. So few uploads fill one
    /// folder after the other, and many use several at once.
    pub(super) fn next_size(&self, now: Instant) -> u16 {
        let lasted = self
            .received_at
            .map_or(TIME, |at| now.saturating_duration_since(at));
        let in_time = u128::from(self.size) * TIME.as_micros() / lasted.as_micros().max(1);
        let size = u64::try_from(in_time).unwrap_or(SIZE_MAX);
        u16::try_from(size.clamp(SIZE_MIN, SIZE_MAX)).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_several_folders_are_taken_in_turn() {
        let mut batch = Batch::new(510..1030, Instant::now());
        let numbers: Vec<u64> = std::iter::from_fn(|| batch.next()).collect();
        assert_eq!(numbers[..8], [510, 512, 1024, 511, 513, 1025, 514, 1026]);
        assert_eq!(numbers[numbers.len() - 2..], [1022, 1023]);
        let mut sorted = numbers;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(510..1030));
        assert!(batch.is_empty());
    }

    #[test]
    fn one_folder_is_filled_from_its_start() {
        let mut batch = Batch::new(100..200, Instant::now());
        assert!(std::iter::from_fn(|| batch.next()).eq(100..200));
    }

    #[test]
    fn a_batch_grows_with_the_rate_of_uploads() {
        let start = Instant::now();
        assert_eq!(Batch::default().next_size(start), 100);
        let batch = Batch::new(0..1000, start);
        let after = |time| batch.next_size(start + Duration::from_millis(time));
        assert_eq!([0, 1, 200].map(after), [4096; 3]);
        assert_eq!([500, 1000, 4000].map(after), [2000, 1000, 250]);
        assert_eq!([10_000, 1_000_000].map(after), [100; 2]);
    }
}
