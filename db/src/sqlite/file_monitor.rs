//! Checks the database periodically, so that its availability is known without requests.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base::{Stop, Ticker};
use rusqlite::Connection;

use super::Shared;
use super::writer::Writer;
use crate::DbError;

/// Interval of the checks. Short in tests, which wait for them.
const CHECK_INTERVAL: Duration = if cfg!(test) {
    Duration::from_millis(20)
} else {
    Duration::from_secs(5)
};

/// Checks without a write after which the monitor writes: only a write notices a full or read-only
/// disk. Long in tests, which count commits.
const QUIET_CHECKS: u32 = if cfg!(test) { 150 } else { 6 };

/// The monitor writes this pragma with its present value; nothing else uses it.
const TOUCH: &str = "user_version";

/// Writes one page of the database without changing it.
pub(super) fn touch(connection: &Connection) -> Result<(), DbError> {
    let version: u32 = connection.pragma_query_value(None, TOUCH, |row| row.get(0))?;
    Ok(connection.pragma_update(None, TOUCH, version)?)
}

/// Checks the database until the stop. Writes if writing has failed, or if nobody writes.
pub(super) fn start(shared: &Arc<Shared>, writer: &Arc<Writer>, stop: Stop) -> io::Result<Ticker> {
    let mut monitor = FileMonitor {
        shared: Arc::clone(shared),
        writer: Arc::clone(writer),
        was_moved: false,
        quiet: Quiet::default(),
    };
    Ticker::start("db-watch", CHECK_INTERVAL, stop, move || monitor.check())
}

struct FileMonitor {
    shared: Arc<Shared>,
    writer: Arc<Writer>,
    was_moved: bool,
    quiet: Quiet,
}

/// Counts checks without a write.
#[derive(Default)]
struct Quiet {
    n_written: u64,
    checks: u32,
}

impl Quiet {
    /// Counts one check; true if it is time to write.
    fn is_long(&mut self, n_written: u64) -> bool {
        if n_written != self.n_written {
            *self = Quiet {
                n_written,
                checks: 0,
            };
        }
        self.checks += 1;
        self.checks >= QUIET_CHECKS
    }
}

impl FileMonitor {
    fn check(&mut self) {
        if self.is_moved() {
            return;
        }
        let outcomes = &self.shared.outcomes;
        let mut found = outcomes.note_read(self.shared.read_afresh());
        let is_quiet = self.quiet.is_long(outcomes.n_written());
        if outcomes.writing_failed() || (is_quiet && outcomes.check_damage().is_ok()) {
            let written = self.writer.submit(touch);
            found = outcomes.note_write(written.and_then(|pending| pending.wait()));
        }
        if let Err(e) = found {
            log::debug!("database check: {:#}", anyhow::Error::from(e));
        }
    }

    /// True if the files are not those in use any more. Logs each change once.
    fn is_moved(&mut self) -> bool {
        let moved = self.shared.files.check().err();
        match &moved {
            Some(e) if !self.was_moved => {
                let why = anyhow::Error::from(e.clone());
                log::error!("no writes until the files are back or after a restart: {why:#}");
            }
            None if self.was_moved => log::info!("the database's files are back"),
            _ => {}
        }
        self.was_moved = moved.is_some();
        if let Some(error) = moved {
            let noted: Result<(), DbError> = self.shared.outcomes.note_write(Err(error));
            drop(noted);
        }
        self.was_moved
    }
}
