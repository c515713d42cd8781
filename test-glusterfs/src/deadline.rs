//! Waiting for facts: a condition is looked at until it holds, and a wait that gives up tells what
//! it saw last.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::bail;
use crossbeam_channel::{Receiver, never};

/// Pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until `look` finds what it looks for; else it tells what it saw instead.
///
/// # Errors
/// It did not within `patience`; the message says what was waited for and what was seen last.
pub fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + patience;
    let clock: Receiver<Infallible> = never();
    loop {
        let seen = match look() {
            Ok(found) => return Ok(found),
            Err(seen) => seen,
        };
        if Instant::now() >= deadline {
            bail!("waited {patience:?} for {what}, saw {seen}");
        }
        // Nothing is ever sent here: what is waited for happens in other processes.
        let Err(_) = clock.recv_timeout(PAUSE);
    }
}
