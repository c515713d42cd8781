//! Threads that repeat an operation, for a warm-up and a measurement.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use rustix::time::{ClockId, clock_gettime};

use crate::figures::{Figures, OperationResult, Tally, Window};

/// Limit on consecutive failures. Then the thread ends, because the server is gone.
const FAILURES_MAX: u32 = 20;

/// The operation of one thread.
pub trait Worker: Send {
    /// Executes one operation. It adds moved bytes to `meter` as they move.
    fn step(&mut self, meter: &Meter) -> OperationResult;
}

/// Counts the bytes of one thread.
#[derive(Debug, Default)]
// Two counters in one cache line would slow the threads down.
#[repr(align(128))]
pub struct Meter {
    bytes: AtomicU64,
}

impl Meter {
    /// Adds `n` moved bytes.
    pub fn add(&self, n: u64) {
        self.bytes.fetch_add(n, Ordering::Relaxed);
    }
}

/// How long a measurement is.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    /// A fixed time.
    Time(Duration),
    /// A number of operations of all threads together.
    Count(u64),
}

/// Warm-up and length of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Time before the measurement in which operations are not counted.
    pub warm_up: Duration,
    /// Length of the measurement.
    pub length: Length,
}

/// A moment that [`drive`] reports, so that the caller can sample other values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The measurement begins.
    Begun,
    /// The measurement ends.
    Ended,
}

const WARMING_UP: u8 = 0;
const MEASURING: u8 = 1;
const OVER: u8 = 2;

/// State shared by the threads.
struct Shared {
    phase: AtomicU8,
    /// Operations left to begin, for [`Length::Count`].
    left: AtomicI64,
    meters: Vec<Meter>,
    n_operations: usize,
    counts: bool,
}

/// Runs each worker in a thread of its own. Returns the figures, with `names` for the operations, and
/// the workers.
///
/// The figures count the bytes moved, and the operations ended, between [`Moment::Begun`] and
/// [`Moment::Ended`].
///
/// # Panics
/// A worker panics.
pub fn drive<W: Worker>(
    names: &[&str],
    workers: Vec<W>,
    timing: Timing,
    on: &mut dyn FnMut(Moment),
) -> (Figures, Vec<W>) {
    let (counts, left) = match timing.length {
        Length::Time(_) => (false, i64::MAX),
        Length::Count(n) => (true, i64::try_from(n).unwrap_or(i64::MAX)),
    };
    let first_phase = match timing.warm_up {
        // Without a warm-up all operations count.
        Duration::ZERO => MEASURING,
        _ => WARMING_UP,
    };
    let shared = Shared {
        phase: AtomicU8::new(first_phase),
        left: AtomicI64::new(left),
        meters: workers.iter().map(|_| Meter::default()).collect(),
        n_operations: names.len(),
        counts,
    };
    let n_threads = workers.len();
    thread::scope(|scope| {
        // The channel carries no message: it closes when the last thread ends.
        let (ending, all_ended) = bounded::<()>(0);
        let threads: Vec<_> = workers
            .into_iter()
            .enumerate()
            .map(|(idx, worker)| {
                let (shared, ending) = (&shared, ending.clone());
                scope.spawn(move || {
                    let result = repeat(worker, shared, idx);
                    drop(ending);
                    result
                })
            })
            .collect();
        drop(ending);
        let window = watch(&shared, timing, &all_ended, on);
        let mut tally = Tally::new(names.len());
        let mut workers = Vec::with_capacity(n_threads);
        for thread in threads {
            let (worker, part) = thread.join().expect("a worker does not panic");
            tally.merge(part);
            workers.push(worker);
        }
        (Figures::new(names, n_threads, window, tally), workers)
    })
}

/// Moves the threads through the phases.
fn watch(
    shared: &Shared,
    timing: Timing,
    all_ended: &Receiver<()>,
    on: &mut dyn FnMut(Moment),
) -> Window {
    let _ = all_ended.recv_timeout(timing.warm_up);
    on(Moment::Begun);
    let (begun, cpu) = (Instant::now(), cpu_time());
    let bytes = match timing.warm_up {
        Duration::ZERO => 0,
        _ => shared.bytes(),
    };
    shared.phase.store(MEASURING, Ordering::Release);
    match timing.length {
        Length::Time(time) => drop(all_ended.recv_timeout(time)),
        Length::Count(_) => drop(all_ended.recv()),
    }
    shared.phase.store(OVER, Ordering::Release);
    let window = Window {
        elapsed: begun.elapsed(),
        bytes: shared.bytes() - bytes,
        cpu: cpu_time().saturating_sub(cpu),
    };
    on(Moment::Ended);
    window
}

