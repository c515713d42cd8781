//! The state of the whole cluster, as trackers report it.

use chrono::{Local, NaiveDateTime};
use proto::Address;
use proto::cluster::{self, Cluster};
use proto::group_list;
use proto::tracker::{self, TrackerRequest};

use crate::call::Call;
use crate::server_queue::{Peer, ServerQueue, TRY_TIME};
use crate::unsupported::ConnectionChoice;
use crate::{Client, Error};

/// The request in messages.
const ASKING: &str = "asking the trackers";

impl Client {
    /// The cluster as one tracker sees it. A C++ tracker is asked for its list of groups instead. This
    /// has no reports and no tracker version, and its times are in the tracker's time zone, which is
    /// assumed to be that of this process.
    ///
    /// # Errors
    /// The tracker refused, or could not be asked.
    pub fn cluster_of(&self, address: &Address) -> Result<Cluster, Error> {
        self.cluster_at(Peer::new(address, self.shared.pool.io_timeout()))
    }

    /// The cluster as the first tracker that answers sees it. A silent tracker costs 2 s while another
    /// one is left. With the key of an application it is the list of groups, as of a C++ tracker, because
    /// trackers show the rest to nodes only.
    ///
    /// # Errors
    /// No tracker answered.
    pub fn cluster(&self) -> Result<Cluster, Error> {
        let (trackers, pool) = (&self.shared.trackers, &self.shared.pool);
        trackers.ask(ASKING, pool, |peer| match pool.has_key_of_app() {
            true => self.groups_at(peer),
            false => self.cluster_at(peer),
        })
    }

    /// The cluster as each tracker that answers sees it. A silent tracker costs 2 s if another one answers.
    ///
    /// # Errors
    /// No tracker answered.
    pub fn clusters(&self) -> Result<Vec<Cluster>, Error> {
        let pool = &self.shared.pool;
        let trackers = pool.order(self.shared.trackers.addresses());
        let mut queue = ServerQueue::new("tracker", trackers, pool.io_timeout());
        let mut clusters = Vec::new();
        while let Some((address, time)) = queue.next() {
            // Silent trackers get the whole timeout only if no other tracker answers.
            let time = match clusters.is_empty() {
                true => time,
                false => time.min(TRY_TIME),
            };
            match self.cluster_at(Peer::new(&address, time)) {
                Ok(cluster) => clusters.push(cluster),
                Err(error) => queue.failed(ASKING, &address, error),
            }
            if queue.all_asked_once() && !clusters.is_empty() {
                break;
            }
        }
        match clusters.is_empty() {
            true => Err(queue.all_failed(ASKING)),
            false => Ok(clusters),
        }
    }

    fn cluster_at(&self, peer: Peer<'_>) -> Result<Cluster, Error> {
        let pool = &self.shared.pool;
        let (max, decode) = (cluster::CLUSTER_REPLY_MAX, Cluster::decode);
        let cluster = Call::tracker(&TrackerRequest::Cluster, max, decode);
        let ask = |choice| pool.call_on(choice, peer, &cluster);
        let list = || self.groups_at(peer);
        self.shared.no_cluster.ask(peer.address, ask, list)
    }

    fn groups_at(&self, peer: Peer<'_>) -> Result<Cluster, Error> {
        let max = tracker::GROUPS_REPLY_MAX;
        let groups = Call::tracker(&TrackerRequest::Groups, max, group_list::decode);
        let pool = &self.shared.pool;
        let groups = pool.call_on(ConnectionChoice::Any, peer, &groups)?;
        Ok(Cluster {
            groups: groups.into_iter().map(group).collect(),
            ..Cluster::default()
        })
    }
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
