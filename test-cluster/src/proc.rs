//! What `/proc` tells of a process.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Figures of a process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Memory in RAM now, in KiB.
    pub rss_kib: u64,
    /// The most it ever was, in KiB.
    pub rss_max_kib: u64,
    /// Threads.
    pub threads: u64,
}

/// Reads the figures of process `pid`.
///
/// # Errors
/// It is gone.
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
/// It is gone.
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
