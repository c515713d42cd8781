//! The figures as they are shown.

use std::fmt::Write;

use ::bench::Figures;
use serde::Serialize;

/// A line of JSON that says when the measured time begins and ends, so that another program can
/// look at the servers at these moments.
#[derive(Serialize)]
pub(super) struct Event {
    pub(super) event: &'static str,
}

/// The table for people.
pub(super) fn table(figures: &Figures) -> String {
    let mut text = format!(
        "{} threads, {:.2} s, {:.1} MB/s, {:.2} s of processor time in the load generator\n",
        figures.threads, figures.seconds, figures.mb_per_second, figures.generator_cpu_seconds,
    );
    let _ = write!(
        text,
        "{:<11} {:>9} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "operation", "count", "per second", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"
    );
    for operation in &figures.operations {
        let latency = &operation.latency;
        let _ = write!(
            text,
            "\n{:<11} {:>9} {:>11.1} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>9.3}",
            operation.name,
            operation.count,
            operation.per_second,
            latency.p50,
            latency.p90,
            latency.p99,
            latency.p999,
            latency.max,
        );
    }
    for (kind, errors) in &figures.errors {
        let _ = write!(text, "\n{} failed, {kind}: {}", errors.count, errors.first);
    }
    text
}
