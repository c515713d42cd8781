//! The settings of a storage (`etc/storage.toml` explains each).

use std::path::PathBuf;
use std::time::Duration;

use base::config::{ConfigError, check_nonzero};
use base::units::{ByteSize, Period};
use db::{DatabaseUrl, MysqlConfig, Synchronous};
use log::warn;
use net::access_control::{AccessControl, AccessSettings};
use net::admin::OrderVerifier;
use proto::{Address, GroupName, Hostname, IdKey, ServerKind};
use serde::{Deserialize, Serialize};

use crate::state::small_file;

mod expiry;
mod quota;
mod reserve;

pub use expiry::ExpiryConfig;
pub use quota::Quota;
pub use reserve::Reserve;

/// All settings.
pub type Config = daemon::Config<Settings>;

/// The settings of this server alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The address that clients are sent to, if it differs from the source of connections to
    /// trackers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<Address>,
    /// The key file of the administrators; without it no order is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_key_file: Option<PathBuf>,
    /// The settings that decide who is served.
    #[serde(flatten, skip_deserializing)]
    pub access: AccessSettings,
    /// The state file, used by this storage alone.
    pub state_file: PathBuf,
    /// The Unix socket that gives open files to processes on this machine: a path, `off`, or by default one
    /// beside the state file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_socket: Option<PathBuf>,
    /// The group this storage belongs to.
    pub group: GroupName,
    /// The name of this member.
    pub hostname: Hostname,
    /// All trackers of the cluster.
    pub trackers: Vec<Address>,
    /// The idservers, tried in order.
    pub idservers: Vec<Address>,
    /// Folders for files, used in rotation. All storages of a group use the same paths. The text,
    /// with a final slash, is the key of the numbers at the idserver.
    pub store_paths: Vec<String>,
    /// Store paths of an earlier configuration or of the C++ system: files there are read and
    /// removed, none is created.
    pub former_store_paths: Vec<String>,
    /// If true, each store path needs the marker that `--init-store` writes.
    pub require_marker: bool,
    /// The database of the rows.
    pub database: DatabaseUrl,
    /// The guarantee of a success reply.
    pub durability: Durability,
    /// Space that uploads leave free on each store path.
    pub reserved_space: Reserve,
    /// Limits on the files of users and applications.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<Quota>,
    /// Time without an answer after which a disk counts as hanging.
    pub disk_timeout: Period,
    /// Interval of beats to each tracker.
    pub beat_interval: Period,
    /// Cached rows.
    pub cache: CacheConfig,
    /// Deletion of expired files.
    pub expiry: ExpiryConfig,
    /// Ignored.
    #[serde(skip_serializing_if = "GlusterConfig::is_absent")]
    pub gluster: GlusterConfig,
    /// Connections to a MySQL database.
    pub mysql: MysqlConfig,
}

/// The faults that a stored file survives after the success reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// kill -9 and power loss.
    Full,
    /// The content survives power loss; the file system decides about its name.
    Data,
    /// kill -9, not power loss.
    None,
}

impl Durability {
    /// True if content is synced.
    pub fn syncs_content(self) -> bool {
        self != Durability::None
    }

    /// True if names are synced.
    pub fn syncs_names(self) -> bool {
        self == Durability::Full
    }

    /// The value in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Durability::Full => "full",
            Durability::Data => "data",
            Durability::None => "none",
        }
    }

    /// The commit mode of SQLite.
    pub(crate) fn of_rows(self) -> Synchronous {
        match self {
            Durability::None => Synchronous::Normal,
            Durability::Data | Durability::Full => Synchronous::Full,
        }
    }
}

/// Section `[cache]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Limit on rows.
    pub entries: u64,
    /// How long a row is kept.
    pub ttl: Period,
    /// Limit on files that are kept open after a read.
    pub open_files: u32,
}

impl Default for CacheConfig {
    fn default() -> CacheConfig {
        CacheConfig {
            entries: 100_000,
            ttl: Period::from_secs(600),
            open_files: 1000,
        }
    }
}

/// Section `[gluster]` of earlier versions. It is accepted and has no effect:
/// `etc/monitoring/gluster-heal.sh` tells what GlusterFS has to heal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GlusterConfig {
    heal_command: Option<Vec<String>>,
    heal_interval: Option<Period>,
    heal_timeout: Option<Period>,
}

impl GlusterConfig {
    fn is_absent(&self) -> bool {
        *self == GlusterConfig::default()
    }

