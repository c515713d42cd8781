use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::bounded;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn key(text: &str) -> IdKey {
    text.parse().unwrap()
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
    let (key, row) = (Key::default(), Row::default());
    let mut all: Vec<u64> = thread::scope(|scope| {
        let callers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| -> Vec<u64> {
                    (0..500).map(|_| key.next(|| row.step()).unwrap()).collect()
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
    let (key, row) = (Key::default(), Row::default());
    let (begun, begins) = bounded(1);
    let (release, wait) = bounded::<()>(0);
    let results: Vec<_> = thread::scope(|scope| {
        let first = scope.spawn(|| {
            key.next(|| {
                begun.send(()).unwrap();
                assert!(wait.recv_timeout(PATIENCE).is_err());
                Err("away")
            })
        });
        begins.recv_timeout(PATIENCE).unwrap();
        let (entered, enters) = bounded(4);
        let others: Vec<_> = (0..4)
            .map(|_| {
                let entered = entered.clone();
                let key = &key;
                scope.spawn(move || {
                    entered.send(()).unwrap();
                    key.next(|| -> Result<Range<u64>, &str> { Err("own") })
                })
            })
            .collect();
        for _ in 0..4 {
            enters.recv_timeout(PATIENCE).unwrap();
        }
        drop(release);
        let first = [first].into_iter();
        first
            .chain(others)
            .map(|call| call.join().unwrap())
            .collect()
    });
    assert_eq!(results[0], Err(NextError::Step("away")));
    // Who came before the failure shares it; who came after it tried again.
    for result in &results[1..] {
        assert!(
            matches!(result, Err(NextError::Shared | NextError::Step("own"))),
            "{result:?}"
        );
    }
    assert_eq!(key.next(|| row.step()), Ok(0));
}

#[test]
fn a_step_that_stands_still_holds_nobody_for_long() {
    let key = Key::default();
    let (begun, begins) = bounded(1);
    let (release, wait) = bounded::<()>(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            key.next(|| -> Result<Range<u64>, ()> {
                begun.send(()).unwrap();
                assert!(wait.recv_timeout(PATIENCE).is_err());
                Ok(0..1)
            })
        });
        begins.recv_timeout(PATIENCE).unwrap();
        // As if it had begun long ago.
        key.steps.lock().began = Instant::now().checked_sub(STEP_PATIENCE);
        let next = key.next(|| -> Result<Range<u64>, ()> { unreachable!("it is locked") });
        assert_eq!(next, Err(NextError::Slow));
        drop(release);
    });
    assert_eq!(key.next(|| Ok::<_, ()>(1..2)), Ok(1));
}

#[test]
fn a_panic_in_a_step_leaves_the_key_usable() {
    let key = Key::default();
    let step = || -> Result<Range<u64>, ()> { panic!("on purpose") };
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| key.next(step)));
    assert!(caught.is_err());
    assert_eq!(key.next(|| Ok::<_, ()>(5..6)), Ok(5));
}

#[test]
fn memory_is_bounded_and_the_oldest_key_goes() {
    let keys = Keys::new(10);
    let hot = key("hot");
    let step = |first| move || Ok::<_, ()>(first..first + 1000);
    assert_eq!(keys.find(&hot).next(step(0)), Ok(0));
    for n in 0..100 {
        let cold = key(&format!("cold{n}"));
        assert_eq!(keys.find(&cold).next(step(n)), Ok(n));
        // Its step is still there: it was used just now.
        assert_eq!(keys.find(&hot).next(step(5000)), Ok(n + 1));
        assert!(keys.settled_len() <= 10);
    }
    assert_eq!(keys.find(&key("cold0")).next(step(500)), Ok(500));
}
