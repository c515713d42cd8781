//! Refills keys from the database, on threads of its own: requests only ever wait for memory.

use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Stop;
use base::thread::{self, Thread};
use crossbeam_channel::{Receiver, Sender, bounded, select_biased};
use db::DbError;
use proto::{ErrorCode, Fault, IdKey};

use crate::globals::Globals;
use crate::keys::{Key, unavailable};
use crate::wait_limit::REFILLS_MAX;

/// Most keys that wait for a thread. Beyond them a refill is refused, and the next request tries again.
const QUEUE_MAX: usize = 1024;
/// How long a stop waits for a reservation in the database.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// A key to refill.
struct Refill {
    name: IdKey,
    key: Arc<Key>,
    /// The client whose request asks for the refill: it pays for a new row.
    peer: IpAddr,
    /// Of [`WaitLimit`](crate::wait_limit::WaitLimit).
    number: u64,
}

/// Passes keys to the threads of a [`Filler`].
pub(crate) struct RefillQueue(Sender<Refill>);

impl RefillQueue {
    /// Queues a refill of `key`, and returns false when the queue is full.
    pub(crate) fn request(
        &self,
        globals: &Globals,
        name: &IdKey,
        key: &Arc<Key>,
        peer: IpAddr,
    ) -> bool {
        let number = globals.wait_limit.refill_starts();
        let refill = Refill {
            name: name.clone(),
            key: Arc::clone(key),
            peer,
            number,
        };
        let is_queued = self.0.try_send(refill).is_ok();
        if !is_queued {
            globals.wait_limit.refill_ends(number);
        }
        is_queued
    }
}

/// The threads that refill keys.
pub(crate) struct Filler {
    threads: Vec<Thread>,
    stop: Stop,
}

impl Filler {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub(crate) fn start(globals: &Arc<Globals>) -> io::Result<(Filler, RefillQueue)> {
        let (sender, queue) = bounded(QUEUE_MAX);
        let mut filler = Filler {
            threads: Vec::new(),
            stop: Stop::new(),
        };
        for idx in 0..REFILLS_MAX {
            let (globals, queue, stop) = (Arc::clone(globals), queue.clone(), filler.stop.clone());
            let work = move || run(&globals, &queue, &stop);
            filler
                .threads
                .push(thread::spawn(&format!("filler-{idx}"), work)?);
        }
        Ok((filler, RefillQueue(sender)))
    }

    /// Ends the threads; refills that are queued are dropped. Close the database first: a reservation
    /// may wait for it.
    pub(crate) fn shutdown(mut self) {
        self.stop.trip();
        let threads = std::mem::take(&mut self.threads);
        thread::join_or_leave(threads, Instant::now() + STOP_WAIT);
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.stop.trip();
    }
}

fn run(globals: &Globals, queue: &Receiver<Refill>, stop: &Stop) {
    let next = || {
        select_biased! {
            recv(stop.channel()) -> _ => None,
            recv(queue) -> refill => refill.ok(),
        }
    };
    while let Some(refill) = next() {
        fill(globals, &refill);
    }
}

fn fill(globals: &Globals, refill: &Refill) {
    let step = refill.key.next_step(&globals.config);
    let reserved = thread::catch("the refill fails", || reserve(globals, refill, step.size));
    let reserved = reserved.unwrap_or_else(|| Err(unavailable("the idserver has failed")));
    let has_failed = reserved.is_err();
    globals.wait_limit.refill_ends(refill.number);
    refill.key.end_refill(step, reserved);
    if has_failed {
        globals.keys.drop_unused(&refill.name, &refill.key);
    }
}

/// Reserves numbers, unless the key would make a row too many. A failure loses no number but may skip some,
/// and trying again is safe.
fn reserve(globals: &Globals, refill: &Refill, size: u32) -> Result<Range<u64>, Fault> {
    let (metrics, ids, name) = (&globals.metrics, &*globals.ids, &refill.name);
    let failed = |error: DbError| {
        metrics.steps.inc();
        let is_failure = !matches!(error, DbError::Unfit { .. });
        metrics.failed_steps.inc_by(u64::from(is_failure));
        error.retryable_fault()
    };
    if !refill.key.has_row() {
        let refusal = globals.new_keys.admit(ids, name, refill.peer);
        if let Some(reason) = refusal.map_err(failed)? {
            metrics.refused_keys.inc();
            return Err(Fault::new(ErrorCode::Busy, reason));
        }
    }
    let smallest = globals.config.step;
    let reserved = match ids.reserve(name, size) {
        // The final numbers below 2^63 are reserved in the smallest size.
        Ok(None) if size > smallest => ids.reserve(name, smallest),
        reserved => reserved,
    };
    let reserved = reserved.map_err(failed)?;
    metrics.steps.inc();
    reserved.ok_or_else(|| unavailable(&format!("the numbers of key {name} are used up")))
}
