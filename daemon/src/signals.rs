//! Signals: SIGTERM and SIGINT stop the daemon, a second one ends the process at once, SIGHUP calls the
//! reload hooks. A thread waits for them; no work is done in a signal handler. Rust's runtime ignores
//! SIGPIPE.

use std::fmt;
use std::io;
use std::process;
use std::time::{Duration, Instant};

use base::Stop;
use base::thread::{self, Thread};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

/// A hook for SIGHUP, called on the signal thread. It must not take long: it delays a stop.
pub type Hook = Box<dyn Fn() + Send>;

/// How long [`SignalThread::close`] waits for a hook.
const HOOK_END: Duration = Duration::from_secs(2);

/// The thread that waits for signals.
#[must_use = "without close() the thread is never joined"]
pub struct SignalThread {
    handle: Handle,
    thread: Thread,
}

/// Starts the thread. From here on the signals do not end the process by default.
///
/// # Errors
/// The system refuses a handler or another thread.
pub fn install(stop: &Stop, on_hangup: Vec<Hook>) -> io::Result<SignalThread> {
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let handle = signals.handle();
    let stop = stop.clone();
    let thread = thread::spawn("signals", move || listen(signals, &stop, &on_hangup))?;
    Ok(SignalThread { handle, thread })
}

impl SignalThread {
    /// Ends the thread and joins it, unless a hook blocks it. Later signals are ignored.
    pub fn close(self) {
        self.handle.close();
        thread::join_or_leave([self.thread], Instant::now() + HOOK_END);
    }
}

impl fmt::Debug for SignalThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignalThread")
    }
}

fn listen(mut signals: Signals, stop: &Stop, on_hangup: &[Hook]) {
    let mut stopping = false;
    for signal in signals.forever() {
        if signal == SIGHUP {
            call_hooks(on_hangup);
            continue;
        }
        if stopping {
            exit_at_once();
        }
        stopping = true;
        stop.trip();
        log::info!("stopping (signal {signal})");
    }
}

fn call_hooks(hooks: &[Hook]) {
    for hook in hooks {
        thread::catch("the signal thread goes on", hook);
    }
}

#[allow(
    clippy::exit,
    reason = "a second signal of the operator: whatever blocks the stop has to be cut off"
)]
fn exit_at_once() -> ! {
    log::warn!("second signal, exiting at once");
    // Bounded: a blocked log does not keep the process.
    log::logger().flush();
    process::exit(1)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    const CHILD: &str = "TNV_TEST_SIGNALS_CHILD";

    /// Not a test by itself: the process that the tests below send signals to.
    #[test]
    fn child() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let stop = Stop::new();
        let hooks: Vec<Hook> = vec![
            Box::new(|| panic!("on purpose")),
            Box::new(|| println!("\nreloaded")),
        ];
        let signals = install(&stop, hooks).unwrap();
        println!("\nready");
        stop.wait_forever();
        println!("\nstopping");
        let mut line = String::new();
        io::stdin().read_line(&mut line).unwrap();
        signals.close();
    }

    /// Not a test by itself: a process whose hook never returns.
    #[test]
    fn held_child() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let hooks: Vec<Hook> = vec![Box::new(|| {
            println!("\nheld");
            loop {
                std::thread::park();
            }
        })];
        let signals = install(&Stop::new(), hooks).unwrap();
        println!("\nready");
        let mut line = String::new();
        io::stdin().read_line(&mut line).unwrap();
        let (closed, is_closed) = crossbeam_channel::bounded(1);
        std::thread::spawn(move || {
            signals.close();
            closed.send(()).unwrap();
        });
        let limit = HOOK_END + Duration::from_secs(30);
        is_closed.recv_timeout(limit).unwrap();
    }

    fn start(name: &str) -> (Child, impl FnMut(&str)) {
        let name = format!("signals::tests::{name}");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name.as_str(), "--exact", "--nocapture"])
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let wait_for = move |expected: &str| {
            assert!(lines.any(|line| line.unwrap() == expected), "{expected}");
        };
        (child, wait_for)
    }

    fn send(child: &Child, signal: Signal) {
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    #[test]
    fn a_signal_stops_and_a_hangup_calls_every_hook() {
        let (mut child, mut wait_for) = start("child");
        wait_for("ready");
        send(&child, Signal::HUP);
        wait_for("reloaded");
        send(&child, Signal::HUP);
        wait_for("reloaded");
        send(&child, Signal::TERM);
        wait_for("stopping");
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn a_second_signal_exits_at_once() {
        let (mut child, mut wait_for) = start("child");
        wait_for("ready");
        // Kept open here, or `wait` would close it and the child end by itself.
        let stdin = child.stdin.take();
        send(&child, Signal::INT);
        wait_for("stopping");
        send(&child, Signal::TERM);
        assert_eq!(child.wait().unwrap().code(), Some(1));
        drop(stdin);
    }

    #[test]
    fn a_stop_leaves_a_hook_behind_that_does_not_return() {
        let (mut child, mut wait_for) = start("held_child");
        wait_for("ready");
        send(&child, Signal::HUP);
        wait_for("held");
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}
