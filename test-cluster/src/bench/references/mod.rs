//! The references that tnv is measured against: the machine itself and well-known servers with the same
//! work, each as simple as possible.

mod disk;
mod mariadb;
mod mounted_files;
mod nginx;
mod plain_server;
mod redis;
mod sqlite;

use std::time::{Duration, Instant};
use std::{fs, io, path::Path};

use anyhow::ensure;
use bench::{Content, Failure, Length, OperationResult, Timing, Worker, drive};
use serde::Deserialize;

pub use plain_server::{PlainServer, serve};

pub(super) use disk::FileSyncer;
pub(super) use mariadb::MariadbInserter;
pub(super) use mounted_files::MountedFiles;
pub(super) use nginx::{FOLDER, Nginx};
pub(super) use plain_server::{PlainDownloader, PlainUploader, empty, folder_of};
pub(super) use redis::Redis;
pub(super) use sqlite::{SqliteInserter, SqliteLister};

use super::measurement::{CpuClock, Measurement};

/// The duration of a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) warm_up: Duration,
    pub(super) time: Duration,
}

/// A file in a list of `tnv bench --keep`.
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

/// Runs the workers for a round and measures the processor time of the servers.
///
/// # Errors
/// An operation failed.
pub(super) fn run<W: Worker>(
    workers: Vec<W>,
    servers: &[u32],
    round: Round,
) -> anyhow::Result<Measurement> {
    let mut clock = CpuClock::of(servers);
    let timing = Timing {
        warm_up: round.warm_up,
        length: Length::Time(round.time),
    };
    let (figures, _) = drive(&["operation"], workers, timing, &mut |moment| {
        clock.note(moment)
    });
    ensure!(figures.errors.is_empty(), "{:?}", figures.errors);
    Ok(Measurement {
        figures,
        server_cpu: clock.seconds(),
    })
}

/// The result of an operation that ends now.
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
