//! `--watch`: the screen, drawn anew in place, until it is interrupted.

use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use crossbeam_channel::{Receiver, bounded};
use rustix::termios::tcgetwinsize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::super::output::write_stdout;
use super::table;
use super::view::View;

/// Another screen without a cursor, so that the old one comes back as it was.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Draws the result of `gather` every `interval`, and after each change of the window's size. Without a
/// terminal it prints one table after another. It ends by a signal or when its reader closes.
pub(super) fn run(interval: Duration, gather: impl Fn() -> View) -> anyhow::Result<()> {
    if !io::stdout().is_terminal() {
        let resized = crossbeam_channel::never::<()>();
        loop {
            let lines = table::lines(&gather(), Utc::now().timestamp());
            write_stdout(format!("{}\n\n", lines.join("\n")).as_bytes())?;
            // The channel carries no message: the receive is a wait with a deadline.
            let _ = resized.recv_timeout(interval);
        }
    }
    let resized = watch_signals().context("cannot handle signals")?;
    write_stdout(ENTER.as_bytes())?;
    loop {
        let lines = table::lines(&gather(), Utc::now().timestamp());
        let drawn = std::time::Instant::now();
        loop {
            write_stdout(frame(&lines, size()).as_bytes())?;
            if resized.recv_deadline(drawn + interval).is_err() {
                break;
            }
        }
    }
}

/// Starts a thread that reports changes of the window's size, and restores the screen before a signal
/// ends the process, also during a request.
fn watch_signals() -> io::Result<Receiver<()>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGWINCH])?;
    let (sender, resized) = bounded(1);
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if signal == SIGWINCH {
                    // A queued message has the same effect.
                    let _ = sender.try_send(());
                    continue;
                }
                // There is no other output for an error of these writes.
                let _ = write_stdout(LEAVE.as_bytes());
                let _ = emulate_default_handler(signal);
            }
        })?;
    Ok(resized)
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

/// Writes the whole screen at once, which avoids flicker: each line over the old one, then the rest of
/// the old line cleared.
fn frame(lines: &[String], (columns, rows): (usize, usize)) -> String {
    let mut frame = String::from("\x1b[H");
    let shown = if lines.len() > rows {
        rows - 1
    } else {
        lines.len()
    };
    for (idx, line) in lines[..shown].iter().enumerate() {
        if idx > 0 {
            frame.push_str("\r\n");
        }
        frame.extend(line.chars().take(columns));
        frame.push_str("\x1b[K");
    }
    if shown < lines.len() {
        let text = format!("\r\n... and {} lines more", lines.len() - shown);
        frame.push_str(&text[..text.len().min(columns + 2)]);
        frame.push_str("\x1b[K");
    }
    frame.push_str("\x1b[J");
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_never_scrolls_the_screen() {
        let lines: Vec<String> = (0..50)
            .map(|n| format!("{n} {}", "x".repeat(200)))
            .collect();
        for (columns, rows) in [(80, 24), (10, 1), (1, 2), (300, 100)] {
            let frame = frame(&lines, (columns, rows));
            assert!(frame.matches("\r\n").count() < rows.max(2));
            for line in frame.split("\r\n") {
                let text = line
                    .replace("\x1b[H", "")
                    .replace("\x1b[K", "")
                    .replace("\x1b[J", "");
                assert!(text.chars().count() <= columns, "{text:?}");
            }
        }
    }
}
