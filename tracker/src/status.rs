//! The periodic jobs: the look for members that have fallen silent, and for the groups that there
//! are.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base::{Stop, Ticker};
use log::{debug, info, warn};

use crate::globals::Globals;
use crate::lines::Line;

/// Looks in one check interval: clients may be sent to a lost member for up to one eighth of it longer.
const LOOKS: u32 = 8;
/// Longest time between two looks: the interval may become shorter.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// Time between two looks at the groups of the database, which others may change.
const GROUPS_INTERVAL: Duration = Duration::from_secs(10);

/// Starts looking, until the stop.
pub(crate) fn start(globals: &Arc<Globals>, stop: &Stop) -> io::Result<[Ticker; 2]> {
    let interval = globals.config.check_interval.duration() / LOOKS;
    let interval = interval.clamp(Duration::from_millis(1), LOOK_MAX);
    let (members, groups) = (Arc::clone(globals), Arc::clone(globals));
    let mut was_foreign = false;
    let status = Ticker::start("status", interval, stop.clone(), move || {
        look(&members);
        was_foreign = tell_of_database(&members, was_foreign);
    })?;
    // On a thread of its own: a database that hangs must not keep silent members in the lists.
    let groups = Ticker::start("groups", GROUPS_INTERVAL, stop.clone(), move || {
        if let Err(e) = groups.read_all_groups() {
            debug!("groups not read: {:#}", anyhow::Error::from(e));
        }
    })?;
    Ok([status, groups])
}

/// Finds members that have fallen silent, once.
pub(crate) fn look(globals: &Globals) {
    let now = globals.now();
    let mut groups = globals.groups.lock();
    let (lost, expired) = (groups.check(now), groups.expire(now));
    drop(groups);
    for member in lost {
        let Some(more) = globals.lines.due(Line::Offline) else {
            continue;
        };
        let name = &member.join.member;
        warn!(
            "{} is offline: {}/{}{more}",
            member.addr, name.group, name.hostname
        );
    }
    for member in expired {
        let Some(more) = globals.lines.due(Line::Expired) else {
            continue;
        };
        let name = &member.join.member;
        info!(
            "{} is forgotten after its silence: {}/{}{more}",
            member.addr, name.group, name.hostname
        );
    }
}

/// Tells when the database turns out not to be the one that the storages know, and when that is
/// over; whether it is so now.
fn tell_of_database(globals: &Globals, was_foreign: bool) -> bool {
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
