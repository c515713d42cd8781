//! `cluster.json`: the addresses and processes of a running cluster, for other programs.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::plan::{APP, Node, Plan, Role, USER};

/// The content of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// The application that the trackers serve.
    pub app: String,
    /// The user whose files `/files/ID` names.
    pub user: String,
    /// Addresses of the trackers.
    pub trackers: Vec<SocketAddr>,
    /// Addresses of the idservers.
    pub idservers: Vec<SocketAddr>,
    /// The storages.
    pub storages: Vec<StorageEntry>,
    /// Addresses of the HTTP servers.
    pub httpds: Vec<SocketAddr>,
    /// The databases.
    pub database: DatabaseEntry,
    /// The status port of each daemon, by its name.
    pub status: BTreeMap<String, SocketAddr>,
    /// The process ids of the other roles, in the order of their addresses.
    pub pids: BTreeMap<String, Vec<u32>>,
    /// The process ids of the engines by name: nodes of the database, bricks, mounts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub engines: BTreeMap<String, u32>,
}

/// One storage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StorageEntry {
    /// Its group.
    pub group: String,
    /// Its address.
    pub addr: SocketAddr,
    /// Its process id.
    pub pid: u32,
    /// The absolute path of the folder with its files.
    pub store_path: PathBuf,
}

/// The databases as URLs, with absolute paths.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DatabaseEntry {
    /// `sqlite` or `mysql`.
    pub engine: String,
    /// The file with the password of a `mysql` database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Of the trackers.
    pub tracker: String,
    /// Of the idservers.
    pub idserver: String,
    /// Of the storages.
    pub storage: String,
}

impl DatabaseEntry {
    fn of(plan: &Plan) -> DatabaseEntry {
        let url = |role| match plan.is_full() {
            true => plan.galera_url(role),
            false => format!("sqlite:{}", plan.database(role).display()),
        };
        let engine = if plan.is_full() { "mysql" } else { "sqlite" };
        DatabaseEntry {
            engine: engine.to_owned(),
            password_file: plan.is_full().then(|| plan.database_password()),
            tracker: url(Role::Tracker),
            idserver: url(Role::Idserver),
            storage: url(Role::Storage),
        }
    }
}

impl Manifest {
    /// Describes a running plan. `pid_of` tells the process ids of its nodes.
    pub fn of(
        plan: &Plan,
        pid_of: impl Fn(&Node) -> u32,
        engines: BTreeMap<String, u32>,
    ) -> Manifest {
        let pids = [Role::Tracker, Role::Idserver, Role::Httpd].map(|role| {
            let pids = plan.of(role).map(&pid_of).collect();
            (role.as_str().to_owned(), pids)
        });
        let storages = plan.of(Role::Storage).map(|node| {
            let group = node.group.clone().unwrap_or_default();
            StorageEntry {
                store_path: plan.store(node),
                group,
                addr: node.addr,
                pid: pid_of(node),
            }
        });
        Manifest {
            app: APP.to_owned(),
            user: USER.to_owned(),
            trackers: plan.addrs(Role::Tracker),
            idservers: plan.addrs(Role::Idserver),
            storages: storages.collect(),
            httpds: plan.addrs(Role::Httpd),
            database: DatabaseEntry::of(plan),
            status: plan
                .nodes
                .iter()
                .map(|node| (node.name.clone(), node.status))
                .collect(),
            pids: pids.into(),
            engines,
        }
    }

    /// The path of the file of the cluster in `folder`.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("cluster.json")
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let path = Manifest::path(folder);
        let text = serde_json::to_vec_pretty(self)?;
        let temporary = path.with_extension("new");
        let saved = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, &path));
        saved.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes the file, if it is there.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(folder: &Path) -> anyhow::Result<()> {
        let path = Manifest::path(folder);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(e).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }
}
