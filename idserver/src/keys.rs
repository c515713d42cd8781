//! The keys in memory. One key's step never holds up another key: the map is locked to find a key
//! and no longer, the wait for the database is under the key's own lock.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;
use proto::IdKey;

use crate::numbers::Numbers;

/// How long a step may take before those who wait for it are sent away: they must not hold all
/// workers while one key's step stands still.
const STEP_PATIENCE: Duration = Duration::from_secs(3);

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

    #[cfg(test)]
    pub(crate) fn settled_len(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.entry_count()
    }
}

/// One key.
#[derive(Default)]
pub(crate) struct Key {
    /// Locked during a step, so that many who find no number left make one step.
    numbers: Mutex<Numbers>,
    /// Locked for an instant only.
    steps: Mutex<Steps>,
}

/// How the steps of a key went.
#[derive(Default)]
struct Steps {
    /// When the one under way began.
    began: Option<Instant>,
    failed: u64,
}

/// Why there is no number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextError<E> {
    /// The step that this caller made failed.
    Step(E),
    /// The step of another caller failed.
    Shared,
    /// The step of another caller takes too long.
    Slow,
}

impl Key {
    /// The next number. When there is none left, `step` reserves some; a failed step changes
    /// nothing, and the next caller tries again. Those who waited for a step that failed share its
    /// failure: one after the other they would wait for the same database.
    ///
    /// # Errors
    /// See [`NextError`].
    pub(crate) fn next<E>(
        &self,
        step: impl FnOnce() -> Result<Range<u64>, E>,
    ) -> Result<u64, NextError<E>> {
        let (failed, began) = {
            let steps = self.steps.lock();
            (steps.failed, steps.began)
        };
        let patience_ends = began.unwrap_or_else(Instant::now) + STEP_PATIENCE;
        let mut numbers = self
            .numbers
            .try_lock_until(patience_ends)
            .ok_or(NextError::Slow)?;
        if let Some(number) = numbers.take() {
            return Ok(number);
        }
        if self.steps.lock().failed != failed {
            return Err(NextError::Shared);
        }
        let reserved = self.watched(step).map_err(NextError::Step)?;
        numbers.refill(reserved);
        Ok(numbers.take().expect("a step has a number at least"))
    }

    /// Runs a step and keeps account of it, also when it panics.
    fn watched<E>(&self, step: impl FnOnce() -> Result<Range<u64>, E>) -> Result<Range<u64>, E> {
        let mut watch = Watch {
            steps: &self.steps,
            succeeded: false,
        };
        self.steps.lock().began = Some(Instant::now());
        let result = step();
        watch.succeeded = result.is_ok();
        result
    }
}

struct Watch<'a> {
    steps: &'a Mutex<Steps>,
    succeeded: bool,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut steps = self.steps.lock();
        steps.began = None;
        steps.failed += u64::from(!self.succeeded);
    }
}

#[cfg(test)]
mod tests;
