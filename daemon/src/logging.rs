//! Where log lines go: the main log to the standard error, a file or syslog, the access log (records
//! with the target [`net::ACCESS_TARGET`]) to a place of its own. Any thread logs, and none waits for the
//! disk: a thread of each log writes. A disk that fails or stands still costs lines, which are counted,
//! never the daemon. Each line of the main log is written at once; a file of the access log gets its
//! lines within a second.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use log::{LevelFilter, Metadata, Record};
use net::ACCESS_TARGET;
use parking_lot::RwLock;
use thiserror::Error;

use crate::metrics::IntCounter;

use buffered::Kind;
use sink::Sink;

mod buffered;
mod config;
mod output;
mod sink;
mod syslog;
mod target;

pub use config::{Level, LogConfig};
pub use target::{Facility, LogTarget};

/// Why the log cannot be set up.
#[derive(Debug, Error)]
pub enum LogError {
    /// A log file cannot be opened for appending.
    #[error("cannot open the log file {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No thread to write a log with.
    #[error("cannot start a thread for the log")]
    Thread(#[source] io::Error),
    /// No socket to speak to the log daemon with.
    #[error("cannot speak to syslog")]
    Syslog(#[source] io::Error),
    /// The process has a logger already.
    #[error("the log is set up twice")]
    Twice,
}

/// The log of this process. Clones share it.
#[derive(Clone)]
pub struct Log {
    outputs: Arc<RwLock<Outputs>>,
    /// Directives as in `RUST_LOG`; they have precedence over the configured level.
    filters: Option<String>,
    /// Lines that could not be written.
    lost: IntCounter,
}

/// Where lines go, and which.
pub(crate) struct Outputs {
    main: Arc<Sink>,
    access: Option<Arc<Sink>>,
    /// Knows what is important enough for `main`.
    filter: env_logger::Logger,
}

impl Log {
    /// Opens the files and becomes the logger of this process.
    ///
    /// # Errors
    /// A file cannot be opened; or there is a logger already.
    pub fn start(config: &LogConfig) -> Result<Log, LogError> {
        let log = Log::open(config, std::env::var("RUST_LOG").ok())?;
        log::set_boxed_logger(Box::new(log.clone())).map_err(|_| LogError::Twice)?;
        log::set_max_level(log.max_level());
        Ok(log)
    }

    /// Has the files opened anew by their names, after they were moved away. A file that cannot be
    /// opened goes on where it was, and the main log says so. Does not wait for the disk.
    pub fn reopen(&self) {
        for sink in self.sinks() {
            sink.reopen();
        }
    }

    /// Counts the lines that could not be written.
    pub fn lost(&self) -> IntCounter {
        self.lost.clone()
    }

    /// Whether the main log goes to the standard error.
    pub fn is_stderr(&self) -> bool {
        self.outputs.read().main.is_stderr()
    }

    /// Opens what other settings want; see [`Log::change_to`].
    ///
    /// # Errors
    /// A file cannot be opened.
    pub(crate) fn prepare(&self, config: &LogConfig) -> Result<Outputs, LogError> {
        Outputs::open(config, self.filters.as_deref(), &self.lost)
    }

    /// From here on lines go there.
    pub(crate) fn change_to(&self, outputs: Outputs) {
        let old = std::mem::replace(&mut *self.outputs.write(), outputs);
        log::set_max_level(self.max_level());
        drop(old);
    }

    /// Opens the files; lines come by [`log::Log`].
    pub(crate) fn open(config: &LogConfig, filters: Option<String>) -> Result<Log, LogError> {
        let help = "Lines of the logs that could not be written.";
        let lost = IntCounter::new("tnv_log_lines_lost_total", help);
        let lost = lost.expect("a valid name");
        let outputs = Outputs::open(config, filters.as_deref(), &lost)?;
        Ok(Log {
            lost,
            outputs: Arc::new(RwLock::new(outputs)),
            filters,
        })
    }

    /// Not under the lock: a sink that fails is told of in the log.
    fn sinks(&self) -> Vec<Arc<Sink>> {
        let outputs = self.outputs.read();
        let main = Some(Arc::clone(&outputs.main));
        main.into_iter().chain(outputs.access.clone()).collect()
    }

    fn max_level(&self) -> LevelFilter {
        let outputs = self.outputs.read();
        let level = outputs.filter.filter();
        match outputs.access {
            // Access records may have any level: the macros must let them through.
            Some(_) => level.max(LevelFilter::Info),
            None => level,
        }
    }
}

impl Outputs {
    fn open(
        config: &LogConfig,
        filters: Option<&str>,
        lost: &IntCounter,
    ) -> Result<Outputs, LogError> {
        let main = Arc::new(Sink::open(Kind::Main, config.file.as_ref(), lost)?);
        let access = match config.access_target() {
            Some(target) => Arc::new(Sink::open(Kind::Access, Some(&target), lost)?),
            // In turn with the lines of the main log.
            None => Arc::clone(&main),
        };
        Ok(Outputs {
            filter: filter(config.level.into(), filters),
            access: Some(access).filter(|sink| !sink.is_nowhere()),
            main,
        })
    }
}

fn filter(level: LevelFilter, filters: Option<&str>) -> env_logger::Logger {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(level);
    if let Some(filters) = filters {
        builder.parse_filters(filters);
    }
    builder.build()
}

/// Sends access records one way and all others the other.
impl log::Log for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let outputs = self.outputs.read();
        if metadata.target() == ACCESS_TARGET {
            return outputs.access.is_some();
        }
        outputs.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let outputs = self.outputs.read();
        if record.target() != ACCESS_TARGET {
            if outputs.filter.matches(record) {
                outputs.main.write(Utc::now(), record);
            }
        } else if let Some(access) = &outputs.access {
            access.write_bare(record);
        }
    }

    /// Waits until the logs are written, but not long.
    fn flush(&self) {
        let deadline = Instant::now() + buffered::PATIENCE;
        for sink in self.sinks() {
            sink.flush(deadline);
        }
    }
}

#[cfg(test)]
mod tests;
