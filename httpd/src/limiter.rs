//! Limits on workers and requests that wait for the servers of one group: a group that hangs must
//! leave workers to the others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use proto::GroupName;

/// A limit's subject: servers that fail together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Servers {
    Trackers,
    Storages(GroupName),
}

/// Admits up to `max` users at a time; of one group at most half of what the other groups leave.
#[derive(Debug)]
pub(crate) struct Limiter {
    max: usize,
    over_limit: OverLimit,
    state: Mutex<State>,
    freed: Condvar,
}

/// Handling of a user above its group's share.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OverLimit {
    /// Waits this long at most. A healthy server answers many requests in this time.
    Wait(Duration),
    /// Is admitted unless the oldest permit of the group is older: then the group is slow.
    AdmitBelow(Duration),
}

/// An admission. It ends when the permit is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    limiter: Arc<Limiter>,
    servers: Servers,
    number: u64,
}

/// The current permits of each group by number, with their start.
#[derive(Debug, Default)]
struct State {
    admitted: HashMap<Servers, BTreeMap<u64, Instant>>,
    total: usize,
    next_number: u64,
}

impl Limiter {
    pub(crate) fn new(max: usize, over_limit: OverLimit) -> Arc<Limiter> {
        Arc::new(Limiter {
            max,
            over_limit,
            state: Mutex::default(),
            freed: Condvar::new(),
        })
    }

    /// `None` if the servers are slow and have their share. May wait, see [`OverLimit`].
    pub(crate) fn admit(self: &Arc<Self>, servers: &Servers) -> Option<Permit> {
        let began = Instant::now();
        let mut state = self.state.lock();
        while !state.has_room(servers, self.max) {
            let oldest = state.oldest(servers).unwrap_or(began);
            match self.over_limit {
                OverLimit::AdmitBelow(age) if oldest.elapsed() < age => break,
                OverLimit::AdmitBelow(_) => return None,
                OverLimit::Wait(time) => {
                    let until = began.min(oldest) + time;
                    if Instant::now() >= until {
                        return None;
                    }
                    self.freed.wait_until(&mut state, until);
                }
            }
        }
        let number = state.enter(servers);
        Some(Permit {
            limiter: Arc::clone(self),
            servers: servers.clone(),
            number,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.state.lock().leave(&self.servers, self.number);
        self.limiter.freed.notify_all();
    }
}

impl State {
    /// True if one more is within the share. The first one always is.
    fn has_room(&self, servers: &Servers, max: usize) -> bool {
        let own = self.admitted.get(servers).map_or(0, BTreeMap::len);
        let left = max.saturating_sub(self.total - own);
        own == 0 || 2 * (own + 1) <= left
    }

    fn oldest(&self, servers: &Servers) -> Option<Instant> {
        let admitted = self.admitted.get(servers)?;
        admitted.values().next().copied()
    }

    fn enter(&mut self, servers: &Servers) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.total += 1;
        let admitted = self.admitted.entry(servers.clone()).or_default();
        admitted.insert(number, Instant::now());
        number
    }

    fn leave(&mut self, servers: &Servers, number: u64) {
        self.total -= 1;
        if let Some(admitted) = self.admitted.get_mut(servers) {
            admitted.remove(&number);
            if admitted.is_empty() {
                self.admitted.remove(servers);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn group(name: &str) -> Servers {
        Servers::Storages(name.parse().unwrap())
    }

    fn admit_all(limiter: &Arc<Limiter>, servers: &Servers) -> Vec<Permit> {
        std::iter::from_fn(|| limiter.admit(servers)).collect()
    }

    #[test]
    fn a_group_gets_half_of_what_others_leave() {
        let limiter = Limiter::new(64, OverLimit::Wait(Duration::ZERO));
        let first = admit_all(&limiter, &group("a"));
        let second = admit_all(&limiter, &group("b"));
        let third = admit_all(&limiter, &Servers::Trackers);
        assert_eq!([first.len(), second.len(), third.len()], [32, 16, 8]);
        drop(first);
        assert!(limiter.admit(&group("b")).is_some());
        drop((second, third));
        let state = limiter.state.lock();
        assert_eq!((state.total, state.admitted.len()), (0, 0));
    }

    #[test]
    fn a_single_worker_serves_everybody() {
        let limiter = Limiter::new(1, OverLimit::Wait(Duration::ZERO));
        assert_eq!(admit_all(&limiter, &group("a")).len(), 1);
    }

    #[test]
    fn what_is_freed_soon_is_waited_for() {
        let limiter = Limiter::new(2, OverLimit::Wait(Duration::from_secs(60)));
        let permit = limiter.admit(&group("a")).unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| limiter.admit(&group("a")).is_some());
            drop(permit);
            assert!(waiter.join().unwrap());
        });
    }

    #[test]
    fn a_burst_is_admitted_and_a_slow_group_is_not() {
        let limiter = Limiter::new(2, OverLimit::AdmitBelow(Duration::from_secs(3600)));
        let burst: Vec<_> = (0..10)
            .map(|_| limiter.admit(&group("a")).unwrap())
            .collect();
        assert_eq!(burst.len(), 10);
        let limiter = Limiter::new(2, OverLimit::AdmitBelow(Duration::ZERO));
        assert_eq!(admit_all(&limiter, &group("a")).len(), 1);
    }
}
