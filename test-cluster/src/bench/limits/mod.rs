//! The limits that tnv is measured against, each as plain as can be: what the machine and its best
//! known servers do with the same work.

mod disk;
mod mariadb;
mod nginx;
mod plain;
mod redis;
mod sqlite;

use std::time::{Duration, Instant};
use std::{fs, io, path::Path};

use anyhow::ensure;
use bench::{Content, Failure, Length, OperationResult, Timing, Worker, drive};
use serde::Deserialize;

pub use plain::{Plain, serve};

pub(super) use disk::Syncer;
pub(super) use mariadb::Inserter;
pub(super) use nginx::{FOLDER, Nginx};
pub(super) use plain::{Getter, Putter, empty, folder_of};
pub(super) use redis::Redis;
pub(super) use sqlite::Committer;

use super::measured::{CpuClock, Measured};

/// How long a round is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) warm_up: Duration,
    pub(super) time: Duration,
}

/// A file as `tnv bench --keep` lists it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct File {
    pub(super) id: String,
    pub(super) seed: u64,
    pub(super) size: u64,
}

impl File {
    pub(super) fn content(&self) -> Content {
        Content::new(self.seed, self.size)
    }

    /// Reads a list.
    pub(super) fn list(path: &Path) -> anyhow::Result<Vec<File>> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }
}

/// Has these workers do their work for a round, and takes the time of these servers.
///
/// # Errors
/// Any operation failed.
pub(super) fn run<W: Worker>(
    workers: Vec<W>,
    servers: &[u32],
    round: Round,
) -> anyhow::Result<Measured> {
    let mut clock = CpuClock::of(servers);
    let timing = Timing {
        warm_up: round.warm_up,
        length: Length::Time(round.time),
    };
    let (figures, _) = drive(&["operation"], workers, timing, &mut |moment| {
        clock.note(moment)
    });
    ensure!(figures.errors.is_empty(), "{:?}", figures.errors);
    Ok(Measured {
        figures,
        server_cpu: clock.seconds(),
    })
}

/// An operation that began then and ends now.
fn done(begun: Instant, result: io::Result<()>) -> OperationResult {
    OperationResult {
        operation: 0,
        took: begun.elapsed(),
        failure: result.err().map(|error| Failure {
            kind: format!("{:?}", error.kind()),
            message: error.to_string(),
        }),
    }
}
