//! The periodic look for members that have fallen silent.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use daemon::Stop;
use daemon::ticker::Ticker;
use log::warn;

use crate::globals::Globals;

/// Looks in one check interval: a lost member is sent to for an eighth of it longer at most.
const LOOKS: u32 = 8;

/// Starts looking, until the stop.
pub(crate) fn start(globals: &Arc<Globals>, stop: &Stop) -> io::Result<Ticker> {
    let interval = globals.config.check_interval.duration() / LOOKS;
    let interval = interval.max(Duration::from_millis(1));
    let globals = Arc::clone(globals);
    Ticker::start("status", interval, stop.clone(), move || look(&globals))
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
