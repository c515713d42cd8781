//! The engines of `ENGINE=full`: a Galera cluster of three nodes for the rows, and for each group a
//! GlusterFS volume, which each storage of the group mounts.

use std::process::Command;
use std::thread;

use anyhow::{Context, anyhow};

use crate::binaries::Binaries;
use crate::plan::{Node, Plan, Role};

mod galera;
mod server;
mod volumes;

use server::Server;

/// One process of the engines.
pub(crate) struct Part {
    /// `galera`, `brick`, `mount`.
    pub(crate) kind: &'static str,
    /// Unique among all parts.
    pub(crate) name: String,
    /// The process id, if it runs.
    pub(crate) pid: Option<u32>,
    /// The reason why it is not ready.
    pub(crate) trouble: Option<String>,
}

/// Starts the parts that do not run and returns their names.
///
/// # Errors
/// A program is missing, this is not root, or a part does not start.
pub(crate) fn up(plan: &Plan) -> anyhow::Result<Vec<String>> {
    if !plan.is_full() {
        return Ok(Vec::new());
    }
    test_glusterfs::require()?;
    let (volumes, nodes) = thread::scope(|scope| {
        let volumes = scope.spawn(|| volumes::up(plan));
        let nodes = galera::up(plan);
        (volumes.join(), nodes)
    });
    let volumes = volumes.map_err(|_| anyhow!("a panic"))?;
    let volumes = volumes.context("cannot start GlusterFS")?;
    let nodes = nodes.context("cannot start Galera")?;
    Ok([nodes, volumes].concat())
}

/// Creates missing tables and markers.
///
/// # Errors
/// A daemon fails.
pub(crate) fn prepare(plan: &Plan, binaries: &Binaries) -> anyhow::Result<()> {
    if !plan.is_full() {
        return Ok(());
    }
    for role in [Role::Tracker, Role::Idserver, Role::Storage] {
        if let Some(node) = plan.of(role).next() {
            run(plan, node, binaries, "--init-database")?;
        }
    }
    for node in plan.of(Role::Storage) {
        run(plan, node, binaries, "--init-store")?;
    }
    Ok(())
}

/// Stops all parts. Returns the number of nodes and mounts that ran.
///
/// # Errors
/// A part does not end.
pub(crate) fn stop(plan: &Plan) -> anyhow::Result<usize> {
    if !plan.is_full() {
        return Ok(0);
    }
    let n_mounts = volumes::stop(plan)?;
    Ok(n_mounts + galera::stop(plan)?)
}

/// True if a part runs.
///
/// # Errors
/// `/proc` cannot be read.
pub(crate) fn is_running(plan: &Plan) -> anyhow::Result<bool> {
    for node in Server::all(plan) {
        if node.process()?.is_some() {
            return Ok(true);
        }
    }
    Ok(plan.is_full() && volumes::mounts(plan).iter().any(|(_, pid)| pid.is_some()))
}

/// All parts, running or not.
///
/// # Errors
/// `/proc` cannot be read.
pub(crate) fn parts(plan: &Plan) -> anyhow::Result<Vec<Part>> {
    if !plan.is_full() {
        return Ok(Vec::new());
    }
    let mut parts = Vec::new();
    for node in Server::all(plan) {
        let pid = node.process()?.map(|process| process.pid());
        let trouble = node.ready().err();
        parts.push(Part {
            kind: "galera",
            name: node.name().to_owned(),
            pid,
            trouble: trouble.map(|e| format!("{e:#}")),
        });
    }
    for (kind, found) in [
        ("brick", volumes::bricks(plan)?),
        ("mount", volumes::mounts(plan)),
    ] {
        parts.extend(found.into_iter().map(|(name, pid)| Part {
            kind,
            name,
            pid,
            trouble: None,
        }));
    }
    Ok(parts)
}

pub(crate) fn run(plan: &Plan, node: &Node, binaries: &Binaries, job: &str) -> anyhow::Result<()> {
    let mut command = Command::new(binaries.daemon(node.role));
    command
        .arg("--config")
        .arg(plan.config(node))
        .arg(job)
        .current_dir(plan.work_folder(node));
    let said = test_support::process::run(&mut command);
    said.map(drop)
        .with_context(|| format!("{} {job}", node.name))
}
