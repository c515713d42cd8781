//! A bounded map whose entries expire.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Remembers values for a time each. At the limit on entries the expired ones are removed. If all are
/// valid, all are removed: to learn a value again is cheaper than to keep an order of eviction.
#[derive(Debug)]
pub struct ExpiringMap<K, V> {
    entries_max: usize,
    entries: HashMap<K, Entry<V>>,
}

#[derive(Debug)]
struct Entry<V> {
    since: Instant,
    keep: Duration,
    value: V,
}

impl<V> Entry<V> {
    fn is_valid(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < self.keep
    }
}

impl<K: Eq + Hash, V> ExpiringMap<K, V> {
    /// An empty map of at most `entries_max` entries.
    pub fn new(entries_max: usize) -> ExpiringMap<K, V> {
        ExpiringMap {
            entries_max,
            entries: HashMap::new(),
        }
    }

    /// The value, unless it has expired.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q, now: Instant) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let entry = self.entries.get(key)?;
        entry.is_valid(now).then_some(&entry.value)
    }

    /// Sets a value that is valid for `keep` from `now` on. With a `keep` of zero, none is.
    pub fn insert(&mut self, key: K, value: V, keep: Duration, now: Instant) {
        if self.entries.len() >= self.entries_max {
            self.entries.retain(|_, entry| entry.is_valid(now));
        }
        if self.entries.len() >= self.entries_max {
            self.entries.clear();
        }
        let since = now;
        self.entries.insert(key, Entry { since, keep, value });
    }

    /// Removes a value.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Duration = Duration::from_secs(1);

    #[test]
    fn a_value_is_kept_for_its_time_only() {
        let (mut map, now) = (ExpiringMap::new(10), Instant::now());
        map.insert("a", 1, KEEP, now);
        map.insert("never", 1, Duration::ZERO, now);
        map.insert("always", 1, Duration::MAX, now);
        assert_eq!(map.get("a", now), Some(&1));
        assert_eq!(map.get("never", now), None);
        assert_eq!(map.get("a", now + KEEP), None);
        assert_eq!(map.get("always", now + KEEP), Some(&1));
        map.insert("a", 2, KEEP, now + KEEP);
        assert_eq!(map.get("a", now + KEEP), Some(&2));
        map.remove("a");
        assert_eq!(map.get("a", now + KEEP), None);
    }

    #[test]
    fn the_number_of_entries_is_bounded_and_expired_ones_go_first() {
        let (mut map, now) = (ExpiringMap::new(10), Instant::now());
        for n in 0..9 {
            map.insert(n, n, KEEP, now);
        }
        map.insert(9, 9, 3 * KEEP, now);
        map.insert(10, 10, 3 * KEEP, now + 2 * KEEP);
        assert_eq!(map.get(&9, now + 2 * KEEP), Some(&9));
        for n in 11..100 {
            map.insert(n, n, KEEP, now + 2 * KEEP);
            assert!(map.entries.len() <= 10);
            assert_eq!(map.get(&n, now + 2 * KEEP), Some(&n));
        }
    }
}
