//! Keeps a line that may come a thousand times a second from filling the disk.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// At most one line of a kind in this time; the others are counted.
const INTERVAL: Duration = Duration::from_secs(1);

/// Lets one line a second through, of each kind `K`; there should be few kinds.
#[derive(Debug)]
pub struct Seldom<K>(Mutex<Vec<Last<K>>>);

/// The last line of a kind.
#[derive(Debug)]
struct Last<K> {
    kind: K,
    at: Instant,
    unwritten: u64,
}

impl<K> Default for Seldom<K> {
    fn default() -> Seldom<K> {
        Seldom(Mutex::new(Vec::new()))
    }
}

impl<K: PartialEq> Seldom<K> {
    /// Whether a line of this kind is due now: then what to end it with, which tells how many were
    /// not written since the last one, and is empty when there were none.
    pub fn due(&self, kind: K) -> Option<String> {
        let unwritten = self.due_at(kind, Instant::now())?;
        let more = (unwritten > 0).then(|| format!("; {unwritten} more like it before"));
        Some(more.unwrap_or_default())
    }

    fn due_at(&self, kind: K, now: Instant) -> Option<u64> {
        let mut lines = self.0.lock();
        let Some(last) = lines.iter_mut().find(|last| last.kind == kind) else {
            lines.push(Last {
                kind,
                at: now,
                unwritten: 0,
            });
            return Some(0);
        };
        if now.saturating_duration_since(last.at) < INTERVAL {
            last.unwritten += 1;
            return None;
        }
        last.at = now;
        Some(std::mem::take(&mut last.unwritten))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_kind_is_due_once_in_its_interval() {
        let seldom = Seldom::default();
        let began = Instant::now();
        assert_eq!(seldom.due_at(503, began), Some(0));
        assert_eq!(seldom.due_at(502, began), Some(0));
        for _ in 0..5 {
            assert_eq!(seldom.due_at(503, began), None);
        }
        assert_eq!(seldom.due_at(503, began + INTERVAL), Some(5));
        assert_eq!(seldom.due_at(503, began + 2 * INTERVAL), Some(0));
        assert_eq!(Seldom::default().due(()), Some(String::new()));
    }
}
