//! The settings of a daemon: its own ones, and those that all daemons share. A configuration file is read
//! before any thread exists, and again on SIGHUP.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::path::Path;

use base::config::ConfigError;
use base::toml_error;
use net::access_control::AccessSettings;
use net::{ServerConfig, listen};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;
use toml::de::{DeTable, Deserializer as TomlDeserializer};

use crate::job::Job;
use crate::logging::LogConfig;
use crate::process::ProcessConfig;
use crate::status::StatusConfig;

/// The settings that only one daemon has.
pub trait Settings: DeserializeOwned + Serialize + Default + Clone {
    /// The default port, on all IPv4 addresses.
    const PORT: u16;
    /// The default status port, on the loopback address.
    const STATUS_PORT: u16;

    /// The place for the settings that decide who is served; none on a server that serves everybody. Their keys are
    /// read apart from the others, see [`Config::parse`].
    fn access(&mut self) -> Option<&mut AccessSettings> {
        None
    }

    /// The settings after a reload of `new`: those that a running daemon can change are from `new`, the
    /// others need a restart and are from `self`.
    #[must_use]
    fn reloaded(&self, new: &Self) -> Self;

    /// Refuses unusable values.
    ///
    /// # Errors
    /// The first of them, by its key.
    fn check(&self) -> Result<(), ConfigError>;

    /// Tells what is open to whom, one sentence an element.
    fn access_summary(&self) -> Vec<String>;

    /// Jobs that the daemon can do instead of serving.
    fn jobs() -> Vec<Job<Config<Self>>> {
        Vec::new()
    }
}

/// All settings of a daemon. It dereferences to its own ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Config<S> {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The settings that only this daemon has.
    #[serde(flatten)]
    pub own: S,
    /// Threads and connections.
    pub server: ServerConfig,
    /// The status port.
    pub status: StatusConfig,
    /// The logs.
    pub log: LogConfig,
    /// The process: user, pid file, limits.
    pub process: ProcessConfig,
}

/// The part of a file that all daemons share.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Shared {
    #[serde(deserialize_with = "some_address")]
    listen: Option<SocketAddr>,
    server: ServerConfig,
    status: StatusConfig,
    log: LogConfig,
    process: ProcessConfig,
}

/// The keys of [`Shared`].
const SHARED: [&str; 5] = ["listen", "server", "status", "log", "process"];

fn some_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    listen::deserialize(deserializer).map(Some)
}

/// The keys of [`AccessSettings`], on a server that has them.
fn access_keys<S: Settings>() -> &'static [&'static str] {
    match S::default().access() {
        Some(_) => &AccessSettings::KEYS,
        None => &[],
    }
}

/// Takes these keys out of a table.
fn take<'a>(table: &mut Spanned<DeTable<'a>>, keys: &[&str]) -> TomlDeserializer<'a> {
    let taken = keys
        .iter()
        .filter_map(|key| table.get_mut().remove_entry(*key));
    let taken = taken.collect();
    TomlDeserializer::from(Spanned::new(table.span(), taken))
}

impl<S: Settings> Config<S> {
    /// These settings, and the defaults of those that all daemons share.
    pub fn of(own: S) -> Config<S> {
        Config::new(Shared::default(), own)
    }

    fn new(shared: Shared, own: S) -> Config<S> {
        let listen = (Ipv4Addr::UNSPECIFIED, S::PORT).into();
        Config {
            listen: shared.listen.unwrap_or(listen),
            own,
            server: shared.server,
            status: shared.status.or_loopback(S::STATUS_PORT),
            log: shared.log,
            process: shared.process,
        }
    }

    /// Reads settings in TOML. The table is split by key: with `flatten` serde would forget the line of an unknown key.
    ///
    /// # Errors
    /// No TOML, an unknown key or a value of the wrong kind; one line that names the line and the key.
    pub fn parse(text: &str) -> Result<Config<S>, String> {
        let why = |error: toml::de::Error| toml_error(text, error.message(), error.span());
        let mut own = DeTable::parse(text).map_err(why)?;
        let access_keys = access_keys::<S>();
        let shared = take(&mut own, &SHARED);
        let access = take(&mut own, access_keys);
        let keys: Vec<_> = own.get_ref().keys().map(|key| Some(key.span())).collect();
        let shared = Shared::deserialize(shared).map_err(why)?;
        let access = AccessSettings::deserialize(access).map_err(why)?;
        let mut own = S::deserialize(TomlDeserializer::from(own)).map_err(|error| {
            let others = access_keys.iter().chain(&SHARED);
            let others: String = others.map(|key| format!(", `{key}`")).collect();
            let is_unknown_key = keys.contains(&error.span());
            why(error) + if is_unknown_key { &others } else { "" }
        })?;
        if let Some(place) = own.access() {
            *place = access;
        }
        Ok(Config::new(shared, own))
    }

    /// Reads and checks the settings of a TOML file; the defaults without one.
    ///
    /// # Errors
    /// The file cannot be read; or as for [`Config::parse`] and [`Config::check`].
    pub fn load(path: Option<&Path>) -> Result<Config<S>, ConfigError> {
        let config: Config<S> = path.map_or_else(|| Ok(Config::default()), Config::read)?;
        config.check()?;
        Ok(config)
    }

    fn read(path: &Path) -> Result<Config<S>, ConfigError> {
        let path = path.to_owned();
        match fs::read_to_string(&path) {
            Ok(text) => Config::parse(&text).map_err(|reason| ConfigError::Parse { path, reason }),
            Err(source) => Err(ConfigError::Read { path, source }),
        }
    }

    /// The text that `--check-config` prints: [`Settings::access_summary`] as comments of TOML, then the settings.
    ///
    /// # Errors
    /// As for [`Config::effective`].
    pub fn checked(&self) -> Result<String, ConfigError> {
        let lines = self.own.access_summary().into_iter();
        let lines = lines.chain(self.status.summary());
        let comments: String = lines.map(|line| format!("# {line}\n")).collect();
        Ok(comments + &self.effective()?)
    }

    /// The settings as TOML, defaults included.
    ///
    /// # Errors
    /// A value that TOML cannot express, such as a path that is not UTF-8.
    pub fn effective(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(not_printed)
    }

    /// Refuses unusable values.
    ///
    /// # Errors
    /// The first of them, by its key.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.server.check()?;
        self.own.check()?;
        self.process.check()
    }

    /// Jobs that the daemon can do instead of serving.
    pub fn jobs() -> Vec<Job<Config<S>>> {
        S::jobs()
    }

    /// The settings after a reload of `new`, see [`Settings::reloaded`].
    #[must_use]
    pub(crate) fn reloaded(&self, new: &Config<S>) -> Config<S> {
        Config {
            own: self.own.reloaded(&new.own),
            server: self.server.reloaded(&new.server),
            log: new.log.clone(),
            ..self.clone()
        }
    }
}

impl<S: Settings> Default for Config<S> {
    fn default() -> Config<S> {
        Config::of(S::default())
    }
}

impl<S> Deref for Config<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.own
    }
}

impl<S> DerefMut for Config<S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.own
    }
}

/// An error for settings that TOML cannot express.
pub(crate) fn not_printed(error: toml::ser::Error) -> ConfigError {
    ConfigError::Print(Box::new(error))
}

#[cfg(test)]
mod tests;
