//! The keys in memory. One key's step never holds up another key: the map is locked to find a key
//! and no longer, the wait for the database is under the key's own lock, and only some of the
//! workers are let wait.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;
use proto::IdKey;

use crate::demand::{Demand, Limits};
use crate::gate::Gate;
use crate::numbers::Numbers;

/// At most so many keys; the one not used for longest has to go.
pub(crate) struct Keys(Cache<IdKey, Arc<Key>>);

impl Keys {
    pub(crate) fn new(keys_max: u64) -> Keys {
        let keys = Cache::builder()
            .max_capacity(keys_max)
            .eviction_policy(EvictionPolicy::lru());
        Keys(keys.build())
    }

    /// The key, without numbers when it is new. A key that was pushed out while a thread works
    /// with it may be there twice for a moment: each has reserved numbers of its own.
    pub(crate) fn find(&self, key: &IdKey) -> Arc<Key> {
        self.0.get_with_by_ref(key, Arc::default)
    }

    /// Drops a key that was found before and has had no number since: what was refused takes no
    /// memory.
    pub(crate) fn drop_unused(&self, key: &IdKey, found: &Arc<Key>) {
        if !found.is_unused() {
            return;
        }
        let entry = self.0.entry_by_ref(key);
        entry.and_compute_with(|entry| match entry {
            Some(entry) if Arc::ptr_eq(entry.value(), found) => Op::Remove,
            _ => Op::Nop,
        });
    }

    /// How many there are, more or less.
    pub(crate) fn len(&self) -> u64 {
        self.0.entry_count()
    }

    #[cfg(test)]
    pub(crate) fn settled_len(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.entry_count()
    }
}

/// One key.
#[derive(Default)]
pub(crate) struct Key {
    /// Locked for an instant only.
    state: Mutex<State>,
    /// Locked during a step, so that many who find no number left make one step.
    step: Mutex<()>,
}

#[derive(Default)]
struct State {
    numbers: Numbers,
    demand: Demand,
    /// When the step under way began.
    began: Option<Instant>,
    n_failed: u64,
    /// Why the last step that failed did.
    cause: Cause,
}

/// Why a step failed, for those who waited for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Cause {
    /// In the database, or in the program.
    #[default]
    Step,
    /// It was not begun: steps of other keys take too long.
    Slow,
    SetBack,
}

/// Why there is no number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextError<E> {
    /// The step that this caller made failed.
    Step(E),
    /// The step of another caller failed.
    Shared,
    /// Steps take too long for one more caller to wait.
    Slow,
    /// The step has numbers that were reserved before: another program has set the row back.
    SetBack,
}

impl Key {
    /// Whether a step of it was made before: then it has a row.
    pub(crate) fn has_row(&self) -> bool {
        self.state.lock().numbers.end() > 0
    }

    /// Whether no step of it was made, and none is being made.
    fn is_unused(&self) -> bool {
        let state = self.state.lock();
        state.numbers.end() == 0 && state.began.is_none()
    }

    /// The next numbers, one at least and `count` at most. When there is none left, `step` reserves
    /// as many as it is told, within `limits`, once `gate` lets it; a failed step changes nothing, and
    /// the next caller tries again. Those who waited for a step that failed share its failure: one
    /// after the other they would wait for the same database.
    ///
    /// # Errors
    /// See [`NextError`].
    pub(crate) fn take<E>(
        &self,
        count: u16,
        gate: &Gate,
        limits: Limits,
        step: impl FnOnce(u32) -> Result<Range<u64>, E>,
    ) -> Result<Range<u64>, NextError<E>> {
        let (n_failed, began) = {
            let mut state = self.state.lock();
            if let Some(taken) = state.numbers.take(count) {
                return Ok(taken);
            }
            (state.n_failed, state.began.unwrap_or_else(Instant::now))
        };
        let _alone = gate
            .wait(began, |until| self.step.try_lock_until(until))
            .ok_or(NextError::Slow)?;
        let (demand, size) = {
            let mut state = self.state.lock();
            if let Some(taken) = state.numbers.take(count) {
                return Ok(taken);
            }
            if state.n_failed != n_failed {
                return Err(match state.cause {
                    Cause::Step => NextError::Shared,
                    Cause::Slow => NextError::Slow,
                    Cause::SetBack => NextError::SetBack,
                });
            }
            let now = Instant::now();
            state.began = Some(now);
            state.demand.after(now, limits)
        };
        let mut watch = Watch {
            state: &self.state,
            failed: Some(Cause::Slow),
        };
        let _pass = gate.enter().ok_or(NextError::Slow)?;
        watch.failed = Some(Cause::Step);
        let reserved = step(size).map_err(NextError::Step)?;
        let mut state = self.state.lock();
        // Such numbers are skipped, a step with each call, until the row is where it was.
        if reserved.start < state.numbers.end() {
            watch.failed = Some(Cause::SetBack);
            return Err(NextError::SetBack);
        }
        watch.failed = None;
        // Near the last number of all it may be less than was wanted.
        let size = u32::try_from(reserved.end - reserved.start).unwrap_or(size);
        state.demand = demand.reserved(size, Instant::now());
        Ok(state.start(reserved, count))
    }
}

impl State {
    /// The first numbers of a step.
    fn start(&mut self, reserved: Range<u64>, count: u16) -> Range<u64> {
        self.numbers.refill(reserved);
        let taken = self.numbers.take(count);
        taken.expect("a step has a number at least")
    }
}

/// Keeps account of a step, also when it panics.
struct Watch<'a> {
    state: &'a Mutex<State>,
    failed: Option<Cause>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.began = None;
        if let Some(cause) = self.failed {
            state.n_failed += 1;
            state.cause = cause;
        }
    }
}

#[cfg(test)]
mod tests;
