//! A Galera cluster on one host.

use std::ffi::OsString;

use crate::machine::{free_ports, require};
use crate::recipe::{self, LOST_LATE, LOST_SOON, PROVIDER, WsrepPorts};
use crate::server::Mariadb;

/// Some nodes of one cluster. Dropping it kills them.
#[derive(Debug)]
pub struct Galera {
    /// The nodes, in the order in which they were started.
    pub nodes: Vec<Mariadb>,
}

impl Galera {
    /// Forms a cluster of `count` nodes and waits until all are in it.
    ///
    /// # Panics
    /// It does not form, or what it needs is not installed.
    pub fn start(count: usize) -> Galera {
        require(&[PROVIDER, "rsync", "wsrep_sst_rsync"]);
        let addresses: Vec<u16> = (0..count).map(|_| free_ports::<1>()[0]).collect();
        let mut nodes: Vec<_> = addresses
            .iter()
            .enumerate()
            .map(|(n, &port)| Mariadb::prepare(wsrep_args(n, port, &addresses)))
            .collect();
        nodes[0].run(&["--wsrep-new-cluster"]);
        // The node greets before it has formed the cluster.
        nodes[0].wait_for("cluster of one", || is_in_cluster_of(&nodes[0], 1));
        nodes[0].make_user();
        // One at a time: each is copied from the first, which copies to one only.
        for node in &mut nodes[1..] {
            node.run(&[]);
        }
        let cluster = Galera { nodes };
        cluster.wait_for_size(count);
        let soon = format!("SET GLOBAL wsrep_provider_options = '{LOST_SOON}'");
        for node in &cluster.nodes {
            node.execute("mysql", &soon);
        }
        cluster
    }

    /// Waits until the cluster of the first node has `size` nodes, all synced.
    ///
    /// # Panics
    /// It takes too long.
    pub fn wait_for_size(&self, size: usize) {
        for node in &self.nodes[..size.min(self.nodes.len())] {
            node.wait_for("whole cluster", || is_in_cluster_of(node, size));
        }
    }

    /// The URL of a database on the nodes, in the order of `order`.
    pub fn url(&self, order: &[usize], database: &str) -> String {
        let hosts: Vec<_> = order
            .iter()
            .map(|&n| format!("127.0.0.1:{}", self.nodes[n].port))
            .collect();
        format!("mysql://{}@{}/{database}", crate::USER, hosts.join(","))
    }
}

fn is_in_cluster_of(node: &Mariadb, size: usize) -> bool {
    let is = |name: &str, value: &str| node.status(name).is_some_and(|v| v == value);
    is("wsrep_ready", "ON")
        && is("wsrep_local_state", "4")
        && is("wsrep_cluster_size", &size.to_string())
}

fn wsrep_args(n: usize, cluster: u16, all: &[u16]) -> Vec<OsString> {
    let [ist, sst] = free_ports();
    let ports = WsrepPorts { cluster, ist, sst };
    let args = recipe::wsrep(&format!("node{n}"), ports, all, LOST_LATE);
    args.into_iter().map(Into::into).collect()
}
