//! A look at the database that is taken now and then: nobody may be asking, because monitoring
//! keeps them away.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base::{Stop, Ticker};
use rusqlite::Connection;

use super::Shared;
use super::writer::Writer;
use crate::DbError;

/// Time between two looks. Short in tests, which wait for it.
const LOOK_INTERVAL: Duration = if cfg!(test) {
    Duration::from_millis(20)
} else {
    Duration::from_secs(5)
};

/// Looks after which a database that nobody writes to is written to: a disk that became full or
/// read-only shows then only. Tests that count commits must not meet it.
const QUIET_LOOKS: u32 = if cfg!(test) { 150 } else { 6 };

/// Writes a page without changing anything; nothing else uses the number.
const TOUCH: &str = "user_version";

/// Writes to the database without changing anything.
pub(super) fn touch(connection: &Connection) -> Result<(), DbError> {
    let version: u32 = connection.pragma_query_value(None, TOUCH, |row| row.get(0))?;
    Ok(connection.pragma_update(None, TOUCH, version)?)
}

/// Looks at the database until the stop; writes where writing failed, and where nobody else does.
pub(super) fn start(shared: &Arc<Shared>, writer: &Arc<Writer>, stop: Stop) -> io::Result<Ticker> {
    let mut watch = Watch {
        shared: Arc::clone(shared),
        writer: Arc::clone(writer),
        was_moved: false,
        quiet: Quiet::default(),
    };
    Ticker::start("db-watch", LOOK_INTERVAL, stop, move || watch.look())
}

struct Watch {
    shared: Arc<Shared>,
    writer: Arc<Writer>,
    was_moved: bool,
    quiet: Quiet,
}

/// How long nobody has written.
#[derive(Default)]
struct Quiet {
    n_written: u64,
    looks: u32,
}

impl Quiet {
    /// Takes note of another look. Tells whether it is time to write.
    fn is_long(&mut self, n_written: u64) -> bool {
        if n_written != self.n_written {
            *self = Quiet {
                n_written,
                looks: 0,
            };
        }
        self.looks += 1;
        self.looks >= QUIET_LOOKS
    }
}

impl Watch {
    fn look(&mut self) {
        if self.is_moved() {
            return;
        }
        let seen = &self.shared.seen;
        let mut found = seen.note_read(self.shared.read_afresh());
        let is_quiet = self.quiet.is_long(seen.n_written());
        if seen.writing_failed() || (is_quiet && seen.check_damage().is_ok()) {
            let written = self.writer.submit(touch);
            found = seen.note_write(written.and_then(|pending| pending.wait()));
        }
        if let Err(e) = found {
            log::debug!("database looked at: {:#}", anyhow::Error::from(e));
        }
    }

    /// Whether the files are no longer those in use. A change is logged once.
    fn is_moved(&mut self) -> bool {
        let moved = self.shared.placed.check().err();
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
            let noted: Result<(), DbError> = self.shared.seen.note_write(Err(error));
            drop(noted);
        }
        self.was_moved
    }
}
