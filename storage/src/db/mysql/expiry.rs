//! Statements that have no effect when they arrive late: a broken network may deliver a statement
//! long after this storage has given up on it.

use std::time::Duration;

use db::{ClockLead, Failure, Session};

use crate::clock::boot_time;

/// How long after it was sent a statement may begin.
pub(super) const STATEMENT_LIFE: Duration = Duration::from_secs(5);
/// A lead is measured again after this time: the server's clock may have been set back.
const LEAD_LIFE: Duration = Duration::from_secs(60);

/// SQL that is true until the deadline, its parameter.
pub(super) const IS_IN_TIME: &str = "UNIX_TIMESTAMP(NOW(6)) * 1000 < ?";

/// The deadline of a statement sent now on a connection, in milliseconds of its server's clock. No other
/// clock is compared, so that clock need not be right, and each server may have one of its own.
///
/// # Errors
/// The server does not tell its time.
pub(super) fn deadline(session: &mut Session) -> Result<i64, Failure> {
    let now = boot_time();
    let known = session.clock_lead().filter(|lead| now < lead.until);
    let millis_ahead = match known {
        Some(lead) => lead.millis,
        None => {
            let measured = measure(session)?;
            session.set_clock_lead(Some(measured));
            measured.millis
        }
    };
    Ok(millis_ahead + millis(boot_time() + STATEMENT_LIFE))
}

/// The time that the answer takes makes statements expire sooner.
fn measure(session: &mut Session) -> Result<ClockLead, Failure> {
    let sql = "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000 AS SIGNED)";
    let server: Option<i64> = session.first(sql, ())?;
    let now = boot_time();
    Ok(ClockLead {
        millis: server.unwrap_or_default() - millis(now),
        until: now + LEAD_LIFE,
    })
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
