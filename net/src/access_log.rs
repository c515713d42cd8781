//! Shared by the access logs of both protocols: the log target, and the text of the current second.
//! Formatting it takes a third of the time of a line, so each thread formats it once per second.

use std::cell::RefCell;
use std::thread::LocalKey;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

/// The target of access records: `log::info!(target: ACCESS_TARGET, ...)`. They do not depend on
/// the level.
pub const ACCESS_TARGET: &str = "access";

/// The latest second, since the epoch, and its text.
pub(crate) struct LastSecond(RefCell<(u64, String)>);

impl LastSecond {
    pub(crate) const fn new() -> LastSecond {
        LastSecond(RefCell::new((u64::MAX, String::new())))
    }
}

/// Calls `show` with the text of the second of `time`, which `make` formats if it is new.
pub(crate) fn with_second<T>(
    last: &'static LocalKey<LastSecond>,
    time: SystemTime,
    make: impl FnOnce(SystemTime) -> String,
    show: impl FnOnce(&str) -> T,
) -> T {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    last.with(|LastSecond(last)| {
        let (second, text) = &mut *last.borrow_mut();
        if *second != since_epoch.as_secs() {
            *second = since_epoch.as_secs();
            *text = make(time);
        }
        show(text)
    })
}

/// UTC with milliseconds, as in `2026-11-21T20:41:42.123Z`.
pub fn timestamp(now: DateTime<Utc>) -> String {
    thread_local! {
        static LAST_SECOND: LastSecond = const { LastSecond::new() };
    }
    let to_the_second = |now| {
        DateTime::<Utc>::from(now)
            .format("%Y-%m-%dT%H:%M:%S")
            .to_string()
    };
    let millis = now.timestamp_subsec_millis().min(999);
    with_second(&LAST_SECOND, now.into(), to_the_second, |second| {
        format!("{second}.{millis:03}Z")
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    thread_local! {
        static LAST: LastSecond = const { LastSecond::new() };
    }

    #[test]
    fn a_text_is_made_once_for_each_second() {
        let mut made = 0;
        let mut shown = |millis| {
            let time = UNIX_EPOCH + Duration::from_millis(millis);
            let make = |_| {
                made += 1;
                format!("{made}")
            };
            with_second(&LAST, time, make, str::to_owned)
        };
        let texts = [0, 999, 1000, 1001, 500].map(&mut shown);
        assert_eq!(texts, ["1", "1", "2", "2", "3"]);
    }
}
