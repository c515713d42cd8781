//! Waiting for facts: a condition is looked at until it holds, and a wait that gives up tells what
//! it saw last.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::bail;
use crossbeam_channel::{Receiver, never};

/// Pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest wait of a test for a fact.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A look at a condition: what was waited for, or what is there instead.
pub type Seen<T> = Result<T, String>;

/// Looks until `look` finds what it looks for.
///
/// # Errors
/// It did not within `patience`; the message says what was waited for and what was seen last.
pub fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Seen<T>,
) -> anyhow::Result<T> {
    try_wait_for(what, patience, || Ok(look()))
}

/// The same for a look that can find that waiting is of no use.
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
        // Nothing is ever sent here: what is waited for happens in other processes.
        let Err(_) = clock.recv_timeout(PAUSE);
    }
}

/// The same for a plain yes or no.
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
            Err("that it is not so".to_owned())
        }
    })
}

/// The same for a test, which fails when it waits too long; tells how long it took.
///
/// # Panics
/// It is not so within a minute.
pub fn until(what: &str, holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    if let Err(e) = wait_until(what, PATIENCE, holds) {
        panic!("{e}");
    }
    start.elapsed()
}
