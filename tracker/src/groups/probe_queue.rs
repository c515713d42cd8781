//! The order in which the tracker connects to members: the member that is due for longest comes first. A
//! member is not in the queue while an attempt runs, so addresses that fail slowly do not starve others. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::GroupName;

/// The members to connect to, by number; times are on the clock of [`Now::elapsed`](super::Now::elapsed).
#[derive(Debug, Default)]
pub(crate) struct ProbeQueue {
    queue: BTreeMap<(Duration, u64), GroupName>,
    due: BTreeMap<u64, Duration>,
}

impl ProbeQueue {
    /// Makes a member due at this time only.
    pub(crate) fn set(&mut self, number: u64, group: &GroupName, due: Duration) {
        self.forget(number);
        self.queue.insert((due, number), group.clone());
        self.due.insert(number, due);
    }

    pub(crate) fn forget(&mut self, number: u64) {
        if let Some(due) = self.due.remove(&number) {
            self.queue.remove(&(due, number));
        }
    }

    /// Takes the member that has been due for longest.
    pub(crate) fn next(&mut self, now: Duration) -> Option<(GroupName, u64)> {
        let first = self.queue.first_entry()?;
        let (due, number) = *first.key();
        if due > now {
            return None;
        }
        self.due.remove(&number);
        Some((first.remove(), number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_longest_is_next_and_nobody_is_there_twice() {
        let mut probe_queue = ProbeQueue::default();
        let group: GroupName = "g1".parse().unwrap();
        let at = Duration::from_secs;
        for (number, due) in [(1, 9), (2, 3), (3, 3), (4, 1), (1, 2), (4, 20)] {
            probe_queue.set(number, &group, at(due));
        }
        probe_queue.forget(3);
        let mut next = |now| Some(probe_queue.next(at(now))?.1);
        assert_eq!(next(1), None);
        assert_eq!([next(10), next(10), next(10)], [Some(1), Some(2), None]);
        assert_eq!([next(20), next(99)], [Some(4), None]);
        assert!(probe_queue.due.is_empty());
    }
}
