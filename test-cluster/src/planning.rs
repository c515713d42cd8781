//! Makes a plan: chooses ports and writes the configurations.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::layout::{Engine, Layout, Settings};
use crate::plan::{GaleraNode, Node, PLAN_FILE, Plan, Role};
use crate::secret::write_secret;
use crate::{config, ports};

/// Nodes of the database: two continue when one is lost.
const GALERA_NODES: usize = 3;

impl Plan {
    /// Chooses ports, creates the folders below `folder` and writes the configurations.
    ///
    /// # Errors
    /// A folder or file cannot be written, or the ports are used up.
    pub fn make(layout: &Layout, folder: &Path) -> anyhow::Result<Plan> {
        let made = fs::create_dir_all(folder).and_then(|()| folder.canonicalize());
        let folder = made.with_context(|| format!("cannot make {}", folder.display()))?;
        let galera = match layout.engine {
            Engine::Embedded => Vec::new(),
            Engine::Full => galera_nodes(layout.ports.database)?,
        };
        let nodes = nodes(layout)?;
        let plan = Plan {
            folder,
            nodes,
            galera,
        };
        plan.write(&layout.settings)?;
        Ok(plan)
    }

    fn write(&self, settings: &Settings) -> anyhow::Result<()> {
        for part in ["conf", "log", "db", "store"] {
            fs::create_dir_all(self.folder.join(part))?;
        }
        if let Some(key) = settings.key {
            write_secret(&self.key_file(), key)?;
        }
        for node in &self.nodes {
            fs::create_dir_all(self.work_folder(node))?;
            let path = self.config(node);
            fs::write(&path, config::text(self, node, settings))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        fs::write(
            self.folder.join(PLAN_FILE),
            serde_json::to_vec_pretty(self)?,
        )?;
        Ok(())
    }
}

/// Distance of the preferred status port from the preferred port of a role.
const STATUS_PORTS: u16 = 64;

fn nodes(layout: &Layout) -> anyhow::Result<Vec<Node>> {
    let (trackers, idservers) = (layout.trackers, layout.idservers);
    let mut nodes = nodes_of_role(Role::Tracker, trackers, layout.ports.tracker)?;
    nodes.extend(nodes_of_role(
        Role::Idserver,
        idservers,
        layout.ports.idserver,
    )?);
    for group in 1..=layout.groups {
        for idx in 1..=layout.storages_per_group {
            nodes.push(Node {
                role: Role::Storage,
                name: format!("storage-{group}-{idx}"),
                group: Some(format!("group{group:03}")),
                addr: ports::free_from(layout.ports.storage)?,
                status: ports::free_from(layout.ports.storage + STATUS_PORTS)?,
            });
        }
    }
    nodes.extend(nodes_of_role(
        Role::Httpd,
        layout.httpds,
        layout.ports.httpd,
    )?);
    Ok(nodes)
}

fn nodes_of_role(role: Role, count: u16, preferred_port: u16) -> anyhow::Result<Vec<Node>> {
    let node = |idx| {
        Ok(Node {
            role,
            name: format!("{}-{idx}", role.as_str()),
            group: None,
            addr: ports::free_from(preferred_port)?,
            status: ports::free_from(preferred_port + STATUS_PORTS)?,
        })
    };
    (1..=count).map(node).collect()
}

/// Nodes on free ports.
fn galera_nodes(preferred_port: u16) -> anyhow::Result<Vec<GaleraNode>> {
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
