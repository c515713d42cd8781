//! The setting `database = "..."`: engine and location.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

const MYSQL_PORT: u16 = 3306;

/// The database of a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite:/path/file.db`; a relative path is below the working folder.
    Sqlite(PathBuf),
    /// `mysql://user@host:3306,host2:3306/name`.
    Mysql(MysqlUrl),
}

/// The servers of one MySQL or Galera database, in order of preference, without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MysqlUrl {
    /// The account.
    pub user: String,
    /// At least one server.
    pub hosts: Vec<MysqlHost>,
    /// The name of the database.
    pub database: String,
}

/// One MySQL server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MysqlHost {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
}

/// An invalid value. The message says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DatabaseUrlError {
    /// Neither engine.
    #[error("expected \"sqlite:/path/file.db\" or \"mysql://user@host:3306/name\", found \"{0}\"")]
    Engine(String),
    /// The path of a SQLite database is missing or no path.
    #[error("expected \"sqlite:/path/file.db\" with the path of a file, found \"{0}\"")]
    SqlitePath(String),
    /// A part of a MySQL URL is missing or malformed.
    #[error("expected \"mysql://user@host:3306,host2:3306/name\": {0}")]
    Mysql(&'static str),
    /// The text is not repeated: it holds a secret.
    #[error(
        "a password does not belong in the database URL: put it in a file of its own and name \
         that file in the configuration"
    )]
    Password,
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            // "sqlite://a.db" would be the absolute path /a.db to some and a.db to others; names
            // with a colon in front are SQLite's own (":memory:").
            if path.is_empty() || path.starts_with("//") || path.starts_with(':') {
                return Err(DatabaseUrlError::SqlitePath(text.to_owned()));
            }
            Ok(DatabaseUrl::Sqlite(path.into()))
        } else if let Some(rest) = text.strip_prefix("mysql://") {
            parse_mysql(rest).map(DatabaseUrl::Mysql)
        } else {
            // A URL of another engine may hold a password: only the scheme is repeated.
            let scheme = text.split("//").next().unwrap_or_default();
            Err(DatabaseUrlError::Engine(scheme.to_owned()))
        }
    }
}

fn parse_mysql(text: &str) -> Result<MysqlUrl, DatabaseUrlError> {
    let (user, rest) = text
        .rsplit_once('@')
        .ok_or(DatabaseUrlError::Mysql("the user is missing"))?;
    if user.contains(':') {
        return Err(DatabaseUrlError::Password);
    }
    if user.is_empty() || user.contains(['/', '@', ',']) {
        return Err(DatabaseUrlError::Mysql("the user is malformed"));
    }
    let (hosts, database) = rest.split_once('/').ok_or(DatabaseUrlError::Mysql(
        "the name of the database is missing",
    ))?;
    if database.is_empty() || database.contains(['/', '?', '#']) {
        return Err(DatabaseUrlError::Mysql(
            "the name of the database is malformed",
        ));
    }
    Ok(MysqlUrl {
        user: user.to_owned(),
        hosts: hosts.split(',').map(str::parse).collect::<Result<_, _>>()?,
        database: database.to_owned(),
    })
}

impl FromStr for MysqlHost {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<MysqlHost, DatabaseUrlError> {
        let malformed = DatabaseUrlError::Mysql("a host is malformed");
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(|| malformed.clone())?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        if host.is_empty() || host.contains(['[', ']', ' ']) {
            return Err(malformed);
        }
        let port = match port.strip_prefix(':') {
            Some(digits) => digits
                .parse()
                .map_err(|_| DatabaseUrlError::Mysql("a port is malformed"))?,
            None if port.is_empty() => MYSQL_PORT,
            None => return Err(malformed),
        };
        Ok(MysqlHost {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatabaseUrl::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            DatabaseUrl::Mysql(url) => url.fmt(f),
        }
    }
}

impl fmt::Display for MysqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mysql://{}@", self.user)?;
        for (n, host) in self.hosts.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}{host}")?;
        }
        write!(f, "/{}", self.database)
    }
}

impl fmt::Display for MysqlHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DatabaseUrl, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
        text.parse()
    }

    #[test]
    fn both_engines_are_read_and_printed() {
        for (text, printed) in [
            ("sqlite:/var/lib/tnv/a.db", "sqlite:/var/lib/tnv/a.db"),
            ("sqlite:a.db", "sqlite:a.db"),
            ("mysql://tnv@db/x", "mysql://tnv@db:3306/x"),
            (
                "mysql://u@10.0.0.1:3306,db2:3307,[::1]:1,[fe80::2]/tnv_storagedb",
                "mysql://u@10.0.0.1:3306,db2:3307,[::1]:1,[fe80::2]:3306/tnv_storagedb",
            ),
        ] {
            let url = parse(text).unwrap();
            assert_eq!(url.to_string(), printed);
            assert_eq!(parse(printed).unwrap(), url);
        }
    }

    #[test]
    fn a_mysql_url_is_kept_in_parts() {
        let DatabaseUrl::Mysql(url) = parse("mysql://u@a,b:7/name").unwrap() else {
            panic!("another engine");
        };
        let host = |host: &str, port| MysqlHost {
            host: host.to_owned(),
            port,
        };
        assert_eq!(url.hosts, [host("a", 3306), host("b", 7)]);
        assert_eq!((&*url.user, &*url.database), ("u", "name"));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "a.db",
            "/a.db",
            "postgres://u@h/x",
            "sqlite:",
            "sqlite://a.db",
            "sqlite::memory:",
            "mysql:u@h/x",
            "mysql://",
            "mysql://h/x",
            "mysql://@h/x",
            "mysql://u@/x",
            "mysql://u@h",
            "mysql://u@h/",
            "mysql://u@h,/x",
            "mysql://u@h:/x",
            "mysql://u@h:70000/x",
            "mysql://u@[::1/x",
            "mysql://u@::1/x",
            "mysql://u@h/x/y",
            "mysql://u@h/x?ssl=1",
            "mysql://u@[::1]7/x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in ["mysql://u:hunter2@h/x", "mysql://u:hunt@er2@h/x"] {
            assert_eq!(parse(text), Err(DatabaseUrlError::Password));
        }
        let text = parse("postgres://u:hunter2@h/x").unwrap_err().to_string();
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn it_is_a_string_in_toml() {
        #[derive(Serialize, Deserialize)]
        struct Config {
            database: DatabaseUrl,
        }
        let text = "database = \"sqlite:a.db\"\n";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(toml::to_string(&config).unwrap(), text);
        let wrong = toml::from_str::<Config>("database = \"oracle:x\"");
        assert!(
            wrong
                .err()
                .unwrap()
                .to_string()
                .contains("expected \"sqlite:")
        );
    }
}
