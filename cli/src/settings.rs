//! Settings. The command line, which clap merges with the environment, overrides the settings file,
//! which overrides the defaults.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base::{Network, toml_error};
use client::{ClientConfig, PeerKeys};
use proto::{Address, AppId, DecodeError, FileId, FileKey, UserId};
use serde::{Deserialize, Deserializer};

use super::args::Global;
use super::exit::CliError;
use super::units::parse_duration;

const DEFAULT_APP: &str = "tnvideo";
/// The folder of the system's settings, as given to the build.
const SYSCONFDIR: &str = match option_env!("TNV_SYSCONFDIR") {
    Some(folder) => folder,
    None => "/etc",
};
const DEFAULT_TRACKER: &str = "127.0.0.1:21000";

/// All settings, checked.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) client: ClientConfig,
    pub(super) app: AppId,
    /// Absent if not given. `groups` needs none.
    user: Option<UserId>,
    /// The file with the administrators' key.
    pub(super) admin_key_file: Option<PathBuf>,
    /// The file with the key of signed URLs.
    pub(super) url_key_file: Option<PathBuf>,
    /// The status ports for `monitor`.
    pub(super) monitor: StatusPorts,
}

/// Status ports of servers that no tracker knows.
#[derive(Debug, Default)]
pub(super) struct StatusPorts {
    pub(super) idservers: Vec<Address>,
    pub(super) httpds: Vec<Address>,
}

/// The section `[monitor]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MonitorSection {
    idservers: Vec<String>,
    httpds: Vec<String>,
}

/// The settings file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    trackers: Option<Vec<String>>,
    app: Option<String>,
    user: Option<String>,
    #[serde(default, deserialize_with = "duration")]
    connect_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    io_timeout: Option<Duration>,
    bind: Option<IpAddr>,
    local_reads: Option<bool>,
    key_file: Option<PathBuf>,
    #[serde(default)]
    legacy_hosts: Vec<Network>,
    url_key_file: Option<PathBuf>,
    admin_key_file: Option<PathBuf>,
    #[serde(default)]
    monitor: MonitorSection,
}

impl Settings {
    /// # Errors
    /// A [`CliError`] of usage in the chain: a file that cannot be read, or a value that is none.
    pub(super) fn load(global: &Global) -> anyhow::Result<Settings> {
        let file = load_file(global.config.as_deref())?;
        let trackers = match (&global.trackers, file.trackers) {
            (Some(list), _) => parse_list(list)?,
            (None, Some(list)) => parse_each(&list)?,
            (None, None) => parse_each(&[DEFAULT_TRACKER.to_owned()])?,
        };
        if trackers.is_empty() {
            return Err(CliError::usage(
                "no tracker is given: use --trackers, TNV_TRACKERS or `trackers` in the settings file",
            ).into());
        }
        let app = global.app.clone().or(file.app);
        let user = global.user.clone().or(file.user);
        let mut client = ClientConfig::new(trackers);
        let connection = &mut client.connection;
        if let Some(timeout) = file.connect_timeout {
            connection.connect_timeout = timeout;
        }
        if let Some(timeout) = global.timeout.or(file.io_timeout) {
            connection.io_timeout = timeout;
        }
        if let Some(timeout) = global.timeout {
            connection.connect_timeout = connection.connect_timeout.min(timeout);
        }
        connection.bind = file.bind;
        let key_file = global.client_key_file.clone().or(file.key_file);
        if let Some(path) = key_file {
            connection.keys = Some(Arc::new(read_keys(&path, file.legacy_hosts)?));
        }
        client.local_reads.is_on = file.local_reads.unwrap_or(true);
        Ok(Settings {
            client,
            app: AppId::new(app.as_deref().unwrap_or(DEFAULT_APP))
                .map_err(|error| given_by(error, "--app, TNV_APP or `app` in the settings file"))?,
            user: user.map(UserId::new).transpose().map_err(|error| {
                given_by(error, "--user, TNV_USER or `user` in the settings file")
            })?,
            admin_key_file: file.admin_key_file,
            url_key_file: file.url_key_file,
            monitor: StatusPorts {
                idservers: parse_each(&file.monitor.idservers)?,
                httpds: parse_each(&file.monitor.httpds)?,
            },
        })
    }

    /// The user, without whom no file can be named.
    pub(super) fn user(&self) -> Result<&UserId, CliError> {
        self.user.as_ref().ok_or_else(|| {
            CliError::usage("no user is given: use --user, TNV_USER or `user` in the settings file")
        })
    }

    /// The file of the user with this id.
    pub(super) fn key(&self, id: &str) -> Result<FileKey, CliError> {
        let file = FileId::new(id).map_err(usage_error)?;
        self.key_of(file)
    }

    /// The same for an id that was checked before.
    pub(super) fn key_of(&self, file: FileId) -> Result<FileKey, CliError> {
        Ok(FileKey {
            app: self.app.clone(),
            user: self.user()?.clone(),
            file,
        })
    }
}

/// The file that was named, which must exist; or the first default one that does.
fn load_file(named: Option<&Path>) -> anyhow::Result<SettingsFile> {
    let path = match named {
        Some(path) => Some(path.to_owned()),
        None => default_files().into_iter().find(|path| path.exists()),
    };
    let Some(path) = path else {
        return Ok(SettingsFile::default());
    };
    let name = path.display();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| CliError::usage(format!("cannot read settings file {name}: {error}")))?;
    let parsed: Result<SettingsFile, toml::de::Error> = toml::from_str(&text);
    parsed
        .map_err(|error| CliError::usage(toml_error(&text, error.message(), error.span())))
        .with_context(|| format!("settings file {name}"))
}

fn read_keys(path: &Path, legacy_hosts: Vec<Network>) -> Result<PeerKeys, CliError> {
    PeerKeys::from_file(path, legacy_hosts).map_err(|error| {
        CliError::usage(format!("cannot read key file {}: {error}", path.display()))
    })
}

fn default_files() -> Vec<PathBuf> {
    let home = std::env::var_os("XDG_CONFIG_HOME")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")));
    home.map(|dir| dir.join("tnv/tnv.toml"))
        .into_iter()
        .chain([Path::new(SYSCONFDIR).join("tnv/client.toml")])
        .collect()
}

fn parse_each(list: &[String]) -> Result<Vec<Address>, CliError> {
    let parse = |text: &String| text.parse().map_err(usage_error);
    list.iter().map(parse).collect()
}

/// Parses addresses of the form `host:port;host:port`.
pub(super) fn parse_list(list: &str) -> Result<Vec<Address>, CliError> {
    Address::parse_list(list).map_err(usage_error)
}

pub(super) fn usage_error(error: DecodeError) -> CliError {
    CliError::usage(error.to_string())
}

/// A value that is none, with the places that give it.
fn given_by(error: DecodeError, places: &str) -> CliError {
    CliError::usage(format!("{error}: see {places}"))
}

fn duration<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(input)?;
    parse_duration(&text)
        .map(Some)
        .map_err(serde::de::Error::custom)
}
