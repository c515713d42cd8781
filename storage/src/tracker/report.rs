//! Builds the report for trackers. Never blocks: disks have the state of their latest probe.

use daemon::metrics::Requests;
use net::Connections;
use proto::report::{Counters, Report, Space, StorePath};
use proto::storage::{DELETE, DOWNLOAD, FILESIZE, READ, STAT, UPLOAD};

use crate::clock::epoch_secs;
use crate::globals::Globals;
use crate::tracker::ability::Ability;

pub(crate) fn report(globals: &Globals, connections: &Connections, up_since: i64) -> Report {
    let paths: Vec<StorePath> = globals.paths.iter().map(|path| of_path(path)).collect();
    let space = paths
        .iter()
        .fold(Space::default(), |sum, path| sum.plus(path.space));
    let ability = Ability::of(globals);
    Report {
        uploads: ability.uploads.is_ok(),
        downloads: ability.downloads.is_ok(),
        uploads_why: ability.uploads.err().unwrap_or_default(),
        downloads_why: ability.downloads.err().unwrap_or_default(),
        drain: globals.identity.drain(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        up_since,
        time: epoch_secs(),
        space,
        paths,
        counters: Counters {
            connection_alloc_count: connections.max() as u64,
            connection_current_count: connections.now() as u64,
            connection_max_count: connections.most() as u64,
            ..totals(&globals.metrics.frame.requests)
        },
        errors: globals.errors.list(),
        warnings: globals.warnings.list(),
        idservers: globals.numbers.idservers(),
    }
}

/// The counters, named as in FastDFS.
fn totals(requests: &Requests) -> Counters {
    let upload = requests.total(UPLOAD);
    let delete = requests.total(DELETE);
    let both = |one: u8, other: u8| {
        let (one, other) = (requests.total(one), requests.total(other));
        (one.requests + other.requests, one.ok + other.ok)
    };
    let (total_download_count, success_download_count) = both(DOWNLOAD, READ);
    let (total_stat_count, success_stat_count) = both(FILESIZE, STAT);
    let sent = requests.total(DOWNLOAD).sent + requests.total(READ).sent;
    Counters {
        total_upload_count: upload.requests,
        success_upload_count: upload.ok,
        total_upload_bytes: upload.received,
        success_upload_bytes: upload.received,
        total_download_count,
        success_download_count,
        total_download_bytes: sent,
        success_download_bytes: sent,
        total_delete_count: delete.requests,
        success_delete_count: delete.ok,
        total_stat_count,
        success_stat_count,
        ..Counters::default()
    }
}

fn of_path(path: &crate::disks::store_path::StorePath) -> StorePath {
    let (health, why) = path.state();
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
