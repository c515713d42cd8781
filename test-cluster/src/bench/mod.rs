//! `make bench`: measures every promise of speed on one machine in one run, each beside the limit
//! that the machine sets, and prints how near it comes.
//!
//! Everything runs as real processes on the loopback address: clusters of the release binaries,
//! `tnv bench` as their load, nginx, redis-server, MariaDB and the plainest servers as the limits.
//! All are loaded by the same loop and all content is compared. What is read lies in memory.

mod child;
mod contest;
mod fill;
mod holder;
mod limits;
mod measured;
mod only;
mod row;
mod rows;
mod slow;
mod stand;
mod stats;
mod trio;

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::Context;

pub use holder::hold;
pub use limits::{Plain, serve};
pub use row::{Better, Report, Row};
pub use stats::Summary;

use crate::limits::{allow_descriptors, scratch};
use crate::terminal::tell;
use limits::Round;
use only::Only;
use rows::{Bench, Scale};
use stand::Batch;

/// Descriptors of a server that holds idle connections.
const DESCRIPTORS: u64 = 16_000;

/// Measures everything with what it needs in a folder below `folder`, prints the table and writes
/// `bench.json` to `folder`. A quick run takes less than three minutes, with short rounds. With
/// words, only rows are measured whose name has one of them.
///
/// # Errors
/// A program is missing, an operation failed, or a byte was wrong. That a goal is missed is none.
pub fn measure(folder: &Path, quick: bool, words: &[String]) -> anyhow::Result<()> {
    let begun = Instant::now();
    allow_descriptors(DESCRIPTORS)?;
    let scratch = scratch(folder, "bench-")?;
    let path = scratch.path().canonicalize()?;
    let scale = if quick { quick_scale() } else { full_scale() };
    let mut bench = Bench::new(path, scale, Only::of(words));
    bench.run()?;
    let report = Report {
        machine: machine()?,
        mode: if quick { "quick" } else { "full" }.to_owned(),
        seconds: begun.elapsed().as_secs_f64(),
        rows: bench.into_rows(),
    };
    tell(report.table());
    let path = folder.join("bench.json");
    fs::write(&path, serde_json::to_vec_pretty(&report)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

fn full_scale() -> Scale {
    Scale {
        n_rounds: 5,
        round: Round {
            warm_up: Duration::from_millis(500),
            time: Duration::from_secs(3),
        },
        n_rows: 10_000_000,
        small: batch("small", 2000, 16 << 10),
        large: batch("large", 4, 100 << 20),
        huge: batch("huge", 1, 1 << 30),
        n_slow: 1000,
    }
}

/// The same with less of everything that takes time.
fn quick_scale() -> Scale {
    Scale {
        n_rounds: 3,
        round: Round {
            warm_up: Duration::from_millis(120),
            time: Duration::from_millis(400),
        },
        n_rows: 200_000,
        small: batch("small", 1000, 16 << 10),
        large: batch("large", 2, 100 << 20),
        huge: batch("huge", 1, 1 << 30),
        n_slow: 1000,
    }
}

fn batch(name: &'static str, count: usize, size: u64) -> Batch {
    Batch { name, count, size }
}

/// Processors, memory and system, in a few words.
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
