//! What all parts of a running storage share, built once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use client::{ConnectionConfig, IdClient, PoolConfig, PoolManager};
use log::warn;
use net::admin::OrderVerifier;
use net::allowed::AllowedHosts;

use crate::barred::Barred;
use crate::cache::Rows;
use crate::config::Config;
use crate::damage::Damage;
use crate::db::{self, Files};
use crate::due::HalfDeleted;
use crate::foreign::Foreign;
use crate::id::Numbers;
use crate::identity::Identity;
use crate::last_errors::LastErrors;
use crate::metrics::StorageMetrics;
use crate::path::StorePaths;
use crate::store_path::Access;
use crate::taken_paths::TakenPaths;
use crate::ties::Ties;
use crate::unresolved::Unresolved;
use crate::warnings::Warnings;
use crate::writer::FileWriter;

/// Longest wait for a number from one idserver: uploads hold workers meanwhile.
const NUMBER_WAIT: Duration = Duration::from_secs(5);

pub(crate) struct Globals {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) guard: OrderVerifier,
    pub(crate) allowed: AllowedHosts,
    pub(crate) barred: Barred,
    pub(crate) paths: StorePaths,
    pub(crate) numbers: Numbers,
    pub(crate) writer: FileWriter,
    pub(crate) files: Box<dyn Files>,
    pub(crate) rows: Rows,
    pub(crate) taken_paths: TakenPaths,
    pub(crate) errors: LastErrors,
    pub(crate) warnings: Warnings,
    pub(crate) ties: Ties,
    pub(crate) half_deleted: HalfDeleted,
    pub(crate) foreign: Foreign,
    pub(crate) damage: Damage,
    pub(crate) unresolved: Unresolved,
    pub(crate) metrics: StorageMetrics,
}

impl Globals {
    /// Opens the database and the store paths.
    pub(crate) fn open(config: Config) -> anyhow::Result<Arc<Globals>> {
        config.gluster.warn_if_set();
        let paths = StorePaths::open(&config, Access::Write)?;
        // Before the state file is made, which tells that there are rows.
        let files = db::open(&config).context("cannot open the database")?;
        let identity = Identity::open(&config.state_file)?;
        if let Err(e) = identity.know_folders(paths.known_folders()) {
            warn!("a replaced store path may go unnoticed, its folder is not remembered: {e}");
        }
        Ok(Arc::new(Globals {
            identity,
            guard: OrderVerifier::new(config.admin_key_file.clone()),
            allowed: AllowedHosts::new(config.allow_hosts.clone()),
            barred: Barred::default(),
            paths,
            numbers: Numbers::new(ids(&config)),
            writer: FileWriter::new(config.durability),
            files,
            rows: Rows::new(&config.cache),
            taken_paths: TakenPaths::default(),
            errors: LastErrors::default(),
            warnings: Warnings::default(),
            ties: Ties::default(),
            half_deleted: HalfDeleted::default(),
            foreign: Foreign::default(),
            damage: Damage::default(),
            unresolved: Unresolved::open(&config.state_file),
            metrics: StorageMetrics::default(),
            config,
        }))
    }
}

/// The way to the idservers of a configuration.
pub(crate) fn ids(config: &Config) -> IdClient {
    let connection = ConnectionConfig {
        io_timeout: NUMBER_WAIT,
        ..connection_config(config)
    };
    let pools = PoolManager::new(connection, PoolConfig::default());
    IdClient::new(config.idservers.clone(), Arc::new(pools))
}

/// How connections to other servers are made: from the address this one listens on, if it is one.
pub(crate) fn connection_config(config: &Config) -> ConnectionConfig {
    let ip = config.listen.ip();
    ConnectionConfig {
        bind: (!ip.is_unspecified()).then_some(ip),
        ..ConnectionConfig::default()
    }
}
