//! The form of the lines of a log.

use std::fmt::{Display, Write};

use base::Escaped;
use chrono::{DateTime, Local, Utc};
use log::{Level, Record};
use net::timestamp;

use super::target::{Facility, LogTarget};

/// Capacity for a usual line, in bytes.
const LINE_LEN: usize = 256;
/// Longest line for syslog, in bytes; longer ones are truncated, as syslog daemons do.
const SYSLOG_LINE_MAX: usize = 8 << 10;

/// The form of the lines of one destination. Each line ends in a line feed and has no other one.
#[derive(Debug)]
pub(super) enum LineForm {
    /// Time, level, target and text.
    Plain,
    /// As syslog(3) sends them: RFC 3164 without the host name, which a local daemon knows.
    Syslog {
        facility: Facility,
        /// Program and process, as in `tnv-tracker[123]`.
        tag: String,
    },
}

impl LineForm {
    /// The form of the lines of `target`, or else of the standard error.
    pub(super) fn of(target: Option<&LogTarget>) -> LineForm {
        match target {
            Some(LogTarget::Syslog(facility)) => LineForm::Syslog {
                facility: *facility,
                tag: format!("{}[{}]", program(), std::process::id()),
            },
            _ => LineForm::Plain,
        }
    }

    /// A line of the main log. Syslog has its own time and level.
    pub(super) fn of_main(&self, now: DateTime<Utc>, record: &Record<'_>) -> String {
        let (level, target) = (record.level(), Escaped(record.target()));
        let text = Escaped(record.args());
        match self {
            LineForm::Plain => {
                let now = timestamp(now);
                self.line(level, format_args!("{now} {level:<5} {target}: {text}"))
            }
            LineForm::Syslog { .. } => self.line(level, format_args!("{target}: {text}")),
        }
    }

    /// A line of the access log: the text of the record only.
    pub(super) fn of_access(&self, record: &Record<'_>) -> String {
        self.line(Level::Info, Escaped(record.args()))
    }

    fn line(&self, level: Level, text: impl Display) -> String {
        let mut line = String::with_capacity(LINE_LEN);
        // Writing to a string does not fail.
        let _ = match self {
            LineForm::Plain => write!(line, "{text}"),
            LineForm::Syslog { facility, tag } => {
                let priority = u16::from(facility.number()) * 8 + severity(level);
                let time = Local::now().format("%b %e %H:%M:%S");
                write!(line, "<{priority}>{time} {tag}: {text}")
            }
        };
        if matches!(self, LineForm::Syslog { .. }) {
            line.truncate(line.floor_char_boundary(SYSLOG_LINE_MAX));
        }
        line.push('\n');
        line
    }
}

/// RFC 3164, 4.1.1.
fn severity(level: Level) -> u16 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

fn program() -> String {
    let path = std::env::args_os().next().map(std::path::PathBuf::from);
    let name = path.as_deref().and_then(std::path::Path::file_name);
    name.map_or_else(
        || "tnv".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_syslog_bears_priority_time_and_program() {
        let form = LineForm::of(Some(&LogTarget::Syslog(Facility::DAEMON)));
        let line = |level, text: &str| {
            let mut record = Record::builder();
            let record = record.level(level).target("tracker");
            form.of_main(Utc::now(), &record.args(format_args!("{text}")).build())
        };
        let short = line(Level::Warn, "lost");
        assert!(short.starts_with("<28>"), "{short}");
        let end = format!("[{}]: tracker: lost\n", std::process::id());
        assert!(short.ends_with(&end), "{short}");
        assert_eq!(short.as_bytes()[4 + 15], b' ', "{short}");
        let long = line(Level::Info, &"ä".repeat(SYSLOG_LINE_MAX));
        assert!(long.len() <= SYSLOG_LINE_MAX + 1);
    }
}
