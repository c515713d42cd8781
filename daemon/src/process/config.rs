//! Section `[process]`.

use std::fmt;
use std::path::PathBuf;

use base::config::{ConfigError, check_nonzero};
use serde::{Deserialize, Serialize};

use super::user::Identity;

/// Section `[process]`: user, limits and files of the process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessConfig {
    /// The user to become when started as root; absent: no change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The group to become; absent: the user's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The pid file, which is locked while the process runs; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid_file: Option<PathBuf>,
    /// Base of relative paths; absent: the folder it was started in, and `/` in the background.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<PathBuf>,
    /// Permission bits that new files do not get.
    pub umask: Umask,
    /// Limit of open files; absent: the hard limit of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
}

impl ProcessConfig {
    /// Refuses unusable values.
    ///
    /// # Errors
    /// A group without a user, or no open files.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.group.is_some() && self.user.is_none() {
            return Err(ConfigError::invalid(
                "process.group",
                "needs process.user, too",
            ));
        }
        check_nonzero("process.open_files", self.open_files == Some(0))
    }

    /// The user and group by number, if they are to be changed.
    ///
    /// # Errors
    /// There is no such user or group.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, ConfigError> {
        let group = self.group.as_deref();
        let find = |user: &String| Identity::find(user, group);
        self.user.as_ref().map(find).transpose()
    }
}

/// Permission bits that new files and folders do not get, written in octal, as in `"027"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Umask(u32);

impl Umask {
    /// The bits, at most 0o777.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl Default for Umask {
    /// The group may read, others have no access.
    fn default() -> Umask {
        Umask(0o027)
    }
}

impl TryFrom<String> for Umask {
    type Error = String;

    fn try_from(text: String) -> Result<Umask, String> {
        let bits = u32::from_str_radix(&text, 8)
            .ok()
            .filter(|bits| *bits <= 0o777);
        bits.map(Umask)
            .ok_or_else(|| format!("{text:?} is not an octal number up to 777"))
    }
}

impl fmt::Display for Umask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}

impl From<Umask> for String {
    fn from(umask: Umask) -> String {
        umask.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ProcessConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn a_umask_is_octal() {
        let config = parse("umask = \"077\"").unwrap();
        assert_eq!(config.umask.bits(), 0o077);
        assert!(toml::to_string(&config).unwrap().contains("\"077\""));
        assert_eq!(ProcessConfig::default().umask.to_string(), "027");
        for wrong in ["umask = \"028\"", "umask = \"1000\"", "umask = \"\""] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains("octal"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_its_key() {
        for (text, key) in [
            ("group = \"tnv\"", "process.group"),
            ("open_files = 0", "process.open_files"),
        ] {
            let error = parse(text).unwrap().check().unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn users_and_groups_are_looked_up_by_name() {
        let identity = |text: &str| parse(text).unwrap().identity();
        assert!(identity("").unwrap().is_none());
        assert!(identity("user = \"root\"").unwrap().is_some());
        for (text, words) in [
            ("user = \"no-such-user\"", "process.user"),
            (
                "user = \"root\"\ngroup = \"no-such-group\"",
                "process.group",
            ),
        ] {
            let error = identity(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
