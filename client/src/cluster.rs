//! What one tracker knows of the whole cluster.

use chrono::{Local, NaiveDateTime};
use proto::Address;
use proto::cluster::{self, Cluster};
use proto::group_list;
use proto::tracker::{self, TrackerRequest};

use crate::turns::Peer;
use crate::{Client, Error, PoolManager};

impl Client {
    /// All that this tracker knows. A C++ tracker is asked for its list of groups, which holds
    /// less: no reports, no version of its own, and times in its own time zone, which is taken for
    /// that of this process.
    ///
    /// # Errors
    /// It refused, or could not be asked.
    pub fn cluster_of(&self, address: &Address) -> Result<Cluster, Error> {
        let pools = self.pools();
        let request = TrackerRequest::Cluster.encode();
        let peer = Peer::new(address, pools.io_timeout());
        let ask = |way| {
            let (max, decode) = (cluster::CLUSTER_REPLY_MAX, Cluster::decode);
            pools.call_on(way, peer, &request, tracker::REPLY, max, decode)
        };
        self.no_cluster()
            .ask(address, ask, || list_of(pools, address))
    }
}

fn list_of(pools: &PoolManager, address: &Address) -> Result<Cluster, Error> {
    let request = TrackerRequest::Groups.encode();
    let max = tracker::GROUPS_REPLY_MAX;
    let decode = group_list::decode;
    let groups = pools.call(address, &request, tracker::REPLY, max, decode)?;
    Ok(Cluster {
        groups: groups.into_iter().map(group).collect(),
        ..Cluster::default()
    })
}

fn group(group: group_list::Group) -> cluster::Group {
    cluster::Group {
        name: group.name,
        open: true,
        unregistered: false,
        storages: group.storages.into_iter().map(storage).collect(),
    }
}

fn storage(storage: group_list::Storage) -> cluster::Storage {
    cluster::Storage {
        address: storage.address,
        hostname: storage.hostname,
        version: storage.version,
        status: storage.status,
        start_time: epoch(&storage.startup_time),
        join_time: epoch(&storage.join_time),
        beat_time: epoch(&storage.beat_time),
        ..cluster::Storage::default()
    }
}

/// Seconds since the epoch of a time in the form of `ctime`; 0 of any other text.
fn epoch(ctime: &str) -> i64 {
    NaiveDateTime::parse_from_str(ctime, "%a %b %e %H:%M:%S %Y")
        .ok()
        .and_then(|time| time.and_local_timezone(Local).earliest())
        .map_or(0, |time| time.timestamp())
}
