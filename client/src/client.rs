//! The client: requests to trackers, and the state that all requests share.

use std::sync::Arc;
use std::time::Instant;

use proto::admin::NONCE_LEN;
use proto::group_list::{self, Group};
use proto::tracker::{self, Saddrs, SaddrsReply, TrackerRequest};
use proto::{Address, AppId, FileId, FileKey, GroupName, UserId};

use crate::damage_memory::DamageMemory;
use crate::rotation::Rotation;
use crate::server_queue::Peer;
use crate::storage_cache::StorageCache;
use crate::unsupported::{ConnectionChoice, UnsupportedCommands};
use crate::{ClientConfig, Error, PoolManager};

/// A client of one cluster. Cheap to clone, and shared by any number of threads. No lock is held while
/// a request waits.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    trackers: Rotation,
    pools: PoolManager,
    storages: StorageCache,
    damage: DamageMemory,
    no_stat: UnsupportedCommands,
    no_read: UnsupportedCommands,
    no_cluster: UnsupportedCommands,
    no_lookup: UnsupportedCommands,
}

/// The reason to ask for storages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An upload: a new user is bound to a group.
    Upload,
    /// All other requests: a new user has no storages.
    Read,
}

impl Client {
    /// A client with a connection pool of its own. Connects when a request needs it.
    pub fn new(config: ClientConfig) -> Client {
        Client {
            inner: Arc::new(Inner {
                trackers: Rotation::new("tracker", config.trackers),
                pools: PoolManager::new(config.connection, config.pool),
                storages: StorageCache::new(config.storage_cache),
                damage: DamageMemory::default(),
                no_stat: UnsupportedCommands::new("STAT"),
                no_read: UnsupportedCommands::new("READ"),
                no_cluster: UnsupportedCommands::new("CLUSTER"),
                no_lookup: UnsupportedCommands::new("LOOKUP"),
            }),
        }
    }

    /// The connection pools.
    pub(crate) fn pools(&self) -> &PoolManager {
        &self.inner.pools
    }

    /// Asks the trackers for the group of a user and up to three of its active storages, for an upload:
    /// binds a new user to a group. A tracker without an active storage is passed over, because it may
    /// have started just now.
    ///
    /// # Errors
    /// A tracker refused, or none knows the storages.
    pub fn saddrs(
        &self,
        app: &AppId,
        user: &UserId,
        file: Option<&FileId>,
    ) -> Result<SaddrsReply, Error> {
        let request = TrackerRequest::Saddrs(saddrs_of(app, user, file)).encode();
        self.find_storages(app, user, |peer| {
            self.saddrs_at(peer, &request, ConnectionChoice::Any)
        })
    }

    /// As [`Client::saddrs`], for all other requests: does not bind a user, and a user without a group
    /// is [`ErrorKind::NotFound`](crate::ErrorKind). A tracker without this command, of the C++ system
    /// or an earlier version, is asked as by [`Client::saddrs`] and remembered for 10 minutes.
    ///
    /// # Errors
    /// As [`Client::saddrs`].
    pub fn lookup(
        &self,
        app: &AppId,
        user: &UserId,
        file: Option<&FileId>,
    ) -> Result<SaddrsReply, Error> {
        let saddrs = saddrs_of(app, user, file);
        let lookup = TrackerRequest::Lookup(saddrs.clone()).encode();
        let saddrs = TrackerRequest::Saddrs(saddrs).encode();
        self.find_storages(app, user, |peer| {
            let ask = |choice| self.saddrs_at(peer, &lookup, choice);
            let instead = || self.saddrs_at(peer, &saddrs, ConnectionChoice::Any);
            self.inner.no_lookup.ask(peer.address, ask, instead)
        })
    }

    /// The first answer of a tracker, which goes into the cache.
    fn find_storages(
        &self,
        app: &AppId,
        user: &UserId,
        ask: impl Fn(Peer<'_>) -> Result<SaddrsReply, Error>,
    ) -> Result<SaddrsReply, Error> {
        let ask = |peer: Peer<'_>| {
            let reply = ask(peer)?;
            if reply.addresses.is_empty() {
                return Err(Error::NoServer("active storage"));
            }
            Ok(reply)
        };
        let reply = self
            .inner
            .trackers
            .ask("finding storages", self.pools(), ask)?;
        let now = Instant::now();
        self.inner.storages.put(app, user, &reply, now);
        Ok(reply)
    }

