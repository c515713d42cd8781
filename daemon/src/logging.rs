//! The main log goes to the standard error, a file or syslog; the access log (records with the target
//! [`net::ACCESS_TARGET`]) has its own destination. No thread that logs waits for the disk or for syslog:
//! each log has a thread that writes. A disk or a syslog that fails or hangs loses lines, which are counted,
//! and never blocks the daemon. Lines of the main log are written at once, those of the access log within a second.

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

use buffered::{BufferedLog, Kind};

mod buffered;
mod config;
mod line;
mod output;
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
    /// The thread that writes a log cannot be started.
    #[error("cannot start a thread for the log")]
    Thread(#[source] io::Error),
    /// The socket for syslog cannot be made.
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
    /// Counter of lines that could not be written.
    lost: IntCounter,
}

/// The destinations and the filter.
pub(crate) struct Outputs {
    /// None if lines are discarded.
    main: Option<Arc<BufferedLog>>,
    access: Option<Arc<BufferedLog>>,
    /// The filter of `main`.
    filter: env_logger::Logger,
    /// True if the main log goes to the standard error.
    is_stderr: bool,
}

impl Log {
    /// Opens the files and installs the logger of this process.
    ///
    /// # Errors
    /// A file cannot be opened, or a logger is installed already.
    pub fn start(config: &LogConfig) -> Result<Log, LogError> {
        let log = Log::open(config, std::env::var("RUST_LOG").ok())?;
        log::set_boxed_logger(Box::new(log.clone())).map_err(|_| LogError::Twice)?;
        log::set_max_level(log.max_level());
        Ok(log)
    }

    /// Reopens the files by name, after a log rotation. If that fails, the old file is kept and the main
    /// log says so. Does not wait for the disk.
    pub fn reopen(&self) {
        for log in self.logs() {
            log.reopen();
        }
    }

    /// The counter of lines that could not be written.
    pub fn lost(&self) -> IntCounter {
        self.lost.clone()
    }

    /// True if the main log goes to the standard error.
    pub fn is_stderr(&self) -> bool {
        self.outputs.read().is_stderr
    }

    /// Opens the destinations of other settings, for [`Log::change_to`].
    ///
    /// # Errors
    /// A file cannot be opened.
    pub(crate) fn prepare(&self, config: &LogConfig) -> Result<Outputs, LogError> {
        Outputs::open(config, self.filters.as_deref(), &self.lost)
    }

    /// Replaces the destinations.
    pub(crate) fn change_to(&self, outputs: Outputs) {
        let old = std::mem::replace(&mut *self.outputs.write(), outputs);
        log::set_max_level(self.max_level());
        drop(old);
    }

    /// Opens the files without installing the logger.
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

    /// Clones, so that the lock is not held while they are waited for.
    fn logs(&self) -> Vec<Arc<BufferedLog>> {
        let outputs = self.outputs.read();
        let all = [outputs.main.clone(), outputs.access.clone()];
        all.into_iter().flatten().collect()
    }

    fn max_level(&self) -> LevelFilter {
        let outputs = self.outputs.read();
        let level = outputs.filter.filter();
        match outputs.access {
            // Access records are at level info: the macros must pass them.
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
        let main = BufferedLog::open(Kind::Main, config.file.as_ref(), lost)?.map(Arc::new);
        let access = match config.access_target() {
            Some(target) => BufferedLog::open(Kind::Access, Some(&target), lost)?.map(Arc::new),
            // Shares the log, so that lines do not mix.
            None => main.clone(),
        };
        Ok(Outputs {
            filter: filter(config.level.into(), filters),
            access,
            main,
            is_stderr: config.is_stderr(),
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

/// Sends access records to the access log and all others to the main log.
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
            if let Some(main) = outputs
                .main
                .as_ref()
                .filter(|_| outputs.filter.matches(record))
            {
                main.write(Utc::now(), record);
            }
        } else if let Some(access) = &outputs.access {
            access.write_bare(record);
        }
    }

    /// Waits until the logs are written, for a bounded time.
    fn flush(&self) {
        let deadline = Instant::now() + buffered::FLUSH_TIME;
        for log in self.logs() {
            log.flush(deadline);
        }
    }
}

#[cfg(test)]
mod tests;
