//! The shared state of a running storage, built once.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use base::LogThrottle;
use client::{ConnectionConfig, ConnectionPool, IdClient, PeerKeys, PoolConfig};
use log::warn;
use net::admin::OrderVerifier;
use proto::storage::{LocalSocket, SocketId};
use proto::{ErrorCode, Fault};

use crate::cache::Rows;
use crate::config::Config;
use crate::db::{self, Files};
use crate::disks::expected_folder::Access;
use crate::disks::limiter::DiskCaller;
use crate::disks::store_paths::StorePaths;
use crate::disks::writer::FileWriter;
use crate::metrics::StorageMetrics;
use crate::numbers::Numbers;
use crate::state::arrival_clock::ArrivalClock;
use crate::state::damaged_files::DamagedFiles;
use crate::state::expiry_lag::ExpiryLag;
use crate::state::foreign_rows::ForeignRows;
use crate::state::identity::Identity;
use crate::state::list_limiter::ListLimiter;
use crate::state::pending_deletes::PendingDeletes;
use crate::state::quotas::Quotas;
use crate::state::recent_errors::RecentErrors;
use crate::state::tracker_statuses::TrackerStatuses;
use crate::state::unresolved_uploads::UnresolvedUploads;
use crate::state::upload_blocks::UploadBlocks;
use crate::state::warnings::Warnings;

/// Longest wait for one idserver. Uploads hold workers meanwhile.
const NUMBER_WAIT: Duration = Duration::from_secs(5);

pub(crate) struct Globals {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) guard: OrderVerifier,
    pub(crate) upload_blocks: UploadBlocks,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) paths: StorePaths,
    pub(crate) numbers: Numbers,
    pub(crate) writer: FileWriter,
    pub(crate) files: Box<dyn Files>,
    pub(crate) rows: Rows,
    pub(crate) list_limiter: ListLimiter,
    /// Bounds the log lines about taken paths.
    pub(crate) taken_paths_log: LogThrottle<()>,
    pub(crate) errors: RecentErrors,
    pub(crate) warnings: Arc<Warnings>,
    pub(crate) tracker_statuses: TrackerStatuses,
    pub(crate) pending_deletes: PendingDeletes,
    pub(crate) expiry_lag: ExpiryLag,
    pub(crate) arrivals: Arc<ArrivalClock>,
    pub(crate) foreign: ForeignRows,
    pub(crate) damage: DamagedFiles,
    pub(crate) unresolved: UnresolvedUploads,
    pub(crate) metrics: StorageMetrics,
    /// The Unix socket, once it is open.
    pub(crate) local_socket: OnceLock<LocalSocket>,
}

impl Globals {
    /// Opens the database and the store paths.
    pub(crate) fn open(config: Config) -> anyhow::Result<Arc<Globals>> {
        config.gluster.warn_if_set();
        let paths = StorePaths::open(&config, Access::Write)?;
        // The database opens before the state file is created, which is evidence of rows.
        let files = db::open(&config).context("cannot open the database")?;
        let identity = Identity::open(&config.state_file)?;
        remember_folders(&identity, &paths);
        let (metrics, warnings) = (StorageMetrics::default(), Arc::<Warnings>::default());
        Ok(Arc::new(Globals {
            identity,
            guard: OrderVerifier::new(config.admin_key_file.clone()),
            upload_blocks: UploadBlocks::default(),
            quotas: Quotas::new(config.quotas.clone()),
            paths,
            numbers: Numbers::new(ids(&config)?),
            writer: FileWriter::new(config.durability),
            files,
            rows: Rows::new(&config.cache),
            list_limiter: ListLimiter::new(config.server.workers as usize),
            taken_paths_log: LogThrottle::default(),
            errors: RecentErrors::default(),
            tracker_statuses: TrackerStatuses::default(),
            pending_deletes: PendingDeletes::default(),
            expiry_lag: ExpiryLag::default(),
            arrivals: Arc::default(),
            foreign: ForeignRows::new(
                config.group.clone(),
                metrics.foreign_rows.clone(),
                Arc::clone(&warnings),
            ),
            damage: DamagedFiles::new(metrics.damage_found.clone(), Arc::clone(&warnings)),
            unresolved: UnresolvedUploads::open(&config.state_file),
            metrics,
            warnings,
            local_socket: OnceLock::new(),
            config,
        }))
    }