    fn saddrs_at(
        &self,
        peer: Peer<'_>,
        request: &[u8],
        choice: ConnectionChoice,
    ) -> Result<SaddrsReply, Error> {
        let (max, decode) = (tracker::SADDRS_REPLY_MAX, SaddrsReply::decode);
        self.pools()
            .call_on(choice, peer, request, tracker::REPLY, max, decode)
    }

    /// Checks that a tracker answers, with a request that it answers from memory. The refusal of a C++
    /// tracker counts as an answer.
    ///
    /// # Errors
    /// The tracker cannot be connected, or is silent.
    pub fn ping_tracker(&self, address: &Address) -> Result<(), Error> {
        let request = TrackerRequest::Challenge.encode();
        let answer = self
            .pools()
            .call(address, &request, tracker::REPLY, NONCE_LEN, |_| Ok(()));
        match answer {
            Err(Error::Fault { .. }) => Ok(()),
            answer => answer,
        }
    }

    /// The groups and their members, as the first tracker that answers sees them.
    ///
    /// # Errors
    /// A tracker refused, or none could be asked.
    pub fn groups(&self) -> Result<Vec<Group>, Error> {
        let request = TrackerRequest::Groups.encode();
        self.inner
            .trackers
            .ask("listing the groups", self.pools(), |peer| {
                self.pools().call_on(
                    ConnectionChoice::Any,
                    peer,
                    &request,
                    tracker::REPLY,
                    tracker::GROUPS_REPLY_MAX,
                    group_list::decode,
                )
            })
    }

    /// The group of a file's user, if it is cached.
    pub fn cached_group(&self, key: &FileKey) -> Option<GroupName> {
        let storages = &self.inner.storages;
        let reply = storages.get(&key.app, &key.user, Instant::now())?;
        Some(reply.group)
    }

    /// The group of a file's user, from the cache or the trackers.
    ///
    /// # Errors
    /// As [`Client::lookup`].
    pub fn group(&self, key: &FileKey) -> Result<GroupName, Error> {
        if let Some(group) = self.cached_group(key) {
            return Ok(group);
        }
        let reply = self.lookup(&key.app, &key.user, Some(&key.file))?;
        Ok(reply.group)
    }

    /// The storages of a file's user, and whether they come from the cache.
    pub(crate) fn storages_of(
        &self,
        key: &FileKey,
        purpose: Purpose,
    ) -> Result<(Vec<Address>, bool), Error> {
        let now = Instant::now();
        if let Some(reply) = self.inner.storages.get(&key.app, &key.user, now) {
            return Ok((reply.addresses, true));
        }
        Ok((self.storages_now(key, purpose)?, false))
    }

    /// The storages of a file's user, from the trackers.
    pub(crate) fn storages_now(
        &self,
        key: &FileKey,
        purpose: Purpose,
    ) -> Result<Vec<Address>, Error> {
        let reply = match purpose {
            Purpose::Upload => self.saddrs(&key.app, &key.user, Some(&key.file)),
            Purpose::Read => self.lookup(&key.app, &key.user, Some(&key.file)),
        };
        Ok(reply?.addresses)
    }

    /// Sorts addresses for a request for this file: addresses that failed lately come late, those that
    /// sent damaged content of the file come last.
    pub(crate) fn order(&self, key: &FileKey, addresses: &[Address]) -> Vec<Address> {
        let ordered = self.pools().order(addresses);
        self.inner.damage.last(key, ordered, Instant::now())
    }

    /// Records that the content which these storages sent does not match the file's checksum: for 10
    /// minutes they are asked last for this file. Returns the error.
    pub(crate) fn note_damaged(&self, key: &FileKey, storages: &[Address]) -> Error {
        self.inner.damage.note(key, storages, Instant::now());
        Error::Damaged {
            key: key.clone(),
            storages: storages.to_vec(),
        }
    }

    /// The trackers.
    pub(crate) fn trackers(&self) -> &Rotation {
        &self.inner.trackers
    }

    /// The trackers without CLUSTER.
    pub(crate) fn no_cluster(&self) -> &UnsupportedCommands {
        &self.inner.no_cluster
    }

    /// The storages without READ.
    pub(crate) fn no_read(&self) -> &UnsupportedCommands {
        &self.inner.no_read
    }

    /// The storages without STAT.
    pub(crate) fn no_stat(&self) -> &UnsupportedCommands {
        &self.inner.no_stat
    }
}

fn saddrs_of(app: &AppId, user: &UserId, file: Option<&FileId>) -> Saddrs {
    Saddrs {
        app: app.clone(),
        user: user.clone(),
        file: file.cloned(),
    }
}
