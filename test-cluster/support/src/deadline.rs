//! Waits with deadlines. They check a condition until it holds; the error of a timeout has the latest
//! state.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::bail;
use crossbeam_channel::{Receiver, never};

/// Pause between two checks of a condition.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest wait of a test for a condition.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The result of a check: the expected value, or the current state in words.
pub type Seen<T> = Result<T, String>;

/// Calls `look` until it finds the expected value.
///
/// # Errors
/// The timeout has passed; the message has `what` and the latest state.
pub fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Seen<T>,
) -> anyhow::Result<T> {
    try_wait_for(what, patience, || Ok(look()))
}

/// Like [`wait_for`]; an error of `look` ends the wait.
///
/// # Errors
/// As [`wait_for`], and those of `look`.
pub fn try_wait_for<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> anyhow::Result<Seen<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + patience;
    let clock: Receiver<Infallible> = never();
    loop {
        let seen = match look()? {
            Ok(found) => return Ok(found),
            Err(seen) => seen,
        };
        if Instant::now() >= deadline {
            bail!("waited {patience:?} for {what}, saw {seen}");
        }
        // Nothing is ever sent here: the condition depends on other processes.
        let Err(_) = clock.recv_timeout(PAUSE);
    }
}

/// Waits until `holds` is true.
///
/// # Errors
/// As [`wait_for`].
pub fn wait_until(
    what: &str,
    patience: Duration,
    mut holds: impl FnMut() -> bool,
) -> anyhow::Result<()> {
    wait_for(what, patience, || {
        if holds() {
            Ok(())
        } else {
            Err("that it is false".to_owned())
        }
    })
}

/// Waits in a test until `holds` is true. Returns the time of the wait.
///
/// # Panics
/// It is not true within a minute.
pub fn until(what: &str, holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    if let Err(e) = wait_until(what, PATIENCE, holds) {
        panic!("{e}");
    }
    start.elapsed()
}
