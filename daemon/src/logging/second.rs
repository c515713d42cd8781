//! The text of the current second. To make it costs a third of a line of the access log, so each
//! thread makes it once.

use std::cell::RefCell;
use std::thread::LocalKey;
use std::time::{SystemTime, UNIX_EPOCH};

/// The second that was shown last, since the epoch, and its text.
pub(crate) struct LastSecond(RefCell<(u64, String)>);

impl LastSecond {
    /// None yet.
    pub(crate) const fn new() -> LastSecond {
        LastSecond(RefCell::new((u64::MAX, String::new())))
    }
}

/// Shows a time to the second, in a text that `make` makes of it.
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
