//! The destination of a log, as configured.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The values of `log.file` and `log.access_file`: the path of a file, `"syslog"` or
/// `"syslog:FACILITY"`, or `"off"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LogTarget {
    /// A file that is appended to.
    File(PathBuf),
    /// The syslog daemon.
    Syslog(Facility),
    /// Discards lines.
    Off,
}

/// A syslog facility (RFC 3164, 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facility(u8);

/// The facilities that daemons use, with their numbers.
const FACILITIES: [(&str, u8); 10] = [
    ("user", 1),
    ("daemon", 3),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

impl Facility {
    /// `daemon`.
    pub const DAEMON: Facility = Facility(3);

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }

    fn find(name: &str) -> Result<Facility, String> {
        let known = FACILITIES.iter().find(|(known, _)| *known == name);
        let names: Vec<&str> = FACILITIES.iter().map(|(name, _)| *name).collect();
        known
            .map(|(_, number)| Facility(*number))
            .ok_or_else(|| format!("{name:?} is none of the facilities {}", names.join(", ")))
    }
}

impl fmt::Display for Facility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FACILITIES.iter().find(|(_, number)| *number == self.0);
        f.write_str(name.map_or("daemon", |(name, _)| name))
    }
}

impl LogTarget {
    /// The default of the access log: beside the main log, so that `storage.log` has a
    /// `storage-access.log`.
    pub(crate) fn of_access(&self) -> LogTarget {
        match self {
            LogTarget::File(path) => LogTarget::File(beside(path)),
            other => other.clone(),
        }
    }
}

fn beside(main: &Path) -> PathBuf {
    let mut name = main.file_stem().unwrap_or_default().to_owned();
    name.push("-access");
    if let Some(extension) = main.extension() {
        name.push(".");
        name.push(extension);
    }
    main.with_file_name(name)
}

impl TryFrom<String> for LogTarget {
    type Error = String;

    fn try_from(text: String) -> Result<LogTarget, String> {
        match text.as_str() {
            "" => Err("a log file has a name".to_owned()),
            "off" => Ok(LogTarget::Off),
            "syslog" => Ok(LogTarget::Syslog(Facility::DAEMON)),
            text => match text.strip_prefix("syslog:") {
                Some(name) => Facility::find(name).map(LogTarget::Syslog),
                None => Ok(LogTarget::File(text.into())),
            },
        }
    }
}

impl From<LogTarget> for String {
    fn from(target: LogTarget) -> String {
        match target {
            LogTarget::File(path) => path.to_string_lossy().into_owned(),
            LogTarget::Syslog(facility) => format!("syslog:{facility}"),
            LogTarget::Off => "off".to_owned(),
        }
    }
}

impl From<PathBuf> for LogTarget {
    fn from(path: PathBuf) -> LogTarget {
        LogTarget::File(path)
    }
}

impl From<&str> for LogTarget {
    fn from(path: &str) -> LogTarget {
        LogTarget::File(path.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<LogTarget, String> {
        text.to_owned().try_into()
    }

    #[test]
    fn files_syslog_and_nowhere_are_told_apart() {
        assert_eq!(parse("off").unwrap(), LogTarget::Off);
        let daemon = LogTarget::Syslog(Facility::DAEMON);
        assert_eq!(parse("syslog").unwrap(), daemon);
        assert_eq!(parse("syslog:daemon").unwrap(), daemon);
        assert_eq!(parse("./syslog").unwrap(), "./syslog".into());
        for wrong in ["", "syslog:", "syslog:kern"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        for (name, number) in FACILITIES {
            let target = parse(&format!("syslog:{name}")).unwrap();
            assert_eq!(target, LogTarget::Syslog(Facility(number)));
            assert_eq!(String::from(target), format!("syslog:{name}"));
        }
    }

    #[test]
    fn the_access_log_is_beside_the_main_log() {
        for (main, access) in [
            (
                "/var/log/tnv/storage.log",
                "/var/log/tnv/storage-access.log",
            ),
            ("log", "log-access"),
            ("a.b/c.d.log", "a.b/c.d-access.log"),
            ("syslog:local1", "syslog:local1"),
            ("off", "off"),
        ] {
            let target = parse(main).unwrap().of_access();
            assert_eq!(String::from(target), access);
        }
    }
}
