//! A Galera cluster that outlives the program that starts it.

use std::time::Duration;

use anyhow::Context;
use rustix::process::Signal;

use super::server::Server;
use crate::plan::Plan;
use test_support::wait_until;

/// Longest wait for a running node to become ready.
const SETTLE: Duration = Duration::from_secs(20);

/// Starts the nodes that do not run, waits until all are in one cluster, and returns the names of the
/// started nodes. If no running node is ready, all nodes restart from the one with the latest
/// transaction.
pub(super) fn up(plan: &Plan) -> anyhow::Result<Vec<String>> {
    let nodes = Server::all(plan);
    let is_running = |node: &Server<'_>| node.process().is_ok_and(|found| found.is_some());
    let (running, mut missing): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| is_running(node));
    if !running.is_empty() && !serves(&running) {
        for node in &running {
            node.end(Signal::KILL)?;
        }
        missing = nodes.iter().collect();
    }
    let started = missing.iter().map(|node| node.name().to_owned()).collect();
    if missing.len() == nodes.len() {
        let first = first_of(&nodes)?;
        missing.retain(|node| node.name() != first.name());
        first.start(&["--wsrep-new-cluster"])?;
    }
    // One at a time: a node copies to only one other node.
    for node in missing {
        node.start(&[])?;
    }
    Ok(started)
}

/// Stops all nodes in order. Returns the number of those that ran.
pub(super) fn stop(plan: &Plan) -> anyhow::Result<usize> {
    let mut n_stopped = 0;
    for node in Server::all(plan) {
        n_stopped += usize::from(node.end(Signal::TERM)?);
    }
    Ok(n_stopped)
}

fn serves(running: &[&Server<'_>]) -> bool {
    let any_ready = || running.iter().any(|node| node.ready().is_ok());
    wait_until("a node to serve", SETTLE, any_ready).is_ok()
}

/// The node with the latest transaction. Without any data, the first node, with new tables.
fn first_of<'a, 'b>(nodes: &'b [Server<'a>]) -> anyhow::Result<&'b Server<'a>> {
    let mut best: Option<(i64, &Server<'_>)> = None;
    for node in nodes {
        if let Some(position) = node.position()?
            && best.is_none_or(|(other, _)| position > other)
        {
            best = Some((position, node));
        }
    }
    let first = match best {
        Some((_, node)) => node,
        None => {
            let node = nodes.first().context("a cluster without nodes")?;
            node.install()?;
            node
        }
    };
    for node in nodes {
        node.forget_cluster(node.name() == first.name())?;
    }
    Ok(first)
}
