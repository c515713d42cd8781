//! How this storage is, put together for the trackers. Never waits: what disks say is what they
//! said when they were last looked after.

use daemon::net::Connections;
use proto::report::{Counters, Report, Space, StorePath};

use crate::globals::Globals;
use crate::store_path::Health;

/// How a store path may be: all that [`of_path`] says.
pub(crate) const PATH_STATES: [&str; 6] =
    ["writable", "full", "read-only", "failed", "away", "hanging"];

/// All that trackers are told.
pub(crate) fn report(globals: &Globals, connections: &Connections, up_since: i64) -> Report {
    let paths: Vec<StorePath> = globals
        .paths
        .iter()
        .map(|path| of_path(globals, path))
        .collect();
    let space = paths
        .iter()
        .fold(Space::default(), |sum, path| sum.plus(path.space));
    Report {
        uploads: globals.takes_uploads(),
        drain: globals.identity.drain(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        up_since,
        space,
        paths,
        counters: Counters {
            connection_alloc_count: connections.max() as u64,
            connection_current_count: connections.now() as u64,
            connection_max_count: connections.most() as u64,
            ..globals.counters.totals()
        },
        errors: globals.counters.errors(),
    }
}

fn of_path(globals: &Globals, path: &crate::store_path::StorePath) -> StorePath {
    let (health, why) = match path.health() {
        _ if path.hangs() => ("hanging", "the disk does not answer".to_owned()),
        Health::Writable if !path.takes_uploads() => ("full", String::new()),
        Health::Writable => ("writable", globals.heal.note(&path.text)),
        Health::ReadOnly(why) => ("read-only", why),
        Health::Failed(why) => ("failed", why),
        Health::Away(why) => ("away", why),
    };
    let space = path.space();
    StorePath {
        path: path.text.clone(),
        space: Space {
            total: space.total,
            free: space.free,
            reserved: space.reserved,
            available: space.available(),
        },
        health: health.to_owned(),
        why,
    }
}
