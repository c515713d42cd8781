//! A cluster that ends with the test or program that starts it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;
use test_support::process::{Exit, OwnedProcess};

use crate::binaries::Binaries;
use crate::engines;
use crate::layout::Layout;
use crate::plan::{Node, Plan, Role};
use crate::probe;

/// Longest wait for daemons to be ready.
const START: Duration = Duration::from_secs(30);
/// Longest wait for the end of a killed process.
const END: Duration = Duration::from_secs(10);

/// Running daemons, by the names of their nodes. Dropping it kills them, and so does the end of this
/// program. Dropping it stops the engines, too, but they outlive a program that is killed.
#[derive(Debug)]
pub struct Cluster {
    plan: Plan,
    binaries: Binaries,
    processes: HashMap<String, OwnedProcess>,
}

impl Cluster {
    /// Starts a cluster in `folder`; when this returns, every daemon is ready.
    ///
    /// # Errors
    /// A daemon cannot be started, has ended (the message has the end of its log) or is not ready in
    /// time.
    pub fn start(layout: &Layout, folder: &Path, binaries: Binaries) -> anyhow::Result<Cluster> {
        let mut cluster = Cluster {
            plan: Plan::make(layout, folder)?,
            binaries,
            processes: HashMap::new(),
        };
        engines::up(&cluster.plan)?;
        engines::prepare(&cluster.plan, &cluster.binaries)?;
        // Trackers first: a storage that finds none tries again only after 2 s.
        for role in Role::ALL {
            let nodes: Vec<Node> = cluster.plan.of(role).cloned().collect();
            if layout.settings.mysql.is_some() && role != Role::Httpd {
                engines::run(
                    &cluster.plan,
                    &nodes[0],
                    &cluster.binaries,
                    "--init-database",
                )?;
            }
            for node in &nodes {
                cluster.start_node(node)?;
            }
            cluster.wait_ready()?;
        }
        Ok(cluster)
    }

    /// The nodes, their addresses and files.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The programs that it runs.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The addresses of the daemons of a role.
    pub fn addresses(&self, role: Role) -> Vec<SocketAddr> {
        self.plan.addrs(role)
    }

    /// A node by its name, such as `storage-1-2`.
    ///
    /// # Panics
    /// No node has this name.
    pub fn node(&self, name: &str) -> Node {
        let mut nodes = self.plan.nodes.iter();
        let node = nodes.find(|node| node.name == name);
        node.unwrap_or_else(|| panic!("no node has the name {name}"))
            .clone()
    }

    /// The process of a node.
    ///
    /// # Errors
    /// The node does not run.
    pub fn process(&mut self, node: &Node) -> anyhow::Result<&mut OwnedProcess> {
        let process = self.processes.get_mut(&node.name);
        process.with_context(|| format!("{} does not run", node.name))
    }

    /// The process id of the first node of a role.
    ///
    /// # Errors
    /// The node does not run, or the role has none.
    pub fn pid_of(&mut self, role: Role) -> anyhow::Result<u32> {
        let node = self.plan.of(role).next().cloned();
        Ok(self.process(&node.context("a node of each role")?)?.pid())
    }

    /// Starts a node that was killed or terminated. It may not be ready yet.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start_node(&mut self, node: &Node) -> anyhow::Result<()> {
        let process = OwnedProcess::own(self.plan.spawn(node, &self.binaries)?)?;
        self.processes.insert(node.name.clone(), process);
        Ok(())
    }

    /// Waits until every node that runs is ready.
    ///
    /// # Errors
    /// A node has ended, or is not ready in time.
    pub fn wait_ready(&mut self) -> anyhow::Result<()> {
        let (plan, processes) = (&self.plan, &mut self.processes);
        let running: Vec<&Node> = plan
            .nodes
            .iter()
            .filter(|node| processes.contains_key(&node.name))
            .collect();
        probe::wait_ready(plan, running, START, &mut || check_alive(plan, processes))
    }

    /// Sends SIGKILL; returns when the process has ended.
    ///
    /// # Errors
    /// The node does not run.
    pub fn kill(&mut self, node: &Node) -> anyhow::Result<()> {
        self.process(node)?.signal(Signal::KILL)?;
        self.wait_exit(node, END).map(drop)
    }

    /// Sends SIGTERM; returns at once.
    ///
    /// # Errors
    /// The node does not run.
    pub fn terminate(&mut self, node: &Node) -> anyhow::Result<()> {
        self.process(node)?.signal(Signal::TERM)
    }

    /// Waits for the end of a node that was signalled.
    ///
    /// # Errors
    /// The node does not run, or does not end in time.
    pub fn wait_exit(&mut self, node: &Node, timeout: Duration) -> anyhow::Result<Exit> {
        let Some(exit) = self.process(node)?.wait(timeout)? else {
            let log = self.plan.log_end(node);
            bail!("{} did not end within {timeout:?}{log}", node.name);
        };
        self.processes.remove(&node.name);
        Ok(exit)
    }

    /// Stops all daemons in order.
    ///
    /// # Errors
    /// A daemon does not end in time, or not with exit code 0.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        for role in Role::STOP_ORDER {
            let nodes: Vec<Node> = self.plan.of(role).cloned().collect();
            let running = |node: &&Node| self.processes.contains_key(&node.name);
            let running: Vec<Node> = nodes.iter().filter(running).cloned().collect();
            for node in &running {
                self.terminate(node)?;
            }
            for node in &running {
                let exit = self.wait_exit(node, START)?;
                if exit != Exit::Code(0) {
                    let log = self.plan.log_end(node);
                    bail!("{} ended with {exit:?}{log}", node.name);
                }
            }
        }
        Ok(())
    }

    /// The end of every log, for a test that fails.
    pub fn log_ends(&self) -> String {
        let nodes = self.plan.nodes.iter();
        nodes.map(|node| self.plan.log_end(node)).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.processes.clear();
        // Nobody waits for the error.
        let _ = engines::stop(&self.plan);
    }
}

fn check_alive(plan: &Plan, processes: &mut HashMap<String, OwnedProcess>) -> anyhow::Result<()> {
    for node in &plan.nodes {
        if let Some(process) = processes.get_mut(&node.name)
            && let Some(exit) = process.wait(Duration::ZERO)?
        {
            bail!("{} ended with {exit:?}{}", node.name, plan.log_end(node));
        }
    }
    Ok(())
}
