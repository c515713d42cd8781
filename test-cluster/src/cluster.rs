//! A cluster that belongs to one test or program: it ends with it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;

use crate::binaries::Binaries;
use crate::engines;
use crate::guard::Guard;
use crate::layout::Layout;
use crate::plan::{Node, Plan, Role};
use crate::probe;
use crate::process::{Exit, Process, last_words};

/// Longest wait for daemons to be ready.
const START: Duration = Duration::from_secs(30);
/// Longest wait for a killed process to be gone.
const END: Duration = Duration::from_secs(10);

/// Running daemons. Dropping it kills them; so does the end of this program.
#[derive(Debug)]
pub struct Cluster {
    plan: Plan,
    binaries: Binaries,
    processes: HashMap<String, Process>,
    guard: Guard,
}

impl Cluster {
    /// Starts a cluster in `folder`; when this returns, every daemon is ready.
    ///
    /// # Errors
    /// A daemon cannot be started, died (its last log lines are in the message) or is not ready in
    /// time.
    pub fn start(layout: &Layout, folder: &Path, binaries: Binaries) -> anyhow::Result<Cluster> {
        let plan = Plan::make(layout, folder)?;
        let configs = plan.config(&plan.nodes[0]);
        let mut cluster = Cluster {
            guard: Guard::start(configs.parent().context("a folder")?)?,
            plan,
            binaries,
            processes: HashMap::new(),
        };
        // Those that are needed first: a storage that finds no tracker tries again after 2 s.
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
                cluster.spawn(node)?;
            }
            cluster.wait_ready()?;
        }
        Ok(cluster)
    }

    /// Who is in it.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The programs it runs.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Where the daemons of a kind listen.
    pub fn addresses(&self, role: Role) -> Vec<SocketAddr> {
        self.plan.addrs(role)
    }

    /// A node by its name, such as `storage-1-2`.
    ///
    /// # Panics
    /// There is none of that name.
    pub fn node(&self, name: &str) -> Node {
        let mut nodes = self.plan.nodes.iter();
        let node = nodes.find(|node| node.name == name);
        node.unwrap_or_else(|| panic!("no node is called {name}"))
            .clone()
    }

    /// The process of a node that runs.
    ///
    /// # Errors
    /// It does not.
    pub fn process(&mut self, node: &Node) -> anyhow::Result<&mut Process> {
        let process = self.processes.get_mut(&node.name);
        process.with_context(|| format!("{} does not run", node.name))
    }

    /// Starts a node that was killed or terminated. It may not be ready yet.
    ///
    /// # Errors
    /// No process is to be had.
    pub fn start_node(&mut self, node: &Node) -> anyhow::Result<()> {
        self.spawn(node)
    }

    /// Waits until every node that runs is ready.
    ///
    /// # Errors
    /// One died, or is not ready in time.
    pub fn wait_ready(&mut self) -> anyhow::Result<()> {
        let (plan, processes) = (&self.plan, &mut self.processes);
        let running: Vec<&Node> = plan
            .nodes
            .iter()
            .filter(|node| processes.contains_key(&node.name))
            .collect();
        probe::wait_ready(plan, running, START, &mut || check_alive(plan, processes))
    }

    /// kill -9; returns when the process is gone.
    ///
    /// # Errors
    /// The node does not run.
    pub fn kill(&mut self, node: &Node) -> anyhow::Result<()> {
        self.process(node)?.signal(Signal::KILL)?;
        self.wait_exit(node, END).map(drop)
    }

    /// SIGTERM; returns at once.
    ///
    /// # Errors
    /// The node does not run.
    pub fn terminate(&mut self, node: &Node) -> anyhow::Result<()> {
        self.process(node)?.signal(Signal::TERM)
    }

    /// Waits for the end of a node that was signalled.
    ///
    /// # Errors
    /// It does not run, or does not end in time.
    pub fn wait_exit(&mut self, node: &Node, patience: Duration) -> anyhow::Result<Exit> {
        let Some(exit) = self.process(node)?.wait(patience)? else {
            bail!(
                "{} did not end within {patience:?}{}",
                node.name,
                last_words(&self.plan, node)
            );
        };
        self.processes.remove(&node.name);
        Ok(exit)
    }

    /// Ends all daemons in order.
    ///
    /// # Errors
    /// One does not end in time, or not with exit code 0.
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
                    bail!(
                        "{} ended with {exit:?}{}",
                        node.name,
                        last_words(&self.plan, node)
                    );
                }
            }
        }
        Ok(())
    }

    /// The end of every log, for whoever wonders what went wrong.
    pub fn last_words(&self) -> String {
        let words = |node| last_words(&self.plan, node);
        self.plan.nodes.iter().map(words).collect()
    }

    fn spawn(&mut self, node: &Node) -> anyhow::Result<()> {
        let process = Process::spawn(&self.plan, node, &self.binaries)?;
        self.guard.add(process.pid())?;
        self.processes.insert(node.name.clone(), process);
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.processes.values() {
            // Nobody is left to be told; the waits below end in any case.
            let _ = process.signal(Signal::KILL);
        }
        for process in self.processes.values_mut() {
            let _ = process.wait(END);
        }
    }
}

fn check_alive(plan: &Plan, processes: &mut HashMap<String, Process>) -> anyhow::Result<()> {
    for node in &plan.nodes {
        if let Some(process) = processes.get_mut(&node.name)
            && let Some(exit) = process.wait(Duration::ZERO)?
        {
            bail!(
                "{} ended with {exit:?}{}",
                node.name,
                last_words(plan, node)
            );
        }
    }
    Ok(())
}
