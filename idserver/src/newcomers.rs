//! How many keys may be new. Each makes a row that nothing removes, and storages have one for each
//! store path.
//!
//! Numbers need no such limit. A key has 2^63, and each commit takes
//! [`STEP_MAX`](crate::config::STEP_MAX) of them at most: 10,000 commits a second use it up in 29
//! years. The path of a file repeats only when 2^36 numbers are drawn within one second.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use db::DbError;
use net::quota::{Exhausted, Limits, Quota};
use parking_lot::Mutex;
use proto::{ErrorCode, Fault, IdKey};

use crate::config::Config;
use crate::db::Ids;

/// The time for which [`Config::new_keys_per_address`] counts.
const PERIOD: Duration = Duration::from_secs(3600);

/// Time from one count of the rows to the next: other idservers make some, people remove some.
const COUNT_INTERVAL: Duration = Duration::from_secs(60);

/// Counts the keys that get a row.
pub(crate) struct Newcomers {
    quota: Quota,
    rows: Mutex<Rows>,
}

struct Rows {
    max: u32,
    /// As they were counted last, and those made here since.
    number: u32,
    /// When they were; absent when they are to be counted now.
    counted: Option<Instant>,
}

/// Why a key gets no row.
#[derive(Debug)]
pub(crate) enum NotAdmitted {
    /// The database does not say whether it has one.
    Database(DbError),
    /// Too many are new; the message names the setting.
    Limit(Fault),
}

impl From<DbError> for NotAdmitted {
    fn from(error: DbError) -> NotAdmitted {
        NotAdmitted::Database(error)
    }
}

impl Newcomers {
    pub(crate) fn new(config: &Config) -> Newcomers {
        Newcomers {
            quota: Quota::new(limits(config)),
            rows: Mutex::new(Rows {
                max: config.rows_max,
                number: 0,
                counted: None,
            }),
        }
    }

    /// Takes on other limits.
    pub(crate) fn reload(&self, config: &Config) {
        self.quota.reload(limits(config));
        let mut rows = self.rows.lock();
        (rows.max, rows.counted) = (config.rows_max, None);
    }

    /// Lets a key have numbers: one that has a row always, another one within the limits.
    ///
    /// # Errors
    /// See [`NotAdmitted`].
    pub(crate) fn admit(
        &self,
        ids: &dyn Ids,
        key: &IdKey,
        peer: IpAddr,
    ) -> Result<(), NotAdmitted> {
        if ids.has(key)? {
            return Ok(());
        }
        let (number, max) = self.count(ids)?;
        if number >= max {
            return Err(limit(format!(
                "no row for key {key}: there are {number} keys, see rows_max"
            )));
        }
        self.quota.take(peer).map_err(|exhausted| {
            limit(match exhausted {
                Exhausted::Peer => format!(
                    "too many new keys from {} within an hour, see new_keys_per_address",
                    peer.to_canonical()
                ),
                Exhausted::All => "too many new keys within an hour, see rows_max".to_owned(),
            })
        })?;
        let mut rows = self.rows.lock();
        rows.number = rows.number.saturating_add(1);
        Ok(())
    }

    /// How many rows there are, and may be. While one caller has them counted the others go by the
    /// count before: nobody waits, and a few rows too many do no harm.
    fn count(&self, ids: &dyn Ids) -> Result<(u32, u32), DbError> {
        let mut rows = self.rows.lock();
        let (now, max) = (Instant::now(), rows.max);
        let is_recent = |at: Instant| now.saturating_duration_since(at) < COUNT_INTERVAL;
        if rows.counted.is_some_and(is_recent) {
            return Ok((rows.number, max));
        }
        rows.counted = Some(now);
        drop(rows);
        let counted = ids.count(max);
        let mut rows = self.rows.lock();
        match &counted {
            Ok(number) => rows.number = *number,
            Err(_) => rows.counted = None,
        }
        counted.map(|number| (number, max))
    }
}

/// All peers together may fill the table at once: the limit bounds how many peers are remembered.
fn limits(config: &Config) -> Limits {
    Limits {
        per_peer: config.new_keys_per_address,
        in_all: config.rows_max,
        period: PERIOD,
    }
}

fn limit(message: String) -> NotAdmitted {
    NotAdmitted::Limit(Fault::new(ErrorCode::Busy, message))
}
