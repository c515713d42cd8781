//! The order in which the tracker connects to members: the member that is due for longest comes first. A
//! member is not in the queue while an attempt runs, so addresses that fail slowly do not starve others. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The members to connect to, by number; times are on the clock of [`Now::elapsed`](super::Now::elapsed).
#[derive(Debug, Default)]
pub(crate) struct ProbeQueue {
    queue: BTreeSet<(Duration, u64)>,
    due: BTreeMap<u64, Duration>,
}

impl ProbeQueue {
    /// Makes a member due at this time only.
    pub(crate) fn set(&mut self, number: u64, due: Duration) {
        self.forget(number);
        self.queue.insert((due, number));
        self.due.insert(number, due);
    }

    pub(crate) fn forget(&mut self, number: u64) {
        if let Some(due) = self.due.remove(&number) {
            self.queue.remove(&(due, number));
        }
    }

    /// Takes the member that has been due for longest.
    pub(crate) fn next(&mut self, now: Duration) -> Option<u64> {
        let (_, number) = self.queue.first().copied().filter(|(due, _)| *due <= now)?;
        self.forget(number);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_longest_is_next_and_nobody_is_there_twice() {
        let mut probe_queue = ProbeQueue::default();
        let at = Duration::from_secs;
        for (number, due) in [(1, 9), (2, 3), (3, 3), (4, 1), (1, 2), (4, 20)] {
            probe_queue.set(number, at(due));
        }
        probe_queue.forget(3);
        let mut next = |now| probe_queue.next(at(now));
        assert_eq!(next(1), None);
        assert_eq!([next(10), next(10), next(10)], [Some(1), Some(2), None]);
        assert_eq!([next(20), next(99)], [Some(4), None]);
        assert!(probe_queue.due.is_empty());
    }
}
