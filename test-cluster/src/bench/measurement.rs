//! The result of one round, and the figures that a row may show.

use bench::Figures;

use super::stats::Summary;
use crate::proc;

/// The figures of a round, and the processor time of the servers.
#[derive(Debug, Clone)]
pub(super) struct Measurement {
    pub(super) figures: Figures,
    /// Processor time of the servers in the measured time, in seconds.
    pub(super) server_cpu: f64,
}

/// A figure of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    /// MB of content each second.
    Bytes,
    /// Operations each second.
    Rate,
    /// The median time of an operation, in ms.
    Median,
    /// The 99th percentile of the time of an operation, in ms.
    P99,
    /// Processor time of the servers for each GB.
    CpuPerGb,
    /// Processor time of the servers for 1000 operations.
    CpuPer1000,
}

impl Metric {
    pub(super) fn unit(self) -> &'static str {
        match self {
            Metric::Bytes => "MB/s",
            Metric::Rate => "/s",
            Metric::Median | Metric::P99 => "ms",
            Metric::CpuPerGb => "s/GB",
            Metric::CpuPer1000 => "s/1000",
        }
    }

    pub(super) fn of(self, rounds: &[Measurement]) -> Summary {
        let values: Vec<f64> = rounds.iter().map(|round| self.of_one(round)).collect();
        let mut summary = Summary::of(&values);
        // The kernel counts processor time in ticks of 10 ms: the sum of all rounds is more exact.
        let work = match self {
            Metric::CpuPerGb => |round: &Measurement| round.figures.bytes as f64 / 1e9,
            Metric::CpuPer1000 => |round: &Measurement| round.operations() as f64 / 1e3,
            _ => return summary,
        };
        let all: f64 = rounds.iter().map(work).sum();
        summary.median = rounds.iter().map(|round| round.server_cpu).sum::<f64>() / all;
        summary
    }

    fn of_one(self, round: &Measurement) -> f64 {
        let figures = &round.figures;
        let latency = figures.operations.first().map(|one| one.latency);
        let latency = latency.unwrap_or_default();
        match self {
            Metric::Bytes => figures.mb_per_second,
            Metric::Rate => round.operations() as f64 / figures.seconds,
            Metric::Median => latency.p50,
            Metric::P99 => latency.p99,
            Metric::CpuPerGb => round.server_cpu / (figures.bytes as f64 / 1e9),
            Metric::CpuPer1000 => round.server_cpu / (round.operations() as f64 / 1e3),
        }
    }
}

impl Measurement {
    fn operations(&self) -> u64 {
        self.figures.operations.iter().map(|one| one.count).sum()
    }
}

/// Measures the processor time of servers between two moments.
#[derive(Debug)]
pub(super) struct CpuClock {
    pids: Vec<u32>,
    begun: f64,
    ended: f64,
}

impl CpuClock {
    /// A clock of these processes and their children.
    pub(super) fn of(pids: &[u32]) -> CpuClock {
        let with_children = |&pid: &u32| [vec![pid], proc::children(pid)].concat();
        CpuClock {
            pids: pids.iter().flat_map(with_children).collect(),
            begun: 0.0,
            ended: 0.0,
        }
    }

    /// Takes the time at a moment of [`bench::drive`].
    pub(super) fn note(&mut self, moment: bench::Moment) {
        let now = self.pids.iter().map(|&pid| proc::cpu_seconds(pid)).sum();
        match moment {
            bench::Moment::Begun => self.begun = now,
            bench::Moment::Ended => self.ended = now,
        }
    }

    pub(super) fn seconds(&self) -> f64 {
        (self.ended - self.begun).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bench::{Latency, OperationFigures};

    use super::*;

    fn round(bytes: u64, count: u64, server_cpu: f64) -> Measurement {
        let latency = Latency {
            p50: 1.5,
            ..Latency::default()
        };
        let operation = OperationFigures {
            name: "op".to_owned(),
            count,
            per_second: count as f64 / 2.0,
            latency,
        };
        let figures = Figures {
            threads: 1,
            seconds: 2.0,
            bytes,
            mb_per_second: bytes as f64 / 2e6,
            generator_cpu_seconds: 0.0,
            operations: vec![operation],
            errors: BTreeMap::new(),
        };
        Measurement {
            figures,
            server_cpu,
        }
    }

    #[test]
    fn each_metric_has_its_figure() {
        let rounds = [round(4_000_000_000, 1000, 1.0)];
        let median = |metric: Metric| metric.of(&rounds).median;
        assert_eq!(median(Metric::Bytes), 2000.0);
        assert_eq!(median(Metric::Rate), 500.0);
        assert_eq!(median(Metric::Median), 1.5);
        assert_eq!(median(Metric::CpuPerGb), 0.25);
        assert_eq!(median(Metric::CpuPer1000), 1.0);
    }

    #[test]
    fn processor_time_is_that_of_all_rounds() {
        let rounds = [round(1_000_000_000, 1, 0.01), round(3_000_000_000, 1, 0.03)];
        let cpu = Metric::CpuPerGb.of(&rounds);
        assert!((cpu.median - 0.01).abs() < 1e-9, "{cpu:?}");
    }
}
