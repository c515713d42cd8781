//! Periodic work on its own thread, at once and then every interval until the stop.

use std::io;
use std::time::{Duration, Instant};

use crate::stop::Stop;
use crate::thread::{self, Thread};

/// A repeating job and its thread.
#[derive(Debug)]
#[must_use = "a ticker that nobody joins outlives the stop"]
pub struct Ticker {
    thread: Thread,
}

impl Ticker {
    /// Calls `work` at once and then every `interval` (from start to start) until `stop` trips, which ends
    /// the wait but not a call in progress. After a call that takes longer than the interval the next one
    /// follows at once; missed calls are skipped. A panic in `work` is logged and ends only that call.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn start(
        name: &str,
        interval: Duration,
        stop: Stop,
        work: impl FnMut() + Send + 'static,
    ) -> io::Result<Ticker> {
        let thread = thread::spawn(name, move || tick(interval, &stop, work))?;
        Ok(Ticker { thread })
    }

    /// The thread, to be joined. It ends when the stop has tripped and a call in progress has returned.
    pub fn into_thread(self) -> Thread {
        self.thread
    }
}

fn tick(interval: Duration, stop: &Stop, mut work: impl FnMut()) {
    while !stop.is_tripped() {
        let started = Instant::now();
        thread::catch("the ticking goes on", &mut work);
        if stop.wait(interval.saturating_sub(started.elapsed())) {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_ends(ticker: Ticker) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let left = thread::join_until([ticker.into_thread()], deadline);
        assert_eq!(left, Vec::<String>::new());
    }

    #[test]
    fn it_works_at_once_and_the_stop_ends_a_long_wait() {
        let (sender, receiver) = crossbeam_channel::bounded(8);
        let stop = Stop::new();
        let hour = Duration::from_secs(3600);
        let ticker = Ticker::start("hourly", hour, stop.clone(), move || {
            sender.send(()).unwrap();
        });
        receiver.recv_timeout(Duration::from_secs(30)).unwrap();
        stop.trip();
        assert_ends(ticker.unwrap());
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn it_repeats_and_survives_a_panic() {
        let (sender, receiver) = crossbeam_channel::bounded(8);
        let stop = Stop::new();
        let mut count = 0;
        let ending = stop.clone();
        let ticker = Ticker::start("often", Duration::from_millis(1), stop, move || {
            count += 1;
            sender.send(count).unwrap();
            assert_ne!(count, 2, "on purpose");
            if count == 4 {
                ending.trip();
            }
        });
        assert_ends(ticker.unwrap());
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
    }

    #[test]
    fn a_tripped_stop_starts_nothing() {
        let stop = Stop::new();
        stop.trip();
        let ticker = Ticker::start("never", Duration::ZERO, stop, || panic!("called"));
        assert_ends(ticker.unwrap());
    }
}
