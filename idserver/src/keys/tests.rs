use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::*;
use crate::config::Settings;

fn key(text: &str) -> IdKey {
    text.parse().unwrap()
}

fn config() -> Config {
    Config::of(Settings {
        step: 10,
        step_max: 10,
        ..Settings::default()
    })
}

/// One key whose refills are queued for the test.
struct Refilled {
    key: Arc<Key>,
    limit: WaitLimit,
    requests: (Sender<()>, Receiver<()>),
}

impl Refilled {
    fn new(key: Arc<Key>) -> Refilled {
        Refilled {
            key,
            limit: WaitLimit::new(10),
            requests: unbounded(),
        }
    }

    fn take(&self, count: u16) -> Result<Range<u64>, Fault> {
        let request = || self.requests.0.send(()).is_ok();
        self.key.take(count, &self.limit, request)
    }

    /// Ends the refill that was requested first.
    fn refill(&self, reserved: Result<Range<u64>, Fault>) {
        self.requests.1.recv().unwrap();
        let step = self.key.next_step(&config());
        self.key.end_refill(step, reserved);
    }

    /// Takes one number of a range that is reserved when it is needed.
    fn next(&self, first: u64) -> Result<u64, Fault> {
        thread::scope(|scope| {
            let taken = scope.spawn(|| self.take(1).map(|taken| taken.start));
            test_support::until("a number or a request", || {
                let waits = self.limit.n_waiting() > 0 && !self.requests.1.is_empty();
                waits || taken.is_finished()
            });
            if !taken.is_finished() {
                self.refill(Ok(first..first + 10));
            }
            taken.join().unwrap()
        })
    }
}

#[test]
fn many_callers_get_every_number_once() {
    let (one, row) = (Refilled::new(Arc::default()), AtomicU64::new(0));
    let (done, n_done) = (AtomicU64::new(0), 5 * 800);
    let mut all: Vec<u64> = thread::scope(|scope| {
        let callers: Vec<_> = (0..5)
            .map(|_| {
                scope.spawn(|| -> Vec<u64> {
                    let numbers = (0..800).map(|_| one.take(1).unwrap().start);
                    numbers
                        .inspect(|_| _ = done.fetch_add(1, Ordering::SeqCst))
                        .collect()
                })
            })
            .collect();
        test_support::until("all numbers are taken", || {
            while !one.requests.1.is_empty() {
                let first = row.fetch_add(10, Ordering::SeqCst);
                one.refill(Ok(first..first + 10));
            }
            done.load(Ordering::SeqCst) == n_done
        });
        callers
            .into_iter()
            .flat_map(|c| c.join().unwrap())
            .collect()
    });
    all.sort_unstable();
    assert_eq!(all, (0..n_done).collect::<Vec<_>>());
}

#[test]
fn a_failed_refill_is_one_for_all_who_waited_and_the_next_call_tries_again() {
    let one = Refilled::new(Arc::default());
    thread::scope(|scope| {
        // As many as may wait for a slow database.
        let callers: Vec<_> = (0..5).map(|_| scope.spawn(|| one.take(1))).collect();
        test_support::until("all wait", || one.limit.n_waiting() == 5);
        assert_eq!(one.take(1), Err(unavailable("the database takes too long")));
        one.refill(Err(unavailable("away")));
        for caller in callers {
            assert_eq!(caller.join().unwrap(), Err(unavailable("away")));
        }
    });
    assert!(one.requests.1.is_empty());
    assert_eq!(one.next(0), Ok(0));
}

#[test]
fn a_failed_refill_in_the_background_is_no_failure_of_a_request() {
    let one = Refilled::new(Arc::default());
    assert_eq!(one.next(0), Ok(0));
    assert_eq!(one.take(5), Ok(1..6));
    one.refill(Err(unavailable("away")));
    // The next request tries again, and so does the one that finds no number.
    assert_eq!(one.take(9), Ok(6..10));
    one.refill(Err(unavailable("away")));
    assert_eq!(one.next(10), Ok(10));
}

#[test]
fn a_queue_that_is_full_refuses_who_finds_no_number() {
    let one = Refilled::new(Arc::default());
    let refused = one.key.take(1, &one.limit, || false);
    assert_eq!(refused, Err(unavailable("the database takes too long")));
    assert_eq!(one.next(0), Ok(0));
}

#[test]
fn memory_is_bounded_and_the_oldest_key_goes() {
    let keys = Keys::new(10);
    let hot = key("hot");
    let take = |name: &IdKey, first: u64| {
        let one = Refilled::new(keys.find(name));
        one.key
            .end_refill(one.key.next_step(&config()), Ok(first..first + 1000));
        one
    };
    assert_eq!(take(&hot, 0).take(1), Ok(0..1));
    for n in 0..100 {
        let cold = key(&format!("cold{n}"));
        assert_eq!(take(&cold, n).take(1), Ok(n..n + 1));
        // Its range is still there: it was used just now.
        let hot = Refilled::new(keys.find(&hot));
        assert_eq!(hot.take(1), Ok(n + 1..n + 2));
        assert!(keys.settled_len() <= 10);
    }
    assert_eq!(take(&key("cold0"), 500).take(1), Ok(500..501));
}

#[test]
fn numbers_of_a_row_that_was_set_back_are_not_given_twice() {
    let one = Refilled::new(Arc::default());
    assert_eq!(one.next(300), Ok(300));
    assert_eq!(one.take(5), Ok(301..306));
    // In the background, then on demand.
    one.refill(Ok(300..310));
    assert_eq!(one.take(10), Ok(306..310));
    for first in [290, 300] {
        let fault = one.next(first).unwrap_err();
        assert!(fault.message.contains("set the numbers back"), "{fault}");
    }
    assert_eq!(one.next(310), Ok(310));
}
