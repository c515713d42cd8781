//! The database of a cluster: SQLite files, or the nodes of a Galera cluster.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Role};
use crate::ports;

/// The account of the daemons in the database.
pub const DATABASE_USER: &str = "tnv";

/// Relative to the folder of the cluster.
pub(crate) const PASSWORD_FILE: &str = "conf/database-password";
/// Nodes of the database: two continue when one is lost.
const GALERA_NODES: usize = 3;

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

impl Plan {
    /// The SQLite file that all daemons of a role share.
    pub fn database(&self, role: Role) -> PathBuf {
        self.folder.join(database_path(role))
    }

    /// The file with the password of [`DATABASE_USER`].
    pub fn database_password(&self) -> PathBuf {
        self.folder.join(PASSWORD_FILE)
    }

    /// The database of a role on Galera, as it is configured.
    pub(crate) fn galera_url(&self, role: Role) -> String {
        let addrs: Vec<String> = self
            .galera
            .iter()
            .map(|node| node.addr.to_string())
            .collect();
        let name = match role {
            Role::Idserver => "ids",
            role => role.as_str(),
        };
        format!("mysql://{DATABASE_USER}@{}/tnv_{name}db", addrs.join(","))
    }

    /// The standard output and error of a node of the database.
    pub fn database_log(&self, node: &GaleraNode) -> PathBuf {
        self.folder.join(format!("log/{}.log", node.name))
    }
}

/// The SQLite file of a role as it is configured: relative to the folder of the cluster.
pub(crate) fn database_path(role: Role) -> String {
    format!("db/{}.db", role.as_str())
}

/// Nodes on free ports.
pub(crate) fn nodes(preferred_port: u16) -> anyhow::Result<Vec<GaleraNode>> {
    let port = || Ok::<u16, anyhow::Error>(ports::free_from(preferred_port)?.port());
    let node = |idx| {
        Ok(GaleraNode {
            name: format!("galera-{idx}"),
            addr: ports::free_from(preferred_port)?,
            cluster_port: port()?,
            ist_port: port()?,
            sst_port: port()?,
        })
    };
    (1..=GALERA_NODES).map(node).collect()
}
