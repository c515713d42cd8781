//! The daemons of a cluster, their addresses and their files.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The application of every cluster here.
pub const APP: &str = "tnvideo";
/// The user whose files `/files/ID` names.
pub const USER: &str = "tnv001";

/// The file of a plan, relative to its folder.
pub(crate) const PLAN_FILE: &str = "conf/plan.json";

/// The file with the key of a cluster, if it has one, relative to its folder.
pub(crate) const KEY_FILE: &str = "conf/cluster-key";

/// The role of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Keeps the list of storages.
    Tracker,
    /// Hands out numbers.
    Idserver,
    /// Stores files.
    Storage,
    /// Serves files with HTTP.
    Httpd,
}

impl Role {
    /// In the order in which they are started.
    pub const ALL: [Role; 4] = [Role::Tracker, Role::Idserver, Role::Storage, Role::Httpd];
    /// In the order in which they are stopped: a daemon before the daemons that it uses.
    pub const STOP_ORDER: [Role; 4] = [Role::Httpd, Role::Storage, Role::Tracker, Role::Idserver];

    /// The name, as in `tnv-tracker`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Tracker => "tracker",
            Role::Idserver => "idserver",
            Role::Storage => "storage",
            Role::Httpd => "httpd",
        }
    }
}

/// One daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The role.
    pub role: Role,
    /// `tracker-1`, `storage-2-1`: part of the names of its files.
    pub name: String,
    /// The group of a storage.
    pub group: Option<String>,
    /// The address of the service.
    pub addr: SocketAddr,
    /// The address of the status port.
    pub status: SocketAddr,
}

/// One node of a Galera cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GaleraNode {
    /// `galera-1`: part of the names of its files.
    pub name: String,
    /// The address for SQL.
    pub addr: SocketAddr,
    /// The port for the other nodes.
    pub cluster_port: u16,
    /// The port for missed transactions.
    pub ist_port: u16,
    /// The port for a copy of everything.
    pub sst_port: u16,
}

/// The daemons of a cluster, running or not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The absolute path of the working folder of the daemons. It is not saved.
    #[serde(skip)]
    pub folder: PathBuf,
    /// In the order in which they are started.
    pub nodes: Vec<Node>,
    /// The nodes of the database; none with SQLite.
    #[serde(default)]
    pub galera: Vec<GaleraNode>,
}

impl Plan {
    /// The latest plan of `folder`, if there is one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn load(folder: &Path) -> anyhow::Result<Option<Plan>> {
        let path = folder.join(PLAN_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let read = || -> anyhow::Result<Plan> {
            let mut plan: Plan = serde_json::from_slice(&fs::read(&path)?)?;
            plan.folder = folder.canonicalize()?;
            Ok(plan)
        };
        let plan = read().with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Some(plan))
    }

    /// The nodes of one role.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.role == role)
    }

    /// The addresses of the nodes of one role.
    pub fn addrs(&self, role: Role) -> Vec<SocketAddr> {
        self.of(role).map(|node| node.addr).collect()
    }

    /// The configuration of a node. Its path in the command line identifies the process.
    pub fn config(&self, node: &Node) -> PathBuf {
        self.folder.join(format!("conf/{}.toml", node.name))
    }

    /// The file with the key of the cluster. It is missing if the cluster has none.
    pub fn key_file(&self) -> PathBuf {
        self.folder.join(KEY_FILE)
    }

    /// The log of a node.
    pub fn log(&self, node: &Node) -> PathBuf {
        self.folder.join(format!("log/{}.log", node.name))
    }

    /// The access log of a node.
    pub fn access_log(&self, node: &Node) -> PathBuf {
        self.folder.join(format!("log/{}.access", node.name))
    }

    /// The standard output and error of a node.
    pub fn err_log(&self, node: &Node) -> PathBuf {
        self.folder.join(format!("log/{}.err", node.name))
    }

    /// True with Galera and GlusterFS.
    pub fn is_full(&self) -> bool {
        !self.galera.is_empty()
    }

    /// The groups, in order.
    pub fn groups(&self) -> Vec<&str> {
        let groups = self
            .of(Role::Storage)
            .filter_map(|node| node.group.as_deref());
        let mut groups: Vec<&str> = groups.collect();
        groups.dedup();
        groups
    }

    /// The working folder of a node. Storages with their own mounts have their own folders, because all
    /// storages of a group configure the same store path.
    pub fn work_folder(&self, node: &Node) -> PathBuf {
        match node.role {
            Role::Storage if self.is_full() => self.folder.join("mnt").join(&node.name),
            _ => self.folder.clone(),
        }
    }

    /// The folder with the files of a storage.
    pub fn store(&self, storage: &Node) -> PathBuf {
        self.work_folder(storage).join(self.store_path(storage))
    }

    /// The configured store path, relative to the working folder of the storage.
    pub(crate) fn store_path(&self, storage: &Node) -> String {
        let group = storage.group.as_deref().unwrap_or_default();
        let above = if self.is_full() { "" } else { "store/" };
        format!("{above}{group}")
    }
}