    /// Removes the file at the path of a row, if it is there. Returns true if peers may serve it for
    /// [`CHECK_HOLDS`](base::link_check::CHECK_HOLDS).
    ///
    /// # Errors
    /// The path is below no store path, or the disk refuses: the file may still be there.
    pub(crate) fn remove_file(&self, path: &str, caller: DiskCaller) -> io::Result<bool> {
        let at = self.paths.resolve(path, caller)?;
        self.writer.remove(&at)?;
        Ok(at.root.is_shared())
    }

    /// Applies the settings that a running storage can change.
    ///
    /// # Errors
    /// The key file cannot be used.
    pub(crate) fn reload(&self, config: &Config) -> anyhow::Result<()> {
        self.numbers.set_client(ids(config)?);
        self.rows.reload(&config.cache);
        self.quotas.reload(config.quotas.clone());
        self.paths.set_open_files(config.open_files_per_path());
        self.guard.reload(config.admin_key_file.clone());
        for path in self.paths.iter() {
            path.set_reserved_space(config.reserved_space);
        }
        Ok(())
    }

    /// The reply to LOCAL_SOCKET: empty without a socket.
    pub(crate) fn socket_reply(&self) -> Vec<u8> {
        let socket = self.local_socket.get();
        socket.map_or_else(Vec::new, LocalSocket::encode)
    }

    /// Checks that an OPEN came through a Unix socket (`is_local`), and names this storage's one.
    ///
    /// # Errors
    /// It is not: the client must use TCP.
    pub(crate) fn check_socket(&self, is_local: bool, id: &SocketId) -> Result<(), Fault> {
        let is_meant = self.local_socket.get().is_some_and(|own| own.id == *id);
        let text = match (is_local, is_meant) {
            (true, true) => return Ok(()),
            (true, false) => "this is the Unix socket of another storage, or of an earlier start",
            (false, _) => {
                "OPEN is served at the Unix socket only, because only that passes descriptors"
            }
        };
        Err(Fault::new(ErrorCode::BadRequest, text))
    }

    /// Writes the tags of the store paths to the state file, if it lacks one.
    pub(crate) fn remember_folders(&self) {
        remember_folders(&self.identity, &self.paths);
    }
}

fn remember_folders(identity: &Identity, paths: &StorePaths) {
    if let Err(e) = identity.remember_folders(paths.known_folders()) {
        warn!("a replaced store path may go unnoticed, its folder is not remembered: {e}");
    }
}

/// A client for the configured idservers.
///
/// # Errors
/// The key file cannot be used.
fn ids(config: &Config) -> anyhow::Result<IdClient> {
    let connection = ConnectionConfig {
        io_timeout: NUMBER_WAIT,
        ..connection_config(config)?
    };
    let pools = ConnectionPool::new(connection, PoolConfig::default());
    Ok(IdClient::new(config.idservers.clone(), Arc::new(pools)))
}

/// Settings of connections to other servers. They come from the listening address, if that is
/// specific.
///
/// # Errors
/// The key file cannot be used.
pub(crate) fn connection_config(config: &Config) -> anyhow::Result<ConnectionConfig> {
    let ip = config.listen.ip();
    let keys = |path: &PathBuf| {
        let keys = PeerKeys::from_file(path, config.access.legacy_hosts.clone());
        keys.with_context(|| format!("cannot read the key file {}", path.display()))
    };
    let keys = config
        .access
        .cluster_key_file
        .as_ref()
        .map(keys)
        .transpose()?;
    Ok(ConnectionConfig {
        keys: keys.map(Arc::new),
        bind: (!ip.is_unspecified()).then_some(ip),
        ..ConnectionConfig::default()
    })
}
