//! The settings of a storage (`etc/storage.toml` explains each).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use base::config::{ConfigError, check_nonzero};
use base::units::{ByteSize, Period};
use daemon::args::{INIT_DATABASE, JobFlag};
use daemon::logging::LogConfig;
use daemon::status::StatusConfig;
use daemon::{DaemonConfig, Job, ProcessConfig, job_done};
use db::{DatabaseUrl, MysqlConfig, Synchronous};
use log::warn;
use net::ServerConfig;
use net::admin::OrderVerifier;
use net::allowed::{AllowedHosts, Network};
use proto::{Address, GroupName, Hostname, IdKey};
use serde::{Deserialize, Serialize};

use crate::identity::{self, Identity};
use crate::reserve::Reserve;
use crate::{orphans, store_path};

/// All settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where clients connect. A specific address is also the one connections to trackers and
    /// idservers are made from, so that members on one host differ.
    #[serde(deserialize_with = "net::listen::deserialize")]
    pub listen: SocketAddr,
    /// Where clients are sent, if that is not where connections to trackers come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<Address>,
    /// The file with the key of the administrators; absent: no order is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_key_file: Option<PathBuf>,
    /// Who is listened to: everybody who connects.
    pub allow_hosts: Vec<Network>,
    /// Where it keeps who it is: a file of this storage alone.
    pub state_file: PathBuf,
    /// The group this storage belongs to.
    pub group: GroupName,
    /// The name it goes by.
    pub hostname: Hostname,
    /// Every tracker of the cluster: it joins them all.
    pub trackers: Vec<Address>,
    /// The idservers, tried in turn.
    pub idservers: Vec<Address>,
    /// Folders that hold the files, taken in turn. All storages of a group write the same paths.
    /// What stands here is the key of the numbers at the idserver, a final slash too.
    pub store_paths: Vec<String>,
    /// Folders of rows that another configuration or the C++ system has written: files there are
    /// read and removed, none is made.
    pub former_store_paths: Vec<String>,
    /// Whether each store path must have the marker of its volume, made by `--init-store`.
    pub require_marker: bool,
    /// Where the rows of the files are.
    pub database: DatabaseUrl,
    /// What a reply of success promises.
    pub durability: Durability,
    /// Space to be left free on the file system of each store path.
    pub reserved_space: Reserve,
    /// A disk that does not answer for so long hangs.
    pub disk_timeout: Period,
    /// Time between two beats to a tracker.
    pub beat_interval: Period,
    /// Rows remembered of files asked for.
    pub cache: CacheConfig,
    /// Ignored.
    #[serde(skip_serializing_if = "GlusterConfig::is_absent")]
    pub gluster: GlusterConfig,
    /// How the servers of a MySQL database are connected to.
    pub mysql: MysqlConfig,
    /// Threads and connections.
    pub server: ServerConfig,
    /// What monitoring reads.
    pub status: StatusConfig<23001>,
    /// Where log lines go.
    pub log: LogConfig,
    /// Whom the process belongs to.
    pub process: ProcessConfig,
}

/// What survives when a reply of success was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// kill -9 and power loss.
    Full,
    /// The content survives power loss; whether its name does is up to the file system.
    Data,
    /// kill -9, not power loss.
    None,
}

impl Durability {
    /// Whether content is synced to the disk.
    pub fn syncs_content(self) -> bool {
        self != Durability::None
    }

    /// Whether names are.
    pub fn syncs_names(self) -> bool {
        self == Durability::Full
    }

    /// The word for it in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Durability::Full => "full",
            Durability::Data => "data",
            Durability::None => "none",
        }
    }

    /// How rows are committed.
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
    /// Most rows kept.
    pub entries: u64,
    /// How long one is kept.
    pub ttl: Period,
}

