//! Statements that have no effect when they arrive late: a broken network may deliver a statement
//! long after this storage has given up on it.

use std::time::Duration;

use db::{Failure, Session};
use parking_lot::Mutex;

use crate::clock::boot_time;

/// How long after it was sent a statement may begin.
pub(super) const STATEMENT_LIFE: Duration = Duration::from_secs(5);

/// SQL that is true until the deadline, its parameter.
pub(super) const IS_IN_TIME: &str = "UNIX_TIMESTAMP(NOW(6)) * 1000 < ?";

/// The database server's clock, by which statements expire. No other clock is compared, so it need
/// not be right.
#[derive(Debug, Default)]
pub(super) struct ServerClock {
    /// Its lead over [`boot_time`], in milliseconds, as of the latest query.
    ahead: Mutex<Option<i64>>,
}

impl ServerClock {
    /// The deadline of a statement sent now, in milliseconds of the server's clock.
    ///
    /// # Errors
    /// The server does not tell its time.
    pub(super) fn deadline(&self, session: &mut Session) -> Result<i64, Failure> {
        let known = *self.ahead.lock();
        let ahead = match known {
            Some(ahead) => ahead,
            None => {
                let ahead = look(session)?;
                *self.ahead.lock() = Some(ahead);
                ahead
            }
        };
        Ok(ahead + millis(boot_time() + STATEMENT_LIFE))
    }

    /// Takes the server's clock for another one.
    #[cfg(test)]
    pub(super) fn mislead(&self, ahead: i64) {
        *self.ahead.lock() = Some(ahead);
    }

    /// Its clock was set, or another server is asked now.
    pub(super) fn forget(&self) {
        *self.ahead.lock() = None;
    }
}

/// The time that the answer takes makes statements expire sooner.
fn look(session: &mut Session) -> Result<i64, Failure> {
    let sql = "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000 AS SIGNED)";
    let server: Option<i64> = session.first(sql, ())?;
    Ok(server.unwrap_or_default() - millis(boot_time()))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
