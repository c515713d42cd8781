//! Figures of a measurement: counts, rates, latencies and failures.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Limit on recorded latencies, in nanoseconds: an hour.
const LONGEST: u64 = 3_600_000_000_000;

/// One operation that ended.
#[derive(Debug)]
pub struct OperationResult {
    /// Its index in the names given to [`drive`](crate::drive).
    pub operation: usize,
    /// Its latency.
    pub took: Duration,
    /// Its failure, if it failed.
    pub failure: Option<Failure>,
}

/// An operation that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind, such as `network` or `wrong bytes`.
    pub kind: String,
    /// The message.
    pub message: String,
}

/// The measured time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) elapsed: Duration,
    pub(crate) bytes: u64,
    /// Processor time of this process.
    pub(crate) cpu: Duration,
}

/// All figures of one measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Number of threads.
    pub threads: usize,
    /// Length of the measurement.
    pub seconds: f64,
    /// Bytes of content moved in both directions.
    pub bytes: u64,
    /// Rate of these bytes, in MB of 1,000,000 bytes.
    pub mb_per_second: f64,
    /// Processor time of the load generator.
    pub generator_cpu_seconds: f64,
    /// Successful operations by kind.
    pub operations: Vec<OperationFigures>,
    /// Failures by kind, also those of the warm-up.
    pub errors: BTreeMap<String, ErrorFigures>,
}

/// Figures of one kind of operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationFigures {
    /// The name of the operation.
    pub name: String,
    /// Number of successes.
    pub count: u64,
    /// Successes per second.
    pub per_second: f64,
    /// Latency of the successes.
    pub latency: Latency,
}

/// Latencies in milliseconds. Percentiles have a relative error of 0.1 %.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// 50th percentile.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Maximum.
    pub max: f64,
}

/// Failures of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ErrorFigures {
    /// Number of failures.
    pub count: u64,
    /// The message of one of the first.
    pub first: String,
}

/// Counters of a thread.
pub(crate) struct Tally {
    times: Vec<Histogram<u64>>,
    /// By operation and kind.
    errors: BTreeMap<(usize, String), ErrorFigures>,
}

impl Tally {
    pub(crate) fn new(n_operations: usize) -> Tally {
        let histogram = || Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds that are fine");
        Tally {
            times: std::iter::repeat_with(histogram)
                .take(n_operations)
                .collect(),
            errors: BTreeMap::new(),
        }
    }

    /// Counts a success if it `is_measured`, and a failure in any case.
    pub(crate) fn note(&mut self, done: OperationResult, is_measured: bool) {
        match done.failure {
            Some(failure) => {
                let key = (done.operation, failure.kind);
                let errors = self.errors.entry(key).or_default();
                errors.add(1, failure.message);
            }
            None if is_measured => {
                let nanos = u64::try_from(done.took.as_nanos()).unwrap_or(LONGEST);
                self.times[done.operation].saturating_record(nanos);
            }
            None => {}
        }
    }

    pub(crate) fn merge(&mut self, other: Tally) {
        for (mine, theirs) in self.times.iter_mut().zip(other.times) {
            mine.add(theirs).expect("histograms of the same bounds");
        }
        for (key, errors) in other.errors {
            let mine = self.errors.entry(key).or_default();
            mine.add(errors.count, errors.first);
        }
    }
}

impl ErrorFigures {
    fn add(&mut self, count: u64, message: String) {
        if self.count == 0 {
            self.first = message;
        }
        self.count += count;
    }
}

impl Figures {
    pub(crate) fn new(names: &[&str], threads: usize, window: Window, tally: Tally) -> Figures {
        let seconds = window.elapsed.as_secs_f64();
        let operation = |(name, times): (&&str, &Histogram<u64>)| OperationFigures {
            name: (*name).to_owned(),
            count: times.len(),
            per_second: times.len() as f64 / seconds,
            latency: Latency::of(times),
        };
        let mut figures = Figures {
            threads,
            seconds,
            bytes: window.bytes,
            mb_per_second: window.bytes as f64 / seconds / 1e6,
            generator_cpu_seconds: window.cpu.as_secs_f64(),
            operations: names.iter().zip(&tally.times).map(operation).collect(),
            errors: BTreeMap::new(),
        };
        for ((operation, kind), errors) in tally.errors {
            let message = format!("{}: {}", names[operation], errors.first);
            figures.add_errors(&kind, errors.count, message);
        }
        figures
    }

    /// Adds failures from outside of the measurement.
    pub fn add_errors(&mut self, kind: &str, count: u64, message: String) {
        let errors = self.errors.entry(kind.to_owned()).or_default();
        errors.add(count, message);
    }

    /// The figures of an operation, if it was measured.
    pub fn operation(&self, name: &str) -> Option<&OperationFigures> {
        self.operations.iter().find(|one| one.name == name)
    }
}

impl Latency {
    fn of(times: &Histogram<u64>) -> Latency {
        let millis = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64() * 1e3;
        let quantile = |part| millis(times.value_at_quantile(part));
        Latency {
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: millis(times.max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(millis: u64) -> OperationResult {
        OperationResult {
            operation: 0,
            took: Duration::from_millis(millis),
            failure: None,
        }
    }

    #[test]
    fn percentiles_are_those_of_all_threads() {
        let (mut one, mut two) = (Tally::new(1), Tally::new(1));
        for millis in 1..=50 {
            one.note(done(millis), true);
            two.note(done(50 + millis), true);
            two.note(done(9999), false);
        }
        one.merge(two);
        let window = Window {
            elapsed: Duration::from_secs(2),
            bytes: 6_000_000,
            cpu: Duration::from_secs(1),
        };
        let figures = Figures::new(&["op"], 2, window, one);
        let operation = figures.operation("op").unwrap();
        assert_eq!(operation.count, 100);
        assert_eq!(operation.per_second, 50.0);
        assert_eq!(figures.mb_per_second, 3.0);
        let near = |actual: f64, expected: f64| (actual / expected - 1.0).abs() < 0.002;
        let latency = operation.latency;
        assert!(near(latency.p50, 50.0), "{latency:?}");
        assert!(near(latency.p99, 99.0), "{latency:?}");
        assert!(near(latency.max, 100.0), "{latency:?}");
    }
}
