//! Work on many files, several at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::context::Context;
use super::failures::Failures;

/// Files that are worked on at a time.
const THREADS: usize = 8;
/// Files of one step. If all of them fail, the rest is not tried.
const STEP: usize = 128;

/// The result of the work on a file that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// Nothing had to be done.
    Present,
}

/// Numbers of files.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) done: u64,
    pub(super) present: u64,
    pub(super) failed: u64,
}

/// The names of the work in messages: the kind of a file's name, and a verb.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub(super) kind: &'static str,
    pub(super) verb: &'static str,
}

/// Works on all items, in steps. Prints each failure.
///
/// # Errors
/// That of an item: the items after it are not tried.
pub(super) fn work_on<T: Sync>(
    context: &Context,
    failures: &mut Failures,
    names: Names,
    mut items: impl Iterator<Item = anyhow::Result<T>>,
    name_of: impl Fn(&T) -> String,
    work: impl Fn(&T) -> anyhow::Result<Outcome> + Sync,
) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    loop {
        let step: Vec<T> = items.by_ref().take(STEP).collect::<Result<_, _>>()?;
        if step.is_empty() {
            return Ok(counts);
        }
        let mut n_failed = 0;
        for (item, result) in step.iter().zip(work_on_step(&step, &work)) {
            match result {
                Ok(Outcome::Done) => counts.done += 1,
                Ok(Outcome::Present) => counts.present += 1,
                Err(error) => {
                    n_failed += 1;
                    let name = name_of(item);
                    let error = error.context(format!("{} {name}", names.verb));
                    failures.note_as_result(&context.output, (names.kind, &name), Err(error));
                }
            }
        }
        counts.failed += n_failed;
        if n_failed == step.len() as u64 {
            let diagnostics = context.output.diagnostics();
            diagnostics.note("the rest is not tried; run this again to go on");
            return Ok(counts);
        }
    }
}

/// The results of the work on all items of a step, in their order.
fn work_on_step<T: Sync>(
    step: &[T],
    work: &(impl Fn(&T) -> anyhow::Result<Outcome> + Sync),
) -> Vec<anyhow::Result<Outcome>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(step.len()));
    thread::scope(|scope| {
        for _ in 0..THREADS.min(step.len()) {
            scope.spawn(|| {
                while let idx = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(item) = step.get(idx)
                {
                    let result = work(item);
                    results.lock().push((idx, result));
                }
            });
        }
    });
    let mut results = results.into_inner();
    results.sort_unstable_by_key(|(idx, _)| *idx);
    results.into_iter().map(|(_, result)| result).collect()
}
