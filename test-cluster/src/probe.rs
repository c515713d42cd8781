//! Tests whether daemons are ready.

use std::time::Duration;

use anyhow::Context;
use client::{Connection, ConnectionConfig, Error};
use proto::group_list::{self, Storage};
use proto::tracker::{self, TrackerRequest};
use proto::{Address, Head, idserver, storage};
use test_support::{Seen, http, try_wait_for};

use crate::plan::{Node, Plan, Role};

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(3);
/// An unknown command: the refusal shows that the server answers.
const UNKNOWN_COMMAND: u8 = 255;

/// Succeeds if a node is ready. A storage is ready when every running tracker lists it as active.
///
/// # Errors
/// The reason why it is not ready.
pub fn ready(plan: &Plan, node: &Node) -> anyhow::Result<()> {
    match node.role {
        Role::Tracker => groups(&node.addr.into()).map(drop),
        Role::Idserver => answers(&node.addr.into(), idserver::REPLY),
        Role::Storage => {
            // A tracker may still list the previous process of this storage.
            answers(&node.addr.into(), storage::REPLY)?;
            active_everywhere(plan, node)
        }
        Role::Httpd => httpd_answers(node),
    }
}

/// Waits until every node of `nodes` is [`ready`]. An error of `check` ends the wait.
///
/// # Errors
/// A node is not ready in time, or `check` fails.
pub fn wait_ready<'a>(
    plan: &Plan,
    nodes: impl IntoIterator<Item = &'a Node>,
    timeout: Duration,
    check: &mut dyn FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for node in nodes {
        try_wait_for(&format!("{} to be ready", node.name), timeout, || {
            check()?;
            let seen: Seen<()> = ready(plan, node).map_err(|e| format!("{e:#}"));
            Ok(seen)
        })?;
    }
    Ok(())
}

/// Trackers that are down do not count, unless all are down.
fn active_everywhere(plan: &Plan, storage: &Node) -> anyhow::Result<()> {
    let mut asked = Err(anyhow::anyhow!("there is no tracker"));
    for tracker in plan.addrs(Role::Tracker) {
        let status = match status_at(&tracker.into(), storage) {
            Ok(status) => status,
            Err(e) => {
                asked = asked.or(Err(e));
                continue;
            }
        };
        if status.as_deref() != Some(Storage::ACTIVE) {
            let status = status.unwrap_or_else(|| "unknown".to_owned());
            anyhow::bail!("tracker {tracker} has it as {status}");
        }
        asked = Ok(());
    }
    asked
}

/// The groups of one tracker.
///
/// # Errors
/// The tracker does not answer.
pub fn groups(tracker: &Address) -> anyhow::Result<Vec<group_list::Group>> {
    let mut connection = connect(tracker)?;
    let request = TrackerRequest::Groups.encode();
    let body = connection.call(&request, tracker::REPLY, tracker::GROUPS_REPLY_MAX)?;
    Ok(group_list::decode(&body)?)
}

/// The status of a storage at one tracker; None if the tracker does not list it.
///
/// # Errors
/// The tracker does not answer.
pub fn status_at(tracker: &Address, storage: &Node) -> anyhow::Result<Option<String>> {
    let addr = storage.addr.to_string();
    let groups = groups(tracker)?;
    let mut members = groups.into_iter().flat_map(|group| group.storages);
    let member = members.find(|member| member.address == addr);
    Ok(member.map(|member| member.status))
}

/// Succeeds if a server answers.
fn answers(server: &Address, reply_command: u8) -> anyhow::Result<()> {
    let mut connection = connect(server)?;
    let request = Head::request(UNKNOWN_COMMAND, 0).encode();
    match connection.call(&request, reply_command, 0) {
        Ok(_) | Err(Error::Fault { .. }) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

fn httpd_answers(node: &Node) -> anyhow::Result<()> {
    let url = format!("http://{}/", node.addr);
    http::get(&url, None, ANSWER)
        .map(drop)
        .with_context(|| format!("no answer from {url}"))
}

fn connect(address: &Address) -> Result<Connection, Error> {
    let config = ConnectionConfig {
        connect_timeout: ANSWER,
        io_timeout: ANSWER,
        ..ConnectionConfig::default()
    };
    Connection::connect(address, &config)
}
