//! The periodic jobs: the look for members that have fallen silent, and for the groups that there
//! are.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use daemon::Stop;
use daemon::ticker::Ticker;
use log::{debug, warn};

use crate::globals::Globals;

/// Looks in one check interval: a lost member is sent to for an eighth of it longer at most.
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
    let status = Ticker::start("status", interval, stop.clone(), move || look(&members))?;
    // On a thread of its own: a database that hangs must not keep silent members in the lists.
    let groups = Ticker::start("groups", GROUPS_INTERVAL, stop.clone(), move || {
        if let Err(e) = groups.read_all_groups() {
            debug!("groups not read: {:#}", anyhow::Error::from(e));
        }
    })?;
    Ok([status, groups])
}

fn look(globals: &Globals) {
    let now = globals.now();
    let lost = globals.groups.lock().check(now);
    for member in lost {
        let name = &member.join.member;
        warn!(
            "{} is offline: {}/{}",
            member.addr, name.group, name.hostname
        );
    }
}
