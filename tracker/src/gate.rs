//! The way to the database, for some of the workers only: when it stands still, the others go on
//! serving users whose group is known.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// A database that answers nobody for so long stands still: then nobody waits for his turn. While
/// it answers, everybody gets in sooner or later.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    free: u32,
    /// When one last went in or came out.
    moved: Instant,
}

/// The right to ask the database; given back when dropped.
pub(crate) struct Pass<'a>(&'a Gate);

impl Gate {
    /// Lets `n_passes` in at a time, one at least.
    pub(crate) fn new(n_passes: u32) -> Gate {
        let state = State {
            free: n_passes.max(1),
            moved: Instant::now(),
        };
        Gate {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Waits for a pass; none while the database stands still.
    pub(crate) fn enter(&self) -> Option<Pass<'_>> {
        let mut state = self.state.lock();
        while state.free == 0 {
            let patience_ends = state.moved + PATIENCE;
            if Instant::now() >= patience_ends {
                return None;
            }
            self.changed.wait_until(&mut state, patience_ends);
        }
        state.free -= 1;
        state.moved = Instant::now();
        Some(Pass(self))
    }
}

#[cfg(test)]
impl Gate {
    /// As if those inside had come in long ago.
    pub(crate) fn stand_still(&self) {
        self.state.lock().moved -= PATIENCE;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.free += 1;
        state.moved = Instant::now();
        drop(state);
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn everybody_gets_in_while_it_moves_and_never_too_many() {
        let (gate, inside) = (Gate::new(2), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let pass = gate.enter().unwrap();
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(pass);
                    }
                });
            }
        });
        assert_eq!(gate.state.lock().free, 2);
    }

    #[test]
    fn nobody_waits_where_nothing_moves() {
        let gate = Gate::new(0);
        let pass = gate.enter().unwrap();
        gate.stand_still();
        assert!(gate.enter().is_none());
        drop(pass);
        assert!(gate.enter().is_some());
    }

    #[test]
    fn who_waits_is_let_in_when_one_comes_out() {
        let gate = Gate::new(1);
        let pass = gate.enter().unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| gate.enter().is_some());
            drop(pass);
            assert!(waiter.join().unwrap());
        });
    }
}
