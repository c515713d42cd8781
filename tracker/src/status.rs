//! The periodic jobs: finding silent members, and reading the groups of the database.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base::{Stop, Ticker};
use log::{debug, info, warn};

use crate::globals::Globals;
use crate::log_lines::LogLine;

/// Checks in one check interval. Clients may be sent to a lost member for up to one eighth of the interval
/// longer.
const CHECKS_PER_INTERVAL: u32 = 8;
/// Longest time between two checks, because a reload may shorten the interval.
const CHECK_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Time between two reads of the database's groups, which other trackers may change.
const GROUPS_INTERVAL: Duration = Duration::from_secs(10);

/// Starts the jobs, which run until the stop.
pub(crate) fn start(globals: &Arc<Globals>, stop: &Stop) -> io::Result<[Ticker; 2]> {
    let interval = globals.config.check_interval.duration() / CHECKS_PER_INTERVAL;
    let interval = interval.clamp(Duration::from_millis(1), CHECK_PAUSE_MAX);
    let (members, groups) = (Arc::clone(globals), Arc::clone(globals));
    let mut was_foreign = false;
    let status = Ticker::start("status", interval, stop.clone(), move || {
        check_members(&members);
        was_foreign = log_foreign_database(&members, was_foreign);
    })?;
    // A thread of its own, because a database that hangs must not keep silent members in the lists.
    let groups = Ticker::start("groups", GROUPS_INTERVAL, stop.clone(), move || {
        if let Err(e) = groups.read_all_groups() {
            debug!("groups not read: {:#}", anyhow::Error::from(e));
        }
    })?;
    Ok([status, groups])
}

/// Marks silent members as OFFLINE and removes those that have been silent for long.
pub(crate) fn check_members(globals: &Globals) {
    let now = globals.now();
    let mut groups = globals.groups.lock();
    let (lost, expired) = (groups.check(now), groups.expire(now));
    drop(groups);
    for member in lost {
        let Some(more) = globals.log_lines.due(LogLine::Offline) else {
            continue;
        };
        warn!("{} is offline: {}{more}", member.addr, member.join.member);
    }
    for member in expired {
        let Some(more) = globals.log_lines.due(LogLine::Expired) else {
            continue;
        };
        let (addr, name) = (member.addr, &member.join.member);
        info!("{addr} is forgotten after its silence: {name}{more}");
    }
}

/// Logs when the database becomes another one than the storages know, or the right one again. Returns true
/// while it is another one.
fn log_foreign_database(globals: &Globals, was_foreign: bool) -> bool {
    let foreign = globals.foreign_database();
    match &foreign {
        Some(why) if !was_foreign => warn!(
            "users without a group are refused, {why}; restore the database, or have this one taken \
             as it is with --adopt-cluster"
        ),
        None if was_foreign => info!("the database is the one that the storages know"),
        _ => {}
    }
    foreign.is_some()
}
