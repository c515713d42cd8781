//! Where log lines go: the main log to the standard error or a file, the access log (records with
//! the target [`ACCESS_TARGET`]) to a file of its own. Any thread logs. A disk that fails costs
//! lines, never the daemon.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use env_logger::fmt::Target;
use log::{LevelFilter, Metadata, Record};
use thiserror::Error;

use crate::config::LogConfig;

use escape::Escaped;
use sink::{LineWriter, Sink};

mod escape;
mod seldom;
mod sink;

pub use seldom::Seldom;

/// The target of access records: `log::info!(target: ACCESS_TARGET, ...)`. They do not depend on
/// the level.
pub const ACCESS_TARGET: &str = "access";

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
    /// The process has a logger already.
    #[error("the log is set up twice")]
    Twice,
}

/// The open log files of this process. Clones share them.
#[derive(Debug, Clone)]
pub struct Log {
    main: Arc<Sink>,
    access: Option<Arc<Sink>>,
}

impl Log {
    /// Opens the files and becomes the logger of this process.
    ///
    /// # Errors
    /// A file cannot be opened; or there is a logger already.
    pub fn start(config: &LogConfig) -> Result<Log, LogError> {
        let log = Log::open(config)?;
        let filters = std::env::var("RUST_LOG").ok();
        let router = log.router(config, filters.as_deref());
        let max_level = router.max_level();
        log::set_boxed_logger(Box::new(router)).map_err(|_| LogError::Twice)?;
        log::set_max_level(max_level);
        Ok(log)
    }

    /// Opens the files anew by their names, after they were moved away. A file that cannot be
    /// opened goes on where it was, and the main log says so.
    pub fn reopen(&self) {
        for sink in [Some(&self.main), self.access.as_ref()]
            .into_iter()
            .flatten()
        {
            if let Err(error) = sink.reopen() {
                let error = anyhow::Error::from(error);
                log::error!("the log stays in the old file: {error:#}");
            }
        }
    }

    /// Whether the main log goes to the standard error.
    pub fn is_stderr(&self) -> bool {
        self.main.is_stderr()
    }

    fn open(config: &LogConfig) -> Result<Log, LogError> {
        let main = match &config.file {
            Some(path) => Sink::file(path)?,
            None => Sink::stderr(),
        };
        let access = match &config.access_file {
            Some(path) => Some(Arc::new(Sink::file(path)?)),
            None => None,
        };
        Ok(Log {
            main: Arc::new(main),
            access,
        })
    }

    /// The logger that writes to these files. `filters` are directives as in `RUST_LOG`.
    fn router(&self, config: &LogConfig, filters: Option<&str>) -> Router {
        let mut builder = env_logger::Builder::new();
        builder.filter_level(config.level.into());
        if let Some(filters) = filters {
            builder.parse_filters(filters);
        }
        builder.format(|out, record| {
            io::Write::write_all(out, main_line(Utc::now(), record).as_bytes())
        });
        builder.target(Target::Pipe(Box::new(LineWriter(Arc::clone(&self.main)))));
        Router {
            main: builder.build(),
            access: self.access.clone(),
        }
    }
}

/// Sends access records one way and all others the other.
struct Router {
    main: env_logger::Logger,
    access: Option<Arc<Sink>>,
}

impl Router {
    fn max_level(&self) -> LevelFilter {
        match self.access {
            // Access records may have any level: the macros must let them through.
            Some(_) => self.main.filter().max(LevelFilter::Info),
            None => self.main.filter(),
        }
    }
}

impl log::Log for Router {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.target() == ACCESS_TARGET {
            return self.access.is_some();
        }
        self.main.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if record.target() != ACCESS_TARGET {
            self.main.log(record);
        } else if let Some(access) = &self.access {
            access.write_line(format!("{}\n", Escaped(record.args())).as_bytes());
        }
    }

    fn flush(&self) {}
}

fn main_line(now: DateTime<Utc>, record: &Record<'_>) -> String {
    let time = timestamp(now);
    let level = record.level();
    let target = Escaped(record.target());
    format!("{time} {level:<5} {target}: {}\n", Escaped(record.args()))
}

/// UTC with milliseconds, as in `2026-11-21T20:41:42.123Z`.
pub(crate) fn timestamp(now: DateTime<Utc>) -> String {
    now.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests;
