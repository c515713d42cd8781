use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::bounded;

use super::*;
use crate::gate;

const PATIENCE: Duration = Duration::from_secs(20);

fn key(text: &str) -> IdKey {
    text.parse().unwrap()
}

const LIMITS: Limits = Limits {
    step: 10,
    step_max: 10,
};

/// The next number.
fn next<E>(
    key: &Key,
    gate: &Gate,
    step: impl FnOnce(u32) -> Result<Range<u64>, E>,
) -> Result<u64, NextError<E>> {
    key.take(1, gate, LIMITS, step).map(|taken| taken.start)
}

fn gate() -> Gate {
    Gate::new(16)
}

/// A table of one key, stepping by 10.
#[derive(Default)]
struct Row(AtomicU64);

impl Row {
    fn step(&self) -> Result<Range<u64>, &'static str> {
        let first = self.0.fetch_add(10, Ordering::SeqCst);
        Ok(first..first + 10)
    }
}

#[test]
fn many_callers_get_every_number_once() {
    let (key, row, gate) = (Key::default(), Row::default(), gate());
    let mut all: Vec<u64> = thread::scope(|scope| {
        // So many as may wait for long.
        let callers: Vec<_> = (0..5)
            .map(|_| {
                scope.spawn(|| -> Vec<u64> {
                    (0..800)
                        .map(|_| next(&key, &gate, |_| row.step()).unwrap())
                        .collect()
                })
            })
            .collect();
        callers
            .into_iter()
            .flat_map(|c| c.join().unwrap())
            .collect()
    });
    all.sort_unstable();
    assert_eq!(all, (0..4000).collect::<Vec<_>>());
    assert_eq!(row.0.load(Ordering::SeqCst), 4000);
}

#[test]
fn a_failed_step_is_one_for_all_who_waited_and_the_next_call_tries_again() {
    let (key, row, gate) = (Key::default(), Row::default(), gate());
    let (begun, begins) = bounded(1);
    let (release, wait) = bounded::<()>(0);
    let results: Vec<_> = thread::scope(|scope| {
        let first = scope.spawn(|| {
            next(&key, &gate, |_| {
                begun.send(()).unwrap();
                assert!(wait.recv_timeout(PATIENCE).is_err());
                Err("away")
            })
        });
        begins.recv_timeout(PATIENCE).unwrap();
        let others: Vec<_> = (0..4)
            .map(|_| {
                let (key, gate) = (&key, &gate);
                scope.spawn(move || next(key, gate, |_| -> Result<Range<u64>, &str> { Err("own") }))
            })
            .collect();
        // Whoever waits for long holds a seat, and there is one for each.
        test_support::until("all seats are taken", || gate.n_seats() == 0);
        drop(release);
        let first = [first].into_iter();
        first
            .chain(others)
            .map(|call| call.join().unwrap())
            .collect()
    });
    assert_eq!(results[0], Err(NextError::Step("away")));
    assert_eq!(results.len(), 5);
    for result in &results[1..] {
        assert_eq!(*result, Err(NextError::Shared));
    }
    assert_eq!(next(&key, &gate, |_| row.step()), Ok(0));
}

#[test]
fn a_step_that_stands_still_holds_nobody_for_long() {
    let (key, gate) = (Key::default(), gate());
    let (begun, begins) = bounded(1);
    let (release, wait) = bounded::<()>(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            next(&key, &gate, |_| -> Result<Range<u64>, ()> {
                begun.send(()).unwrap();
                assert!(wait.recv_timeout(PATIENCE).is_err());
                Ok(0..1)
            })
        });
        begins.recv_timeout(PATIENCE).unwrap();
        // As if it had begun long ago.
        key.state.lock().began = Instant::now().checked_sub(gate::PATIENCE);
        let next = next(&key, &gate, |_| -> Result<Range<u64>, ()> {
            unreachable!("it is locked")
        });
        assert_eq!(next, Err(NextError::Slow));
        drop(release);
    });
    assert_eq!(next(&key, &gate, |_| Ok::<_, ()>(1..2)), Ok(1));
}

#[test]
fn a_step_that_could_not_begin_is_no_failure_of_the_database() {
    let (key, gate) = (Key::default(), Gate::new(4));
    let inside = [gate.enter().unwrap(), gate.enter().unwrap()];
    gate.age(gate::PATIENCE);
    let step = |_| -> Result<Range<u64>, ()> { unreachable!("nobody is let in") };
    assert_eq!(next(&key, &gate, step), Err(NextError::Slow));
    // Whoever waited for it is told the same: n_failed has moved on, and this is why.
    let state = key.state.lock();
    assert_eq!((state.n_failed, state.cause), (1, Cause::Slow));
    drop(state);
    drop(inside);
    assert_eq!(next(&key, &gate, |_| Err(())), Err(NextError::Step(())));
    assert_eq!(key.state.lock().cause, Cause::Step);
}

#[test]
fn a_panic_in_a_step_leaves_the_key_usable() {
    let (key, gate) = (Key::default(), gate());
    let step = |_| -> Result<Range<u64>, ()> { panic!("on purpose") };
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| next(&key, &gate, step)));
    assert!(caught.is_err());
    assert_eq!(next(&key, &gate, |_| Ok::<_, ()>(5..6)), Ok(5));
}

#[test]
fn memory_is_bounded_and_the_oldest_key_goes() {
    let (keys, gate) = (Keys::new(10), gate());
    let hot = key("hot");
    let step = |first| move |_| Ok::<_, ()>(first..first + 1000);
    assert_eq!(next(&keys.find(&hot), &gate, step(0)), Ok(0));
    for n in 0..100 {
        let cold = key(&format!("cold{n}"));
        assert_eq!(next(&keys.find(&cold), &gate, step(n)), Ok(n));
        // Its step is still there: it was used just now.
        assert_eq!(next(&keys.find(&hot), &gate, step(5000)), Ok(n + 1));
        assert!(keys.settled_len() <= 10);
    }
    assert_eq!(next(&keys.find(&key("cold0")), &gate, step(500)), Ok(500));
}

#[test]
fn numbers_of_a_row_that_was_set_back_are_not_given_twice() {
    let (key, gate) = (Key::default(), gate());
    let take = |first: u64| {
        let step = |size: u32| Ok::<_, ()>(first..first + u64::from(size));
        key.take(10, &gate, LIMITS, step)
    };
    assert_eq!(take(300), Ok(300..310));
    assert_eq!(take(290), Err(NextError::SetBack));
    assert_eq!(take(300), Err(NextError::SetBack));
    assert_eq!(take(310), Ok(310..320));
}
