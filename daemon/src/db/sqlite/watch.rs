//! Whether the database can be used, as the last read and the last write found, or a look that is
//! taken now and then: nobody may be asking, because monitoring keeps them away.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::ErrorCode;

use super::readers::Readers;
use super::writer::Writer;
use crate::Stop;
use crate::db::DbError;
use crate::ticker::Ticker;

/// Time between two looks. Short in tests, which wait for it.
const LOOK_INTERVAL: Duration = if cfg!(test) {
    Duration::from_millis(20)
} else {
    Duration::from_secs(5)
};

/// Writes a page without changing anything; nothing else uses the number.
const TOUCH: &str = "user_version";

/// What was found last. Reads and writes apart: a full disk serves reads.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) reads: Last,
    pub(super) writes: Last,
}

/// How it was the last time.
#[derive(Debug, Default)]
pub(super) struct Last {
    failed: AtomicBool,
    error: Mutex<Option<DbError>>,
}

impl Seen {
    /// # Errors
    /// Why the database cannot be used.
    pub(super) fn availability(&self) -> Result<(), DbError> {
        self.writes.result().and_then(|()| self.reads.result())
    }
}

impl Last {
    /// Remembers whether the database could be used, and passes on how it was.
    pub(super) fn note<T>(&self, result: Result<T, DbError>) -> Result<T, DbError> {
        let error = result.as_ref().err().filter(|e| is_of_the_database(e));
        // Nearly always there was no error and there is none.
        if error.is_some() || self.has_failed() {
            let mut last = self.error.lock();
            *last = error.cloned();
            self.failed.store(last.is_some(), Ordering::Relaxed);
        }
        result
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn result(&self) -> Result<(), DbError> {
        self.error.lock().clone().map_or(Ok(()), Err)
    }
}

/// Whether it says something of the database, and not of one row.
fn is_of_the_database(error: &DbError) -> bool {
    match error {
        DbError::UnknownOutcome { .. } => true,
        DbError::Other { source, .. } => {
            let said = source.downcast_ref::<rusqlite::Error>();
            let code = said.and_then(rusqlite::Error::sqlite_error_code);
            matches!(
                code,
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            )
        }
        error => error.is_unavailable(),
    }
}

/// Looks at the database until the stop; writes only where writing failed.
pub(super) fn start(
    seen: &Arc<Seen>,
    readers: &Arc<Readers>,
    writer: &Arc<Writer>,
    stop: Stop,
) -> io::Result<Ticker> {
    let (seen, readers, writer) = (Arc::clone(seen), Arc::clone(readers), Arc::clone(writer));
    Ticker::start("db-watch", LOOK_INTERVAL, stop, move || {
        let read = readers.read(|connection| {
            let mut statement = connection.prepare_cached("select count(*) from sqlite_schema")?;
            Ok(statement.query_row([], |_| Ok(()))?)
        });
        let mut found = seen.reads.note(read);
        if seen.writes.has_failed() {
            let written = writer.submit(|connection| {
                let version: u32 = connection.pragma_query_value(None, TOUCH, |row| row.get(0))?;
                Ok(connection.pragma_update(None, TOUCH, version)?)
            });
            found = seen.writes.note(written.and_then(|pending| pending.wait()));
        }
        if let Err(e) = found {
            log::debug!("database looked at: {:#}", anyhow::Error::from(e));
        }
    })
}
