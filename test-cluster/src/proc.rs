//! Figures of a process from `/proc`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Figures of a process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Current memory, in KiB (VmRSS).
    pub rss_kib: u64,
    /// Largest memory so far, in KiB (VmHWM).
    pub rss_max_kib: u64,
    /// Threads.
    pub threads: u64,
}

/// Reads the figures of process `pid`.
///
/// # Errors
/// The process has ended.
pub fn figures(pid: u32) -> anyhow::Result<Figures> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.split_whitespace().next()?.parse().ok()
    };
    let read = || {
        Some(Figures {
            rss_kib: field("VmRSS:")?,
            rss_max_kib: field("VmHWM:")?,
            threads: field("Threads:")?,
        })
    };
    read().with_context(|| format!("{path} lacks a figure"))
}

/// Open descriptors of process `pid`.
///
/// # Errors
/// The process has ended.
pub fn open_descriptors(pid: u32) -> anyhow::Result<usize> {
    let path = format!("/proc/{pid}/fd");
    let entries = fs::read_dir(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(entries.count())
}

/// The regular files below `folder` that process `pid` has open.
pub fn open_files(pid: u32, folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|path| path.starts_with(folder))
        .collect()
}

/// Processor time of all threads of process `pid` so far, in user and system mode, in seconds. The
/// kernel counts in ticks of 10 ms. Zero if the process has ended.
pub fn cpu_seconds(pid: u32) -> f64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return 0.0;
    };
    let ticks = ticks_of(&stat).unwrap_or(0);
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// utime and stime, fields 14 and 15. The name in field 2 may have spaces; its closing parenthesis is
/// the last one.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// The children of the first thread of process `pid`.
pub fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    let pids = text.split_whitespace();
    pids.filter_map(|pid| pid.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_after_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 25 17 0 0 20 0 1 0 5 0 0";
        assert_eq!(ticks_of(stat), Some(42));
        assert_eq!(ticks_of("7 (a"), None);
    }
}
