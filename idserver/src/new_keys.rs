//! Limits new keys. Each one makes a row that nothing removes; storages have one key for each store path.
//!
//! Numbers need no such limit. A key has 2^63, and each commit takes at most
//! [`STEP_MAX`](crate::config::STEP_MAX): 10,000 commits a second use it up in 29 years. The path of a file
//! repeats only when 2^36 numbers are drawn within one second.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use db::DbError;
use net::quota::{Exhausted, Limits, Quota};
use parking_lot::Mutex;
use proto::IdKey;

use crate::config::Config;
use crate::db::Ids;

/// The period of [`Config::new_keys_per_address`].
const PERIOD: Duration = Duration::from_secs(3600);

/// Time between two counts of the rows: other idservers add rows, operators remove some.
const COUNT_INTERVAL: Duration = Duration::from_secs(60);

/// Limits the keys that get a row.
pub(crate) struct NewKeys {
    quota: Quota,
    rows: Mutex<Rows>,
}

struct Rows {
    max: u32,
    /// The latest count, plus the rows that were made here since.
    number: u32,
    /// Time of the latest count; None makes the next call count.
    counted: Option<Instant>,
}

impl NewKeys {
    pub(crate) fn new(config: &Config) -> NewKeys {
        NewKeys {
            quota: Quota::new(limits(config)),
            rows: Mutex::new(Rows {
                max: config.rows_max,
                number: 0,
                counted: None,
            }),
        }
    }

    /// Applies other limits.
    pub(crate) fn reload(&self, config: &Config) {
        self.quota.reload(limits(config));
        let mut rows = self.rows.lock();
        (rows.max, rows.counted) = (config.rows_max, None);
    }

    /// Admits a key that has a row, and counts a new key within the limits. Returns the reason, which names the
    /// setting, when it refuses a key.
    ///
    /// # Errors
    /// The database does not answer.
    pub(crate) fn admit(
        &self,
        ids: &dyn Ids,
        key: &IdKey,
        peer: IpAddr,
    ) -> Result<Option<String>, DbError> {
        if ids.has(key)? {
            return Ok(None);
        }
        let (number, max) = self.count(ids)?;
        if number >= max {
            let text = format!("no row for key {key}: there are {number} keys, see rows_max");
            return Ok(Some(text));
        }
        if let Err(exhausted) = self.quota.take(peer) {
            return Ok(Some(match exhausted {
                Exhausted::Peer => format!(
                    "too many new keys from {} within an hour, see new_keys_per_address",
                    peer.to_canonical()
                ),
                Exhausted::All => "too many new keys within an hour, see rows_max".to_owned(),
            }));
        }
        let mut rows = self.rows.lock();
        rows.number = rows.number.saturating_add(1);
        Ok(None)
    }

    /// The number of rows and its limit. While one call counts them the others use the previous count: nothing
    /// waits, and a few rows too many do no harm.
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

/// All peers together may make `rows_max` rows in a period, which also bounds the peers in memory.
fn limits(config: &Config) -> Limits {
    Limits {
        per_peer: config.new_keys_per_address,
        in_all: config.rows_max,
        period: PERIOD,
    }
}
