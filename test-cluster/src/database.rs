//! The database of a cluster: SQLite files, or the nodes of a Galera cluster.

use std::path::PathBuf;

use crate::plan::{GaleraNode, Plan, Role};

/// The account of the daemons in the database.
pub const DATABASE_USER: &str = "tnv";

/// Relative to the folder of the cluster.
pub(crate) const PASSWORD_FILE: &str = "conf/database-password";

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
