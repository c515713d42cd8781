//! Section `[mysql]`: connections to the servers of a MySQL database.

use std::fs;
use std::io;
use std::path::PathBuf;

use base::config::{ConfigError, check_nonzero};
use base::secret::{Secret, read_secret};
use base::units::Period;
use serde::{Deserialize, Serialize};

use crate::DatabaseUrl;

/// Highest value of `connections_max`.
const CONNECTIONS_MAX: u32 = 1024;

/// Section `[mysql]`; other engines ignore it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MysqlConfig {
    /// The file with the password, read again for each connection; absent: no password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Whether connections are encrypted.
    pub tls: Tls,
    /// Certificates (PEM) of the authorities for the servers; absent: the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<PathBuf>,
    /// Longest time to connect to one server.
    pub connect_timeout: Period,
    /// Longest time of a reply of the server.
    pub read_timeout: Period,
    /// Longest time to send a statement.
    pub write_timeout: Period,
    /// Most connections at a time, 1 to 1024.
    pub connections_max: u32,
}

/// Whether connections are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Never.
    Off,
    /// Always, and the server's certificate must be valid for its name in the URL.
    Required,
}

impl Default for MysqlConfig {
    fn default() -> MysqlConfig {
        MysqlConfig {
            password_file: None,
            tls: Tls::Off,
            tls_ca: None,
            connect_timeout: Period::from_secs(3),
            read_timeout: Period::from_secs(10),
            write_timeout: Period::from_secs(10),
            connections_max: 16,
        }
    }
}

impl MysqlConfig {
    /// Refuses values that cannot be used with the database at `url`.
    ///
    /// # Errors
    /// A value out of range, or a password file that is missing or that others may read.
    pub fn check(&self, url: &DatabaseUrl) -> Result<(), ConfigError> {
        for (key, period) in [
            ("mysql.connect_timeout", self.connect_timeout),
            ("mysql.read_timeout", self.read_timeout),
            ("mysql.write_timeout", self.write_timeout),
        ] {
            check_nonzero(key, period.is_zero())?;
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections_max) {
            let reason = format!("is not between 1 and {CONNECTIONS_MAX}");
            return Err(ConfigError::invalid("mysql.connections_max", reason));
        }
        if !matches!(url, DatabaseUrl::Mysql(_)) {
            return Ok(());
        }
        if let Some(path) = &self.tls_ca {
            let invalid = |e: io::Error| format!("cannot read {}: {e}", path.display());
            fs::File::open(path).map_err(|e| ConfigError::invalid("mysql.tls_ca", invalid(e)))?;
        }
        match self.password() {
            Ok(_) => Ok(()),
            Err(e) => Err(ConfigError::invalid("mysql.password_file", e.to_string())),
        }
    }

    /// Reads the password from its file.
    pub(super) fn password(&self) -> io::Result<Option<Secret>> {
        let Some(path) = &self.password_file else {
            return Ok(None);
        };
        let read = read_secret(path);
        let told = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        read.map(Some).map_err(told)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mysql() -> DatabaseUrl {
        "mysql://u@h/x".parse().unwrap()
    }

    #[test]
    fn a_password_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, "se cret\r\nrest\n").unwrap();
        let config = MysqlConfig {
            password_file: Some(path.clone()),
            ..MysqlConfig::default()
        };
        for mode in [0o640, 0o604, 0o660, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = config.check(&mysql()).unwrap_err().to_string();
            assert!(
                refused.contains("setting mysql.password_file:"),
                "{refused}"
            );
            assert!(refused.contains("run chmod 600 /"), "{refused}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        config.check(&mysql()).unwrap();
        assert_eq!(config.password().unwrap().unwrap().expose(), "se cret");
        assert!(!format!("{:?}", config.password()).contains("cret"));
        fs::remove_file(&path).unwrap();
        assert!(config.check(&mysql()).is_err());
        config.check(&"sqlite:a.db".parse().unwrap()).unwrap();
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_its_key() {
        for (text, key) in [
            ("connect_timeout = \"0s\"", "mysql.connect_timeout"),
            ("read_timeout = \"0s\"", "mysql.read_timeout"),
            ("connections_max = 0", "mysql.connections_max"),
            ("connections_max = 1025", "mysql.connections_max"),
            ("tls_ca = \"/none/such\"", "mysql.tls_ca"),
        ] {
            let config: MysqlConfig = toml::from_str(text).unwrap();
            let refused = config.check(&mysql()).unwrap_err().to_string();
            assert!(refused.contains(&format!("setting {key}:")), "{refused}");
        }
        assert!(toml::from_str::<MysqlConfig>("tls = \"perhaps\"").is_err());
        assert!(toml::from_str::<MysqlConfig>("password = \"x\"").is_err());
    }
}