fn repeat<W: Worker>(mut worker: W, shared: &Shared, idx: usize) -> (W, Tally) {
    let mut tally = Tally::new(shared.n_operations);
    let mut failed_lately = 0;
    while failed_lately < FAILURES_MAX {
        let phase = shared.phase.load(Ordering::Acquire);
        let is_counted = shared.counts && phase == MEASURING;
        if phase == OVER || is_counted && shared.left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            break;
        }
        let done = worker.step(&shared.meters[idx]);
        failed_lately = match done.failure {
            Some(_) => failed_lately + 1,
            None => 0,
        };
        let is_measured = match shared.counts {
            true => is_counted,
            false => shared.phase.load(Ordering::Acquire) == MEASURING,
        };
        tally.note(done, is_measured);
    }
    (worker, tally)
}

impl Shared {
    fn bytes(&self) -> u64 {
        let meters = self.meters.iter();
        meters
            .map(|meter| meter.bytes.load(Ordering::Relaxed))
            .sum()
    }
}

/// Processor time of this process so far, user and system, of all threads.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Failure;

    struct Counter {
        steps: u64,
        fails: bool,
    }

    impl Worker for Counter {
        fn step(&mut self, meter: &Meter) -> OperationResult {
            self.steps += 1;
            meter.add(10);
            let failure = self.fails.then(|| Failure {
                kind: "test".to_owned(),
                message: format!("step {}", self.steps),
            });
            OperationResult {
                operation: 0,
                took: Duration::from_micros(3),
                failure,
            }
        }
    }

    fn counters(count: usize, fails: bool) -> Vec<Counter> {
        let counter = |_| Counter { steps: 0, fails };
        (0..count).map(counter).collect()
    }

    fn timing(length: Length) -> Timing {
        Timing {
            warm_up: Duration::ZERO,
            length,
        }
    }

    #[test]
    fn so_many_operations_are_done_as_were_asked_for() {
        let length = Length::Count(1000);
        let mut moments = Vec::new();
        let (figures, workers) =
            drive(&["op"], counters(3, false), timing(length), &mut |moment| {
                moments.push(moment);
            });
        assert_eq!(figures.operations[0].count, 1000);
        assert!(figures.errors.is_empty());
        let steps: u64 = workers.iter().map(|worker| worker.steps).sum();
        assert_eq!(steps, 1000);
        assert_eq!(moments, [Moment::Begun, Moment::Ended]);
    }

    #[test]
    fn a_time_ends_it_too() {
        // On a busy machine no step may end within the first times.
        let mut times = (0..12).map(|n| Duration::from_millis(10 << n));
        let found = times.find_map(|time| {
            let length = Length::Time(time);
            let (figures, workers) =
                drive(&["op"], counters(2, false), timing(length), &mut |_| ());
            let steps: u64 = workers.iter().map(|worker| worker.steps).sum();
            let counted = figures.operations[0].count;
            assert!(counted <= steps, "{counted} of {steps}");
            assert!(figures.seconds >= time.as_secs_f64());
            assert!(figures.bytes <= 10 * steps);
            (counted > 0 && figures.bytes > 0).then_some(())
        });
        assert!(found.is_some());
    }

    #[test]
    fn threads_that_fail_give_up_and_are_counted() {
        let length = Length::Time(Duration::from_secs(3600));
        let (figures, workers) = drive(&["op"], counters(2, true), timing(length), &mut |_| ());
        assert!(workers.iter().all(|w| w.steps == u64::from(FAILURES_MAX)));
        let errors = &figures.errors["test"];
        assert_eq!(errors.count, 2 * u64::from(FAILURES_MAX));
        assert!(errors.first.starts_with("op: step "), "{}", errors.first);
        assert_eq!(figures.operations[0].count, 0);
    }
}
