//! `make bench`: measures the speed of tnv on one machine in one run, beside references that show the
//! limits of the machine, and prints the ratios.
//!
//! Everything runs as real processes on the loopback address: clusters of the release binaries with
//! `tnv bench` as their load, and as references nginx, redis-server, MariaDB and the plainest servers.
//! The same loop loads all of them and compares all content. All files that are read are in memory.

mod bench_cluster;
mod cluster_set;
mod comparison;
mod database;
mod fill;
mod idle_connections;
mod isolation;
mod measurement;
mod options;
mod references;
mod report;
mod row;
mod row_filter;
mod rows;
mod server_process;
mod slow_readers;
mod stats;
mod stored_paths;

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context, ensure};

pub use idle_connections::hold;
pub use isolation::Network;
pub use options::Options;
pub use references::{PlainServer, serve};
pub use report::Report;
pub use row::{Better, Effect, EffectKind, Row};
pub use stats::Summary;

use crate::terminal::tell;
use bench_cluster::Batch;
use idle_connections::allow_descriptors;
use references::Round;
use row_filter::RowFilter;
use rows::{Bench, Scale};

/// Limit on open files for servers with idle connections.
const DESCRIPTORS: u64 = 16_000;

/// Measures everything in namespaces of its own, prints the table and writes `bench.json` to `folder`.
///
/// # Errors
/// A program is missing, an operation failed, or a byte was wrong. The rows that were measured are written all the
/// same. A missed goal is no error.
pub fn run(folder: &Path, options: &Options) -> anyhow::Result<()> {
    match &options.inside {
        None => isolation::isolate(folder, options),
        Some(scratch) => measure(folder, scratch, options),
    }
}

/// Measures with the files in `scratch`, which the caller removes.
fn measure(folder: &Path, scratch: &Path, options: &Options) -> anyhow::Result<()> {
    let begun = Instant::now();
    allow_descriptors(DESCRIPTORS)?;
    let network = Network::of_this_process(options.unfair.clone())?;
    tell(network.describe());
    let scale = if options.quick {
        quick_scale()
    } else {
        full_scale()
    };
    let filter = RowFilter::new(&options.only);
    let mut bench = Bench::new(scratch.canonicalize()?, scale, filter, options);
    let outcome = bench.run();
    let (rows, failures) = bench.into_rows();
    let report = Report {
        machine: machine()?,
        network,
        mode: if options.quick { "quick" } else { "full" }.to_owned(),
        seconds: begun.elapsed().as_secs_f64(),
        rows,
        failures,
    };
    tell(report.markdown());
    let path = folder.join("bench.json");
    fs::write(&path, serde_json::to_vec_pretty(&report)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    outcome?;
    ensure!(report.failures.is_empty(), "a row could not be measured");
    Ok(())
}

fn full_scale() -> Scale {
    Scale {
        n_rounds: 5,
        round: Round {
            warm_up: Duration::from_millis(500),
            time: Duration::from_secs(3),
        },
        n_rows: 10_000_000,
        n_files: 2_000_000,
        small: batch("small", 2000, 16 << 10),
        large: batch("large", 4, 100 << 20),
        huge: batch("huge", 1, 1 << 30),
        n_slow: 1000,
    }
}

/// Fewer and shorter rounds, fewer rows and files.
fn quick_scale() -> Scale {
    Scale {
        n_rounds: 3,
        round: Round {
            warm_up: Duration::from_millis(120),
            time: Duration::from_millis(400),
        },
        n_rows: 200_000,
        n_files: 0,
        small: batch("small", 1000, 16 << 10),
        large: batch("large", 2, 100 << 20),
        huge: batch("huge", 1, 1 << 30),
        n_slow: 1000,
    }
}

fn batch(name: &'static str, count: usize, size: u64) -> Batch {
    Batch { name, count, size }
}

/// Processors, memory and system.
fn machine() -> io::Result<String> {
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let system = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let n_cpus = std::thread::available_parallelism()?;
    let kib = field(&memory, "MemTotal");
    let kib: u64 = kib.trim_end_matches(" kB").parse().unwrap_or(0);
    Ok(format!(
        "{n_cpus} processors ({}), {} GiB, Linux {}",
        field(&cpus, "model name"),
        kib >> 20,
        system.trim()
    ))
}
