//! `cluster.json`: what other programs need to know of a cluster that stands.

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
    /// Where the trackers listen.
    pub trackers: Vec<SocketAddr>,
    /// Where the idservers listen.
    pub idservers: Vec<SocketAddr>,
    /// The storages.
    pub storages: Vec<StorageEntry>,
    /// Where the HTTP servers listen.
    pub httpds: Vec<SocketAddr>,
    /// Where the rows are.
    pub database: DatabaseEntry,
    /// Where each daemon, by its name, tells how it is.
    pub status: BTreeMap<String, SocketAddr>,
    /// The processes of the other kinds, in the order of their addresses.
    pub pids: BTreeMap<String, Vec<u32>>,
    /// The processes of the engines by their names: nodes of the database, bricks, mounts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub engines: BTreeMap<String, u32>,
}

/// One storage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StorageEntry {
    /// Its group.
    pub group: String,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its process.
    pub pid: u32,
    /// The folder that it keeps its files in; absolute.
    pub store_path: PathBuf,
}

/// The databases, as URLs; those of files with absolute paths.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DatabaseEntry {
    /// `sqlite` or `mysql`.
    pub engine: String,
    /// The file with the password that `mysql` asks for.
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
    /// Describes a plan whose nodes run as the processes that `pid_of` knows, on `engines`.
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

    /// Where the file of the cluster in `folder` is.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("cluster.json")
    }

    /// Writes the file, at once or not at all.
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
