//! Named threads whose panics are logged and which can be joined within a deadline. The owner of a
//! handle has to join the thread.

use std::any::Any;
use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError};

/// A running thread. Dropping the handle detaches the thread, so keep it and join it.
#[derive(Debug)]
#[must_use = "a thread that nobody joins outlives the stop"]
pub struct Thread {
    name: String,
    handle: JoinHandle<()>,
    /// Disconnects at the end of the work, also after a panic.
    ended: Receiver<Infallible>,
}

impl Thread {
    /// Whether its work has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Waits for its end until `deadline`; returns its name if it has not ended by then.
    fn join_until(self, deadline: Instant) -> Result<(), String> {
        let Err(RecvTimeoutError::Disconnected) = self.ended.recv_deadline(deadline) else {
            return Err(self.name);
        };
        if self.handle.join().is_err() {
            // Panics of the work are caught: this one is from the destructor of a thread local.
            log::error!("thread {} panicked while it ended", self.name);
        }
        Ok(())
    }
}

/// Starts a thread. A panic in `work` is logged with the thread's name and ends that thread only.
/// The kernel shows the first 15 bytes of `name`.
///
/// # Errors
/// The system refuses another thread.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    let (ending, ended) = crossbeam_channel::bounded(0);
    let name = name.to_owned();
    let handle = Builder::new().name(name.clone()).spawn(move || {
        // Lives until the work has ended and its panic has been logged.
        let _ending = ending;
        catch("the thread ends", work);
    })?;
    Ok(Thread {
        name,
        handle,
        ended,
    })
}

/// Joins threads until `deadline`; returns the names of those that are still running.
pub fn join_until(threads: impl IntoIterator<Item = Thread>, deadline: Instant) -> Vec<String> {
    threads
        .into_iter()
        .filter_map(|thread| thread.join_until(deadline).err())
        .collect()
}

/// Joins threads until `deadline`; warns of those that are still running.
pub fn join_or_leave(threads: impl IntoIterator<Item = Thread>, deadline: Instant) {
    for name in join_until(threads, deadline) {
        log::warn!("thread {name} did not end, it is left behind");
    }
}

/// Runs `work`, which has no deadline of its own, on a new thread and returns its result. A thread that is
/// late is left running.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] at the deadline; `work` panics; or the system refuses a thread.
pub fn run_until<T: Send + 'static>(
    deadline: Instant,
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, result) = crossbeam_channel::bounded(1);
    // After the deadline the receiver is gone.
    let thread = spawn(name, move || drop(sender.send(work())))?;
    drop(thread);
    result.recv_deadline(deadline).map_err(|error| match error {
        RecvTimeoutError::Timeout => io::Error::new(io::ErrorKind::TimedOut, "it took too long"),
        RecvTimeoutError::Disconnected => io::Error::other("its thread panicked"),
    })
}

/// Runs `work`; a panic is logged with the running thread's name and `consequence`. `None` after
/// a panic.
pub fn catch<T>(consequence: &str, work: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => Some(value),
        Err(panic) => {
            let current = std::thread::current();
            let name = current.name().unwrap_or("unnamed");
            let text = panic_text(panic.as_ref());
            log::error!("thread {name} panicked, {consequence}: {text}");
            None
        }
    }
}

/// The message of a panic.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "no message"
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A deadline that has passed ends a wait by then, also on a loaded machine.
    const SOON: Duration = Duration::from_secs(15);

    #[test]
    fn threads_have_their_name() {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let thread = spawn("named", move || {
            let name = std::thread::current().name().map(str::to_owned);
            sender.send(name).unwrap();
        })
        .unwrap();
        assert_eq!(receiver.recv().unwrap().as_deref(), Some("named"));
        let deadline = Instant::now() + Duration::from_secs(30);
        assert_eq!(join_until([thread], deadline), Vec::<String>::new());
    }

    #[test]
    fn a_panic_ends_the_thread_and_no_other() {
        let thread = spawn("panics", || panic!("on purpose")).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        assert_eq!(join_until([thread], deadline), Vec::<String>::new());
    }

    #[test]
    fn the_deadline_names_who_still_runs() {
        let (release, wait) = crossbeam_channel::bounded::<()>(0);
        let quick = spawn("quick", || {}).unwrap();
        let ended = quick.ended.clone();
        let stuck = spawn("stuck", move || assert!(wait.recv().is_err())).unwrap();
        assert!(ended.recv().is_err());
        let began = Instant::now();
        assert_eq!(join_until([stuck, quick], began), ["stuck"]);
        assert!(began.elapsed() < SOON);
        drop(release);
    }

    #[test]
    fn who_does_not_end_in_time_is_left_running() {
        let (release, wait) = crossbeam_channel::bounded::<()>(0);
        let stuck = spawn("stuck", move || assert!(wait.recv().is_err())).unwrap();
        let ended = stuck.ended.clone();
        let began = Instant::now();
        join_or_leave([stuck], began + Duration::from_millis(10));
        assert!(began.elapsed() < SOON);
        assert!(ended.try_recv().unwrap_err().is_empty());
        drop(release);
        assert!(ended.recv().is_err());
    }

    #[test]
    fn work_that_does_not_return_costs_no_more_than_the_deadline() {
        let (release, held) = crossbeam_channel::bounded::<()>(0);
        let late = run_until(
            Instant::now() + Duration::from_millis(50),
            "late",
            move || {
                assert!(held.recv().is_err());
            },
        );
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(release);
    }

    #[test]
    fn the_result_of_work_is_passed_on_and_its_panic_is_an_error() {
        let deadline = Instant::now() + Duration::from_secs(60);
        assert_eq!(run_until(deadline, "works", || 7).unwrap(), 7);
        run_until(deadline, "panics", || panic!("on purpose")).unwrap_err();
    }

    #[test]
    fn panics_are_told_by_their_text() {
        let text = |work: fn()| {
            let panic = catch_unwind(work).unwrap_err();
            panic_text(panic.as_ref()).to_owned()
        };
        assert_eq!(text(|| panic!("plain")), "plain");
        assert_eq!(text(|| panic!("number {}", 7)), "number 7");
        assert_eq!(text(|| std::panic::panic_any(7)), "no message");
    }
}
