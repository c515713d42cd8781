//! Asks daemons whether they serve.

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
/// A command that no server knows: the refusal is an answer, and costs nothing.
const UNKNOWN_COMMAND: u8 = 255;

/// Whether a node serves; of a storage, whether every tracker that is up sends clients to it.
///
/// # Errors
/// Why not.
pub fn ready(plan: &Plan, node: &Node) -> anyhow::Result<()> {
    match node.role {
        Role::Tracker => groups(&node.addr.into()).map(drop),
        Role::Idserver => answers(&node.addr.into(), idserver::REPLY),
        Role::Storage => {
            // A tracker may still speak of the process that ran here before.
            answers(&node.addr.into(), storage::REPLY)?;
            active_everywhere(plan, node)
        }
        Role::Httpd => httpd_answers(node),
    }
}

/// Waits until every node of `nodes` is [`ready`]. `watch` is called between looks, and can end
/// the wait: a process that died is not waited for.
///
/// # Errors
/// As [`test_support::wait_for`], and those of `watch`.
pub fn wait_ready<'a>(
    plan: &Plan,
    nodes: impl IntoIterator<Item = &'a Node>,
    patience: Duration,
    watch: &mut dyn FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for node in nodes {
        try_wait_for(&format!("{} to be ready", node.name), patience, || {
            watch()?;
            let seen: Seen<()> = ready(plan, node).map_err(|e| format!("{e:#}"));
            Ok(seen)
        })?;
    }
    Ok(())
}

/// Trackers that are down have no say, unless all are.
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

/// What one tracker says of its groups.
///
/// # Errors
/// It does not answer.
pub fn groups(tracker: &Address) -> anyhow::Result<Vec<group_list::Group>> {
    let mut connection = connect(tracker)?;
    let request = TrackerRequest::Groups.encode();
    let body = connection.call(&request, tracker::REPLY, tracker::GROUPS_REPLY_MAX)?;
    Ok(group_list::decode(&body)?)
}

/// The status of a storage at one tracker; nothing if it is not in the list.
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

/// Whether a server answers at all.
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
        bind: None,
    };
    Connection::connect(address, &config)
}
