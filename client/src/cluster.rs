//! The state of the whole cluster, as trackers report it.

use chrono::{Local, NaiveDateTime};
use proto::Address;
use proto::cluster::{self, Cluster};
use proto::group_list;
use proto::tracker::{self, TrackerRequest};

use crate::server_queue::{Peer, ServerQueue, TRY_TIME};
use crate::unsupported::ConnectionChoice;
use crate::{Client, Error, PoolManager};

impl Client {
    /// The cluster as one tracker sees it. A C++ tracker is asked for its list of groups instead. This
    /// has no reports and no tracker version, and its times are in the tracker's time zone, which is
    /// assumed to be that of this process.
    ///
    /// # Errors
    /// The tracker refused, or could not be asked.
    pub fn cluster_of(&self, address: &Address) -> Result<Cluster, Error> {
        self.cluster_at(Peer::new(address, self.pools().io_timeout()))
    }

    /// The cluster as the first tracker that answers sees it. A silent tracker costs 2 s while another
    /// one is left.
    ///
    /// # Errors
    /// No tracker answered.
    pub fn cluster(&self) -> Result<Cluster, Error> {
        let pools = self.pools();
        self.trackers()
            .ask("asking the trackers", pools, |peer| self.cluster_at(peer))
    }

    /// The cluster as each tracker that answers sees it. A silent tracker costs 2 s if another one answers.
    ///
    /// # Errors
    /// No tracker answered.
    pub fn clusters(&self) -> Result<Vec<Cluster>, Error> {
        let pools = self.pools();
        let trackers = pools.order(self.trackers().addresses());
        let mut queue = ServerQueue::new(trackers, pools.io_timeout());
        let (mut clusters, mut errors) = (Vec::new(), Vec::new());
        while let Some((address, time)) = queue.next() {
            // Silent trackers get the whole timeout only if no other tracker answers.
            let time = match clusters.is_empty() {
                true => time,
                false => time.min(TRY_TIME),
            };
            match self.cluster_at(Peer::new(&address, time)) {
                Ok(cluster) => clusters.push(cluster),
                Err(error) => {
                    log::debug!("asking {address}: {}", error.chain());
                    queue.failed(&address, &error);
                    errors.push(error);
                }
            }
            if queue.all_asked_once() && !clusters.is_empty() {
                break;
            }
        }
        match clusters.is_empty() {
            true => Err(Error::all_failed("asking the trackers", errors)),
            false => Ok(clusters),
        }
    }

    fn cluster_at(&self, peer: Peer<'_>) -> Result<Cluster, Error> {
        let pools = self.pools();
        let request = TrackerRequest::Cluster.encode();
        let ask = |choice| {
            let (max, decode) = (cluster::CLUSTER_REPLY_MAX, Cluster::decode);
            pools.call_on(choice, peer, &request, tracker::REPLY, max, decode)
        };
        self.no_cluster()
            .ask(peer.address, ask, || list_of(pools, peer))
    }
}

fn list_of(pools: &PoolManager, peer: Peer<'_>) -> Result<Cluster, Error> {
    let request = TrackerRequest::Groups.encode();
    let max = tracker::GROUPS_REPLY_MAX;
    let decode = group_list::decode;
    let groups = pools.call_on(
        ConnectionChoice::Any,
        peer,
        &request,
        tracker::REPLY,
        max,
        decode,
    )?;
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

/// Parses the text of `ctime`, in seconds since the epoch; 0 for any other text.
fn epoch(ctime: &str) -> i64 {
    NaiveDateTime::parse_from_str(ctime, "%a %b %e %H:%M:%S %Y")
        .ok()
        .and_then(|time| time.and_local_timezone(Local).earliest())
        .map_or(0, |time| time.timestamp())
}
