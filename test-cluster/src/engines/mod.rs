//! What `ENGINE=full` adds to a cluster that stands: a Galera cluster of three nodes for the rows,
//! and for each group a GlusterFS volume that each of its storages has mounted.

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
    /// Among all parts.
    pub(crate) name: String,
    /// Its number, if it runs.
    pub(crate) pid: Option<u32>,
    /// Why it does not serve.
    pub(crate) trouble: Option<String>,
}

/// Starts what does not run, and tells what that was; nothing for a cluster without engines.
///
/// # Errors
/// A program is missing, this is not root, or something does not start.
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

/// Makes tables and markers, those that are missing.
///
/// # Errors
/// A daemon refuses.
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

/// Ends all of it; tells how many nodes and mounts there were.
///
/// # Errors
/// Something did not end.
pub(crate) fn stop(plan: &Plan) -> anyhow::Result<usize> {
    if !plan.is_full() {
        return Ok(0);
    }
    let n_mounts = volumes::stop(plan)?;
    Ok(n_mounts + galera::stop(plan)?)
}

/// Whether any of it runs.
///
/// # Errors
/// The system does not tell.
pub(crate) fn is_running(plan: &Plan) -> anyhow::Result<bool> {
    for node in Server::all(plan) {
        if node.process()?.is_some() {
            return Ok(true);
        }
    }
    Ok(plan.is_full() && volumes::mounts(plan).iter().any(|(_, pid)| pid.is_some()))
}

/// All parts there should be.
///
/// # Errors
/// The system does not tell.
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
