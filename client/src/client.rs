//! The client: requests to trackers, and the state that all requests share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::ExpiringMap;
use parking_lot::Mutex;
use proto::admin::NONCE_LEN;
use proto::tracker::{self, Saddrs, SaddrsReply, TrackerRequest};
use proto::{Address, AppId, FileId, FileKey, GroupName, UserId};

use crate::call::Call;
use crate::compared_files::ComparedFiles;
use crate::damage_memory::DamageMemory;
use crate::local::LocalFiles;
use crate::server_list::ServerList;
use crate::server_queue::Peer;
use crate::unsupported::{ConnectionChoice, UnsupportedCommands};
use crate::{ClientConfig, ConnectionPool, Error};

/// Limit on users whose storages are cached.
const CACHED_USERS_MAX: usize = 10_000;

/// A client of one cluster. Cheap to clone, and shared by any number of threads. No lock is held while
/// a request waits.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

/// The state that all clones of a client share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) trackers: ServerList,
    pub(crate) pool: ConnectionPool,
    /// The answers of trackers, so that a burst of requests asks once.
    storages: Mutex<ExpiringMap<(AppId, UserId), Arc<SaddrsReply>>>,
    storage_cache: Duration,
    damage: DamageMemory,
    pub(crate) compared: ComparedFiles,
    pub(crate) local: LocalFiles,
    pub(crate) no_stat: UnsupportedCommands,
    pub(crate) no_read: UnsupportedCommands,
    pub(crate) no_cluster: UnsupportedCommands,
    pub(crate) no_list: UnsupportedCommands,
    pub(crate) no_attributes: UnsupportedCommands,
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
        Client::start(config, None)
    }

    /// A client with other settings, which has the open files of this machine in common with this one, and the limits
    /// on their disks.
    pub fn with_settings(&self, config: ClientConfig) -> Client {
        Client::start(config, Some(&self.shared.local))
    }

    fn start(config: ClientConfig, earlier: Option<&LocalFiles>) -> Client {
        Client {
            shared: Arc::new(Shared {
                local: LocalFiles::new(&config, earlier),
                trackers: ServerList::new("tracker", config.trackers),
                pool: ConnectionPool::new(config.connection, config.pool),
                storages: Mutex::new(ExpiringMap::new(CACHED_USERS_MAX)),
                storage_cache: config.storage_cache,
                damage: DamageMemory::default(),
                compared: ComparedFiles::default(),
                no_stat: UnsupportedCommands::new("STAT"),
                no_read: UnsupportedCommands::new("READ"),
                no_cluster: UnsupportedCommands::new("CLUSTER"),
                no_list: UnsupportedCommands::new("LIST"),
                no_attributes: UnsupportedCommands::new("ATTRIBUTES"),
                no_lookup: UnsupportedCommands::new("LOOKUP"),
            }),
        }
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
        let saddrs = Saddrs {
            app: app.clone(),
            user: user.clone(),
            file: file.cloned(),
        };
        self.find_storages(saddrs, Purpose::Upload)
    }

    /// Asks the trackers and caches the answer. [`Purpose::Read`] is asked with LOOKUP. A tracker
    /// without this command, of the C++ system or an earlier version, is asked with SADDRS and
    /// remembered for 10 minutes.
    fn find_storages(&self, saddrs: Saddrs, purpose: Purpose) -> Result<SaddrsReply, Error> {
        let user = (saddrs.app.clone(), saddrs.user.clone());
        let Shared { trackers, pool, .. } = &*self.shared;
        let (max, decode) = (tracker::SADDRS_REPLY_MAX, SaddrsReply::decode);
        let lookup = Call::tracker(&TrackerRequest::Lookup(saddrs.clone()), max, decode);
        let saddrs = Call::tracker(&TrackerRequest::Saddrs(saddrs), max, decode);
        let ask = |peer: Peer<'_>| {
            let ask_saddrs = || pool.call_on(ConnectionChoice::Any, peer, &saddrs);
            let ask_lookup = |choice| pool.call_on(choice, peer, &lookup);
            let no_lookup = &self.shared.no_lookup;
            let reply = match purpose {
                Purpose::Upload => ask_saddrs(),
                Purpose::Read => no_lookup.ask(peer.address, ask_lookup, ask_saddrs),
            }?;
            if reply.addresses.is_empty() {
                return Err(Error::NoServer("active storage"));
            }
            Ok(reply)
        };
        let reply = trackers.ask("finding storages", pool, ask)?;
        let (keep, now) = (self.shared.storage_cache, Instant::now());
        let mut storages = self.shared.storages.lock();
        storages.insert(user, Arc::new(reply.clone()), keep, now);
        Ok(reply)
    }

    /// The storages of a file's user, from the cache.
    pub(crate) fn cached_storages(&self, key: &FileKey) -> Option<Arc<SaddrsReply>> {
        let user = (key.app.clone(), key.user.clone());
        let storages = self.shared.storages.lock();
        storages.get(&user, Instant::now()).cloned()
    }

    /// Closes open files that no request has asked for lately. Only a client with
    /// [`LocalReads::kept_files`](crate::LocalReads) keeps any.
    pub fn close_expired(&self) {
        self.shared.local.close_expired();
    }

    /// Checks that a tracker answers, with a request that it answers from memory. The refusal of a C++
    /// tracker counts as an answer.
    ///
    /// # Errors
    /// The tracker cannot be connected, or is silent.
    pub fn ping_tracker(&self, address: &Address) -> Result<(), Error> {
        let challenge = Call::tracker(&TrackerRequest::Challenge, NONCE_LEN, |_| Ok(()));
        let peer = Peer::new(address, self.shared.pool.io_timeout());
        match self
            .shared
            .pool
            .call_on(ConnectionChoice::Any, peer, &challenge)
        {
            Err(Error::Fault { .. }) => Ok(()),
            answer => answer,
        }
    }

    /// The group of a file's user, if it is cached.
    pub fn cached_group(&self, key: &FileKey) -> Option<GroupName> {
        self.cached_storages(key).map(|reply| reply.group.clone())
    }

    /// The group of a file's user, from the cache or the trackers.
    ///
    /// # Errors
    /// A tracker refused, or none knows the storages. [`ErrorKind::NotFound`](crate::ErrorKind) for a
    /// user without a group.
    pub fn group(&self, key: &FileKey) -> Result<GroupName, Error> {
        match self.cached_group(key) {
            Some(group) => Ok(group),
            None => Ok(self.ask_trackers(key, Purpose::Read)?.group),
        }
    }

    /// The storages of a file's user, and whether they come from the cache.
    pub(crate) fn storages_of(
        &self,
        key: &FileKey,
        purpose: Purpose,
    ) -> Result<(Vec<Address>, bool), Error> {
        match self.cached_storages(key) {
            Some(reply) => Ok((reply.addresses.clone(), true)),
            None => Ok((self.storages_now(key, purpose)?, false)),
        }
    }

    /// The storages of a file's user, from the trackers.
    pub(crate) fn storages_now(
        &self,
        key: &FileKey,
        purpose: Purpose,
    ) -> Result<Vec<Address>, Error> {
        Ok(self.ask_trackers(key, purpose)?.addresses)
    }

    fn ask_trackers(&self, key: &FileKey, purpose: Purpose) -> Result<SaddrsReply, Error> {
        let saddrs = Saddrs {
            app: key.app.clone(),
            user: key.user.clone(),
            file: Some(key.file.clone()),
        };
        self.find_storages(saddrs, purpose)
    }

    /// Sorts addresses for a request for this file: for a read, storages on this machine come first; addresses
    /// that failed lately come late, those that sent damaged content of the file come last.
    pub(crate) fn order(
        &self,
        key: &FileKey,
        purpose: Purpose,
        addresses: &[Address],
    ) -> Vec<Address> {
        let mut addresses = addresses.to_vec();
        if purpose == Purpose::Read {
            self.shared.local.first(&mut addresses);
        }
        let ordered = self.shared.pool.order(&addresses);
        self.shared.damage.last(key, ordered, Instant::now())
    }

    /// Records that the content which these storages sent does not match the file's checksum: for 10
    /// minutes they are asked last for this file. Returns the error.
    pub(crate) fn note_damaged(&self, key: &FileKey, storages: &[Address]) -> Error {
        self.shared.damage.note(key, storages, Instant::now());
        Error::Damaged {
            key: key.clone(),
            storages: storages.to_vec(),
        }
    }
}
