//! The database servers of a set of clusters.

use test_mariadb::{Galera, Mariadb};

use crate::layout::Mysql;
use crate::plan::Role;

/// One MariaDB server, or the nodes of a Galera cluster.
pub(super) enum Database {
    Mariadb(Mariadb),
    Galera(Galera),
}

impl Database {
    /// The server for statements.
    pub(super) fn first(&self) -> &Mariadb {
        match self {
            Database::Mariadb(server) => server,
            Database::Galera(cluster) => &cluster.nodes[0],
        }
    }

    /// The processes of the servers that run.
    pub(super) fn pids(&self) -> Vec<u32> {
        match self {
            Database::Mariadb(server) => server.pid().into_iter().collect(),
            Database::Galera(cluster) => cluster.nodes.iter().filter_map(Mariadb::pid).collect(),
        }
    }

    /// Creates the databases of one cluster.
    pub(super) fn create(&self, name: &str) -> Mysql {
        let first = self.first();
        for role in [Role::Tracker, Role::Idserver, Role::Storage] {
            first.create_database(&format!("{name}_{}", role.as_str()));
        }
        let url = match self {
            Database::Mariadb(server) => server.url(name),
            Database::Galera(cluster) => {
                let all: Vec<usize> = (0..cluster.nodes.len()).collect();
                cluster.url(&all, name)
            }
        };
        Mysql {
            url,
            password_file: first.password_file(),
        }
    }
}
