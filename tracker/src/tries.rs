//! When the address of which member is to be tried next: the one that waits for longest comes first,
//! and whoever is being tried is not in the queue, so that addresses which take long to fail hold
//! nobody else up for ever. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::GroupName;

/// The members that are to be tried, by number; times are on the clock of
/// [`Now::elapsed`](crate::groups::Now::elapsed).
#[derive(Debug, Default)]
pub(crate) struct Tries {
    queue: BTreeMap<(Duration, u64), GroupName>,
    due: BTreeMap<u64, Duration>,
}

impl Tries {
    /// A member is to be tried at this time, whatever was said before.
    pub(crate) fn set(&mut self, number: u64, group: &GroupName, due: Duration) {
        self.forget(number);
        self.queue.insert((due, number), group.clone());
        self.due.insert(number, due);
    }

    /// A member is not to be tried.
    pub(crate) fn forget(&mut self, number: u64) {
        if let Some(due) = self.due.remove(&number) {
            self.queue.remove(&(due, number));
        }
    }

    /// Takes out the member that is due for longest, if one is.
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
        let mut tries = Tries::default();
        let group: GroupName = "g1".parse().unwrap();
        let at = Duration::from_secs;
        for (number, due) in [(1, 9), (2, 3), (3, 3), (4, 1), (1, 2), (4, 20)] {
            tries.set(number, &group, at(due));
        }
        tries.forget(3);
        let mut next = |now| Some(tries.next(at(now))?.1);
        assert_eq!(next(1), None);
        assert_eq!([next(10), next(10), next(10)], [Some(1), Some(2), None]);
        assert_eq!([next(20), next(99)], [Some(4), None]);
        assert!(tries.due.is_empty());
    }
}
