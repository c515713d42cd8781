//! The keys in memory. The map is locked to find a key and no longer; a key's state is locked for an
//! instant, never while the database works.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::{Condvar, Mutex};
use proto::{ErrorCode, Fault, IdKey};

use crate::config::Config;
use crate::numbers::Numbers;
use crate::step_size::StepSize;
use crate::wait_limit::WaitLimit;

/// A limited number of keys; the least recently used one makes room for a new one.
pub(crate) struct Keys(Cache<IdKey, Arc<Key>>);

impl Keys {
    pub(crate) fn new(keys_max: u64) -> Keys {
        let keys = Cache::builder()
            .max_capacity(keys_max)
            .eviction_policy(EvictionPolicy::lru());
        Keys(keys.build())
    }

    /// The key, without numbers when it is new. A key that is evicted while a thread uses it may exist
    /// twice for a moment: each has reserved numbers of its own.
    pub(crate) fn find(&self, key: &IdKey) -> Arc<Key> {
        self.0.get_with_by_ref(key, Arc::default)
    }

    /// Removes a key that never had numbers, so that refused keys take no memory.
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

    /// The approximate number of keys.
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
    state: Mutex<State>,
    /// A refill has ended.
    refilled: Condvar,
}

#[derive(Default)]
struct State {
    numbers: Numbers,
    step: StepSize,
    /// Most numbers that one request has wanted since the latest refill began.
    wanted: u16,
    /// Start of the refill that is queued or running.
    refilling_since: Option<Instant>,
    n_failed: u64,
    /// Why the latest failed refill failed.
    failure: Option<Fault>,
}

impl Key {
    /// The next numbers: at least one and at most `count`. Calls `request` to queue a refill of this key
    /// when half of the numbers are used; it returns false when it cannot. Without numbers the caller
    /// waits for the refill within `limit`.
    ///
    /// # Errors
    /// The refill failed, or it takes too long.
    pub(crate) fn take(
        &self,
        count: u16,
        limit: &WaitLimit,
        request: impl Fn() -> bool,
    ) -> Result<Range<u64>, Fault> {
        let mut state = self.state.lock();
        if let Some(taken) = state.take(count, &request) {
            return Ok(taken);
        }
        let n_failed = state.n_failed;
        limit.run(|until| {
            while let Some(since) = state.refill(&request)
                && until(since) > Instant::now()
            {
                self.refilled.wait_until(&mut state, until(since));
                if let Some(taken) = state.take(count, &request) {
                    return Ok(taken);
                }
                match &state.failure {
                    Some(fault) if state.n_failed != n_failed => return Err(fault.clone()),
                    _ => {}
                }
            }
            Err(unavailable("the database takes too long"))
        })
    }

    /// True when a range of it was reserved: then it has a row.
    pub(crate) fn has_row(&self) -> bool {
        self.state.lock().numbers.end() > 0
    }

    fn is_unused(&self) -> bool {
        let state = self.state.lock();
        state.numbers.end() == 0 && state.refilling_since.is_none()
    }

    /// The size of the range that the refill is to reserve.
    pub(crate) fn next_step(&self, config: &Config) -> StepSize {
        let mut state = self.state.lock();
        let wanted = std::mem::take(&mut state.wanted);
        state.step.next(wanted, Instant::now(), config)
    }

    /// Ends a refill with the range that was `reserved`, and wakes the requests that wait for it.
    pub(crate) fn end_refill(&self, step: StepSize, reserved: Result<Range<u64>, Fault>) {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.refilling_since = None;
        match reserved.and_then(|range| state.check_above(range)) {
            Ok(range) => {
                let size = u32::try_from(range.end - range.start).unwrap_or(step.size);
                state.step = step.reserved(size, now);
                state.numbers.add(range);
            }
            Err(fault) => {
                state.n_failed += 1;
                state.failure = Some(fault);
            }
        }
        drop(state);
        self.refilled.notify_all();
    }
}

impl State {
    /// Takes numbers from memory, and asks for a refill when few are left.
    fn take(&mut self, count: u16, request: impl Fn() -> bool) -> Option<Range<u64>> {
        self.wanted = self.wanted.max(count);
        let taken = self.numbers.take(count)?;
        if self.numbers.needs_refill() {
            self.refill(request);
        }
        Some(taken)
    }

    /// Asks for a refill unless there is one. Returns its start; None when it is refused.
    fn refill(&mut self, request: impl Fn() -> bool) -> Option<Instant> {
        if self.refilling_since.is_none() && request() {
            self.refilling_since = Some(Instant::now());
        }
        self.refilling_since
    }

    /// Refuses numbers that were reserved before. Each refill skips a range of them until the row is
    /// where it was.
    fn check_above(&self, range: Range<u64>) -> Result<Range<u64>, Fault> {
        if range.start < self.numbers.end() {
            return Err(unavailable(
                "another program has set the numbers back in the database: they would be given twice",
            ));
        }
        Ok(range)
    }
}

pub(crate) fn unavailable(message: &str) -> Fault {
    Fault::new(ErrorCode::Unavailable, message)
}

#[cfg(test)]
mod tests;
