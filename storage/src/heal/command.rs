//! Runs a command that may hang, and may be of another user: it gets a time, and is never run twice
//! at once.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base::Stop;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// Longest answer that is taken, in bytes.
const ANSWER_MAX: usize = 1 << 20;
/// How soon a stop is noticed.
const LOOK: Duration = Duration::from_millis(250);
/// How long one that was killed gets to be gone.
const END: Duration = Duration::from_secs(1);

/// Asks one command at a time.
#[derive(Debug, Default)]
pub(super) struct Asker {
    /// The last one, if it would not end.
    stuck: Option<Child>,
}

impl Asker {
    /// What the command prints, on whichever stream.
    ///
    /// # Errors
    /// It cannot be run, takes longer than `limit`, says too much, or the last one still runs.
    pub(super) fn ask(
        &mut self,
        words: &[String],
        limit: Duration,
        stop: &Stop,
    ) -> Result<String, String> {
        let name = words.first().map_or("", String::as_str);
        if let Some(last) = &mut self.stuck
            && matches!(last.try_wait(), Ok(None))
        {
            return Err(format!("{name}: the last one still runs"));
        }
        self.stuck = None;
        let deadline = Instant::now() + limit;
        let (mut child, reader) = spawn(words).map_err(|e| format!("cannot run {name}: {e}"))?;
        let said = read(reader, deadline, stop);
        let gone = said.is_ok() && has_ended(&child, deadline);
        if !gone && !end(&child) {
            self.stuck = Some(child);
        } else {
            // It has ended: this takes its remains away, and its code tells no more than its words.
            drop(child.wait());
        }
        said.map_err(|why| format!("{name}: {why}"))
    }
}

/// Starts it in a process group of its own, so that what it starts can be ended with it.
fn spawn(words: &[String]) -> io::Result<(Child, PipeReader)> {
    let (reader, writer) = io::pipe()?;
    let child = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .spawn()?;
    Ok((child, reader))
}

fn read(mut reader: PipeReader, deadline: Instant, stop: &Stop) -> Result<String, String> {
    let mut answer = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if stop.is_tripped() {
            return Err("broken off by a stop".to_owned());
        }
        if left.is_zero() {
            return Err("does not answer in time".to_owned());
        }
        if !is_ready(&reader, left.min(LOOK)) {
            continue;
        }
        let mut bytes = [0; 4096];
        match reader.read(&mut bytes) {
            Ok(0) => return Ok(String::from_utf8_lossy(&answer).into_owned()),
            Ok(n) => answer.extend_from_slice(&bytes[..n]),
            Err(e) => return Err(e.to_string()),
        }
        if answer.len() > ANSWER_MAX {
            return Err("says too much".to_owned());
        }
    }
}

fn is_ready(fd: &impl AsFd, limit: Duration) -> bool {
    let timeout = Timespec {
        tv_sec: limit.as_secs().cast_signed(),
        tv_nsec: limit.subsec_nanos().into(),
    };
    !matches!(
        poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout)),
        Ok(0)
    )
}

/// Kills it with all that it started; tells whether it is gone.
fn end(child: &Child) -> bool {
    // Refused if it has become somebody else; gone if it has just ended.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    has_ended(child, Instant::now() + END)
}

fn has_ended(child: &Child, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    match pidfd_open(Pid::from_child(child), PidfdFlags::empty()) {
        Ok(fd) => is_ready(&fd, left),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn ask(limit: Duration, words: &[&str]) -> Result<String, String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let mut asker = Asker::default();
        let answer = asker.ask(&words, limit, &Stop::new());
        assert!(asker.stuck.is_none());
        answer
    }

    #[test]
    fn both_streams_are_read_and_a_failure_speaks_for_itself() {
        let said = ask(LONG, &["sh", "-c", "echo out; echo err >&2; exit 3"]);
        assert_eq!(said.unwrap(), "out\nerr\n");
        let none = ask(LONG, &["/nonexistent/gluster"]).unwrap_err();
        assert!(
            none.starts_with("cannot run /nonexistent/gluster: No such"),
            "{none}"
        );
        let much = ask(LONG, &["cat", "/dev/zero"]);
        assert_eq!(much.unwrap_err(), "cat: says too much");
    }

    #[test]
    fn one_that_hangs_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! >'{}'; wait", pid.display());
        // As soon as it can be, but not before the script has written.
        let mut limit = Duration::from_millis(100);
        let inner = loop {
            let said = ask(limit, &["sh", "-c", &script]);
            assert_eq!(said.unwrap_err(), "sh: does not answer in time");
            match std::fs::read_to_string(&pid)
                .unwrap_or_default()
                .trim()
                .parse::<i32>()
            {
                Ok(inner) => break inner,
                Err(_) => limit *= 2,
            }
        };
        let inner = Pid::from_raw(inner).unwrap();
        match pidfd_open(inner, PidfdFlags::empty()) {
            Ok(fd) => assert!(is_ready(&fd, LONG)),
            Err(e) => assert_eq!(e, rustix::io::Errno::SRCH),
        }
    }

    #[test]
    fn a_stop_ends_the_waiting() {
        let stop = Stop::new();
        stop.trip();
        let words = ["sleep".to_owned(), "600".to_owned()];
        let said = Asker::default().ask(&words, LONG, &stop);
        assert_eq!(said.unwrap_err(), "sleep: broken off by a stop");
    }
}
