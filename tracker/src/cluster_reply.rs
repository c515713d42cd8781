//! The reply to CLUSTER: the groups, the members and their reports, for monitors.

use std::collections::BTreeMap;

use proto::GroupName;
use proto::cluster::{CLUSTER_REPORTS_MAX, Cluster, Group, Storage, Tracker};

use crate::globals::Globals;
use crate::groups::{Member, Reachability};
use crate::groups_reply::status;

/// The body of the reply, with the groups of the database and those that have members.
pub(crate) fn cluster(globals: &Globals) -> Vec<u8> {
    let snapshot = globals.groups.lock().snapshot();
    let directory = globals.directory.lock().clone();
    let mut groups: BTreeMap<GroupName, Vec<Member>> = snapshot.into_iter().collect();
    for name in &directory.groups {
        groups.entry(name.clone()).or_default();
    }
    let all_are_loopback = groups.values().flatten().all(|m| m.addr.ip().is_loopback());
    let mut reports_left = CLUSTER_REPORTS_MAX;
    let groups = groups.into_iter().map(|(name, members)| Group {
        open: directory.groups.contains(&name),
        unregistered: directory.error.is_none() && !directory.has(&name),
        name: name.to_string(),
        storages: members
            .iter()
            .map(|member| storage(member, all_are_loopback, &mut reports_left))
            .collect(),
    });
    let cluster = Cluster {
        tracker: Tracker {
            hostname: globals.config.hostname.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_since: globals.up_since,
            time: globals.now().epoch,
            database_error: directory.error.clone().unwrap_or_default(),
            warnings: globals.foreign_database().into_iter().collect(),
        },
        groups: groups.collect(),
        refused: globals.rejected_joins.lock().list(globals.now().epoch),
    };
    cluster.encode()
}

/// Largest difference of clocks without a note, in seconds: uploads name files by the time.
const CLOCK_SKEW_MAX: i64 = 10;

/// Notes about the address and the clock of a member, one fault each.
fn notes(member: &Member, all_are_loopback: bool) -> Vec<String> {
    let loopback = (member.addr.ip().is_loopback() && !all_are_loopback).then(|| {
        format!(
            "{} is a loopback address: clients elsewhere are not sent there",
            member.addr
        )
    });
    let unreachable = member
        .unreachable_text()
        .map(|text| format!("{text}; the tracker's log has the reason"));
    let note = member.note.as_ref().map(ToString::to_string);
    [unreachable, loopback, note, clock(member)]
        .into_iter()
        .flatten()
        .collect()
}

fn clock(member: &Member) -> Option<String> {
    let secs = member.clock_skew;
    let relation = if secs > 0 { "ahead of" } else { "behind" };
    (secs.saturating_abs() > CLOCK_SKEW_MAX).then(|| {
        let (addr, secs) = (member.addr, secs.saturating_abs());
        format!("the clock of {addr} is {secs} s {relation} this tracker's: set both by NTP")
    })
}

fn storage(member: &Member, all_are_loopback: bool, reports_left: &mut usize) -> Storage {
    let join = &member.join;
    let report = member.report.as_deref().filter(|_| *reports_left > 0);
    *reports_left -= usize::from(report.is_some());
    Storage {
        address: member.addr.to_string(),
        hostname: join.member.hostname.to_string(),
        node: member
            .public_node()
            .map(|node| node.to_string())
            .unwrap_or_default(),
        version: join.version.to_string(),
        status: status(member.state).to_owned(),
        start_time: join.start_time,
        join_time: join.join_time,
        beat_time: member.beat_time,
        notes: notes(member, all_are_loopback),
        untried: member.reachability == Reachability::Assumed,
        offered: member.is_offered(),
        report: report.cloned(),
    }
}
