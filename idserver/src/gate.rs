//! The way to the database, for some of the workers only: when it is slow, the others go on handing
//! out the numbers in memory.
//!
//! Of the workers, half may make steps and a quarter may wait for long, be it for a step of their
//! key or for their turn to make one. Who comes beyond that waits while the database seems well.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// A step that takes longer is slow. So long at most are numbers in memory held up by those who
/// wait for others.
pub(crate) const BRIEF: Duration = Duration::from_millis(200);

/// How long a step may take before everybody who waits for it is sent away.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) struct Gate {
    n_passes: usize,
    inside: Mutex<Inside>,
    /// One who was inside has left.
    left: Condvar,
    /// How many more may wait for long.
    seats: Mutex<u32>,
}

/// Who makes steps.
#[derive(Default)]
struct Inside {
    n_entered: u64,
    /// When those inside came in, in that order.
    since: BTreeMap<u64, Instant>,
}

/// The right to make a step; given back when dropped.
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    number: u64,
}

/// The right to wait for long; given back when dropped.
struct Seat<'a>(&'a Mutex<u32>);

impl Gate {
    /// A gate for so many workers. Even a single one may make steps.
    pub(crate) fn new(workers: u32) -> Gate {
        Gate {
            n_passes: (workers as usize / 2).max(1),
            inside: Mutex::default(),
            left: Condvar::new(),
            seats: Mutex::new(workers / 4),
        }
    }

    /// Waits for a pass; none when those inside are slow.
    pub(crate) fn enter(&self) -> Option<Pass<'_>> {
        let oldest = self.inside.lock().since.values().next().copied();
        let began = oldest.unwrap_or_else(Instant::now);
        self.wait(began, |until| self.enter_until(until))
    }

    /// Waits for what began at `began`; `attempt` waits until a time that may have passed. Only a
    /// few wait for what is slow.
    pub(crate) fn wait<T>(
        &self,
        began: Instant,
        attempt: impl Fn(Instant) -> Option<T>,
    ) -> Option<T> {
        attempt(began + BRIEF).or_else(|| {
            let _seat = self.seat()?;
            attempt(began + PATIENCE)
        })
    }

    fn enter_until(&self, until: Instant) -> Option<Pass<'_>> {
        let mut inside = self.inside.lock();
        let mut timed_out = false;
        while inside.since.len() >= self.n_passes {
            if timed_out {
                return None;
            }
            timed_out = self.left.wait_until(&mut inside, until).timed_out();
        }
        let number = inside.n_entered;
        inside.n_entered += 1;
        inside.since.insert(number, Instant::now());
        Some(Pass { gate: self, number })
    }

    fn seat(&self) -> Option<Seat<'_>> {
        let mut seats = self.seats.lock();
        *seats = seats.checked_sub(1)?;
        Some(Seat(&self.seats))
    }
}

#[cfg(test)]
impl Gate {
    /// As if those inside had come in earlier.
    pub(crate) fn age(&self, by: Duration) {
        let mut inside = self.inside.lock();
        inside.since.values_mut().for_each(|since| *since -= by);
    }

    pub(crate) fn n_inside(&self) -> usize {
        self.inside.lock().since.len()
    }

    /// How many more callers may wait for long.
    pub(crate) fn n_seats(&self) -> u32 {
        *self.seats.lock()
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.inside.lock().since.remove(&self.number);
        self.gate.left.notify_one();
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        *self.0.lock() += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn everybody_gets_in_while_it_moves_and_never_too_many() {
        let (gate, inside) = (Gate::new(16), AtomicU32::new(0));
        thread::scope(|scope| {
            // So many as have a pass or may wait for long.
            for _ in 0..12 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let pass = gate.enter().unwrap();
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 8);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(pass);
                    }
                });
            }
        });
        assert_eq!((gate.n_inside(), *gate.seats.lock()), (0, 4));
    }

    #[test]
    fn nobody_waits_where_those_inside_have_no_end() {
        let gate = Gate::new(4);
        let passes = [gate.enter().unwrap(), gate.enter().unwrap()];
        gate.age(PATIENCE);
        assert!(gate.enter().is_none());
        drop(passes);
        assert!(gate.enter().is_some());
    }

    #[test]
    fn what_is_slow_is_waited_for_by_a_quarter_only() {
        let gate = Gate::new(8);
        let slow = || Instant::now().checked_sub(BRIEF).unwrap();
        let brief_only = |until: Instant| (until > Instant::now()).then_some(());
        // Who waits finds no seat for a third.
        let inner = gate.wait(slow(), |until| {
            brief_only(until)?;
            let second = gate.wait(slow(), |until| {
                brief_only(until)?;
                Some(gate.wait(slow(), brief_only))
            });
            Some(second)
        });
        assert_eq!(inner, Some(Some(None)));
        assert_eq!(gate.wait(slow(), brief_only), Some(()));
    }

    #[test]
    fn who_waits_is_let_in_when_one_comes_out() {
        let gate = Gate::new(1);
        let pass = gate.enter().unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| gate.enter_until(Instant::now() + PATIENCE).is_some());
            drop(pass);
            assert!(waiter.join().unwrap());
        });
    }
}