impl Default for CacheConfig {
    fn default() -> CacheConfig {
        CacheConfig {
            entries: 100_000,
            ttl: Period::from_secs(600),
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

    /// Tells that its keys are ignored, and what replaces them.
    pub(crate) fn warn_if_set(&self) {
        if !self.is_absent() {
            warn!(
                "the settings of [gluster] are ignored: heal counts come from \
                 monitoring/gluster-heal.sh (docs/glusterfs.md, Watching)"
            );
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        let address = |text: &str| vec![text.parse().expect("an address")];
        Config {
            listen: ([0, 0, 0, 0], 23000).into(),
            advertise: None,
            admin_key_file: None,
            allow_hosts: Network::everybody(),
            state_file: "/var/lib/tnv/storage.state".into(),
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
            disk_timeout: Period::from_secs(10),
            beat_interval: Period::from_secs(10),
            cache: CacheConfig::default(),
            gluster: GlusterConfig::default(),
            mysql: MysqlConfig::default(),
            server: ServerConfig::default(),
            status: StatusConfig::default(),
            log: LogConfig::default(),
            process: ProcessConfig::default(),
        }
    }
}

/// Longest beat interval: trackers take a member for lost after their check interval.
const BEAT_INTERVAL_MAX: Duration = Duration::from_secs(3600);

impl DaemonConfig for Config {
    const RELOADED: &'static [&'static str] = &[
        "admin_key_file",
        "allow_hosts",
        "trackers",
        "idservers",
        "reserved_space",
        "beat_interval",
        "cache",
    ];

    fn check(&self) -> Result<(), ConfigError> {
        self.server.check()?;
        self.mysql.check(&self.database)?;
        OrderVerifier::check(self.admin_key_file.as_deref())?;
        AllowedHosts::check_list(&self.allow_hosts)?;
        check_nonzero("cache.entries", self.cache.entries == 0)?;
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

    fn server(&self) -> &ServerConfig {
        &self.server
    }

    fn log(&self) -> &LogConfig {
        &self.log
    }

    fn process(&self) -> &ProcessConfig {
        &self.process
    }

    fn jobs() -> Vec<Job<Config>> {
        let help = "Mark the mounted store paths as those of this group, for require_marker";
        let init_store = Job {
            flag: JobFlag {
                name: "init-store",
                help,
            },
            work: |config, out| job_done(init_store(config)?, out),
        };
        let init_database = Job {
            flag: INIT_DATABASE,
            work: |config, out| job_done(crate::db::init(config)?, out),
        };
        let help = "List files without a row and rows without a file, one on each line, and change \
                    nothing; exit code 4 if there are any";
        let list_orphans = Job {
            flag: JobFlag {
                name: "list-orphans",
                help,
            },
            work: orphans::list,
        };
        vec![init_store, init_database, list_orphans]
    }
}

/// Marks every store path, and has the state file know the folders there instead of others; tells
/// what it did.
fn init_store(config: &Config) -> anyhow::Result<Vec<String>> {
    let known = identity::known_folders(&config.state_file)?;
    let mut folders = known.clone();
    let mut done = Vec::new();
    for path in &config.store_paths {
        let init = store_path::init(path, &config.group);
        let (is_new, tag) = init.with_context(|| path.clone())?;
        let what = if is_new {
            "marked"
        } else {
            "was marked before"
        };
        done.push(format!(
            "{path}: {what} as a store path of {}",
            config.group
        ));
        // A store path that was never in use is remembered by the storage itself.
        if let Some(known) = folders.get_mut(folder_of(path))
            && known != tag.as_text()
        {
            tag.as_text().clone_into(known);
            done.push(format!("{path}: this folder replaces the one before"));
        }
    }
    if folders != known {
        let remembered = Identity::open(&config.state_file)?.know_folders(folders);
        let state_file = &config.state_file;
        remembered.with_context(|| format!("state_file {}", state_file.display()))?;
    }
    Ok(done)
}

/// The folder of a store path, as rows spell it. A slash at the end belongs to the key of the numbers
/// alone, as in the C++ system.
pub(crate) fn folder_of(store_path: &str) -> &str {
    store_path.trim_end_matches('/')
}

fn check_store_paths(paths: &[String]) -> Result<(), ConfigError> {
    let invalid = |reason: String| Err(ConfigError::invalid("store_paths", reason));
    if paths.is_empty() {
        return invalid("at least one is needed".to_owned());
    }
    for (idx, path) in paths.iter().enumerate() {
        // The path as it is written here is the key of its numbers at the idserver.
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