    /// Warns that its keys are ignored, and what replaces them.
    pub(crate) fn warn_if_set(&self) {
        if !self.is_absent() {
            warn!(
                "the settings of [gluster] are ignored: heal counts come from \
                 monitoring/gluster-heal.sh (docs/glusterfs.md, Watching)"
            );
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        let address = |text: &str| vec![text.parse().expect("an address")];
        Settings {
            advertise: None,
            admin_key_file: None,
            access: AccessSettings::default(),
            state_file: "/var/lib/tnv/storage.state".into(),
            local_socket: None,
            group: "group001".parse().expect("a group name"),
            hostname: daemon::hostname(),
            trackers: address("127.0.0.1:21000"),
            idservers: address("127.0.0.1:22000"),
            store_paths: vec!["/var/lib/tnv/data".to_owned()],
            former_store_paths: Vec::new(),
            require_marker: false,
            database: DatabaseUrl::Sqlite("/var/lib/tnv/storage.db".into()),
            durability: Durability::Full,
            reserved_space: Reserve::Bytes(ByteSize::from_mib(1024)),
            quotas: Vec::new(),
            disk_timeout: Period::from_secs(10),
            beat_interval: Period::from_secs(10),
            cache: CacheConfig::default(),
            expiry: ExpiryConfig::default(),
            gluster: GlusterConfig::default(),
            mysql: MysqlConfig::default(),
        }
    }
}

/// Longest beat interval: trackers drop a member without beats.
const BEAT_INTERVAL_MAX: Duration = Duration::from_secs(3600);

impl Settings {
    /// The number of files that each store path keeps open: an equal share of `cache.open_files`, of
    /// which the limit of the process allows an eighth of itself.
    pub(crate) fn open_files_per_path(&self) -> usize {
        let n_paths = self.store_paths.len() + self.former_store_paths.len();
        let max = net::kept_files_max(self.cache.open_files as usize);
        (max / n_paths.max(1)).max(1)
    }

    /// The path of the Unix socket; none if it is off.
    pub(crate) fn local_socket(&self) -> Option<PathBuf> {
        match &self.local_socket {
            Some(path) if path.as_os_str() == "off" => None,
            Some(path) => Some(path.clone()),
            None => Some(small_file::beside(&self.state_file, ".sock")),
        }
    }

    /// Checks what the types of the settings do not.
    ///
    /// # Errors
    /// A setting cannot be used; the error names it.
    pub(crate) fn check_settings(&self) -> Result<(), ConfigError> {
        self.mysql.check(&self.database)?;
        OrderVerifier::check(self.admin_key_file.as_deref())?;
        AccessControl::new(ServerKind::Storage, &self.access)?;
        check_nonzero("cache.entries", self.cache.entries == 0)?;
        check_nonzero("cache.open_files", self.cache.open_files == 0)?;
        self.expiry.check()?;
        quota::check(&self.quotas)?;
        check_nonzero("disk_timeout", self.disk_timeout.is_zero())?;
        check_nonzero("beat_interval", self.beat_interval.is_zero())?;
        if self.beat_interval.duration() > BEAT_INTERVAL_MAX {
            return Err(ConfigError::invalid(
                "beat_interval",
                "is longer than an hour",
            ));
        }
        if self.idservers.is_empty() {
            return Err(ConfigError::invalid("idservers", "at least one is needed"));
        }
        check_store_paths(&self.store_paths)
    }
}

/// The folder of a store path, as rows spell it, without a final slash. The slash belongs to the
/// key of the numbers alone, as in the C++ system.
pub(crate) fn folder_of(store_path: &str) -> &str {
    store_path.trim_end_matches('/')
}

fn check_store_paths(paths: &[String]) -> Result<(), ConfigError> {
    let invalid = |reason: String| Err(ConfigError::invalid("store_paths", reason));
    if paths.is_empty() {
        return invalid("at least one is needed".to_owned());
    }
    for (idx, path) in paths.iter().enumerate() {
        // The configured text is the key of its numbers at the idserver.
        if let Err(e) = IdKey::new(path.as_str()) {
            return invalid(format!("{path:?} cannot be a key at the idserver: {e}"));
        }
        let folder = folder_of(path);
        if folder.is_empty() {
            return invalid(format!("{path:?} is no folder for files"));
        }
        if paths[..idx].iter().any(|other| folder_of(other) == folder) {
            return invalid(format!("{path:?} stands there twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_files_that_differ_in_their_ends_have_different_sockets() {
        let socket = |state_file: &str| {
            let settings = Settings {
                state_file: state_file.into(),
                ..Settings::default()
            };
            settings.local_socket().unwrap()
        };
        assert_eq!(socket("/srv/x.a"), PathBuf::from("/srv/x.a.sock"));
        assert_ne!(socket("/srv/x.a"), socket("/srv/x.b"));
    }
}
