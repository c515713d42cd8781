//! Keeps a line that may come a thousand times a second from filling the disk.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// At most one line in this time; the others are counted.
const INTERVAL: Duration = Duration::from_secs(1);

/// Lets one line a second through. One for each kind of line.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Option<Last>>);

#[derive(Debug)]
struct Last {
    at: Instant,
    unwritten: u64,
}

impl Seldom {
    /// Whether a line is due now: then how many were not written since the last one.
    pub fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        let mut last = self.0.lock();
        match &mut *last {
            Some(last) if now.duration_since(last.at) < INTERVAL => {
                last.unwritten += 1;
                None
            }
            _ => {
                let before = last.replace(Last {
                    at: now,
                    unwritten: 0,
                });
                Some(before.map_or(0, |before| before.unwritten))
            }
        }
    }
}

/// `; 12 more like it before`, or nothing for none.
pub fn more_like_it(unwritten: u64) -> String {
    if unwritten == 0 {
        String::new()
    } else {
        format!("; {unwritten} more like it before")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_once_in_its_interval() {
        let seldom = Seldom::default();
        let began = Instant::now();
        assert_eq!(seldom.due_at(began), Some(0));
        for _ in 0..5 {
            assert_eq!(seldom.due_at(began), None);
        }
        let later = began + INTERVAL;
        assert_eq!(seldom.due_at(later), Some(5));
        assert_eq!(seldom.due_at(later + INTERVAL), Some(0));
        assert_eq!(
            (more_like_it(0), more_like_it(2)),
            (String::new(), "; 2 more like it before".into())
        );
    }
}
