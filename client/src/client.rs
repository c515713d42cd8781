//! The client itself: the questions to trackers, and the storage commands that fit one call.

use std::sync::Arc;
use std::time::Instant;

use proto::admin::NONCE_LEN;
use proto::group_list::{self, Group};
use proto::storage::{self, FileStat, StorageRequest};
use proto::tracker::{self, Saddrs, SaddrsReply, TrackerRequest};
use proto::{Address, AppId, ErrorCode, FileId, FileKey, GroupName, UserId};

use crate::lacking::{Lacking, Way};
use crate::rotation::Rotation;
use crate::storage_cache::StorageCache;
use crate::storages::ask_each;
use crate::suspects::Suspects;
use crate::turns::Peer;
use crate::{ClientConfig, Error, PoolManager};

/// A client of one cluster. Cheap to clone, and shared by any number of threads; no lock is held
/// while a server is waited for.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    trackers: Rotation,
    pools: Arc<PoolManager>,
    storages: StorageCache,
    suspects: Suspects,
    no_stat: Lacking,
    no_read: Lacking,
    no_cluster: Lacking,
    no_lookup: Lacking,
}

/// What storages are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An upload: a new user is bound to a group.
    Upload,
    /// Anything else: a new user has no storages.
    Look,
}

/// What is known of a stored file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Size, in bytes.
    pub size: u64,
    /// When it was stored, seconds since the epoch; a C++ storage does not tell.
    pub modified: Option<i64>,
    /// XXH3-128 of the content; absent if a C++ storage took the file in, or was asked.
    pub checksum: Option<u128>,
}

impl From<FileStat> for Stat {
    fn from(stat: FileStat) -> Stat {
        Stat {
            size: stat.size,
            modified: Some(stat.modified),
            checksum: stat.checksum,
        }
    }
}

impl Client {
    /// A client with connections of its own. Nothing is connected yet.
    pub fn new(config: ClientConfig) -> Client {
        let pools = PoolManager::new(config.connection.clone(), config.pool.clone());
        Client::with_pools(config, Arc::new(pools))
    }

    /// A client over the connections of `pools`; those settings of `config` are not looked at.
    pub fn with_pools(config: ClientConfig, pools: Arc<PoolManager>) -> Client {
        Client {
            inner: Arc::new(Inner {
                trackers: Rotation::new("tracker", config.trackers),
                pools,
                storages: StorageCache::new(config.storage_cache),
                suspects: Suspects::default(),
                no_stat: Lacking::new("STAT"),
                no_read: Lacking::new("READ"),
                no_cluster: Lacking::new("CLUSTER"),
                no_lookup: Lacking::new("LOOKUP"),
            }),
        }
    }

    /// The connections this client uses.
    pub fn pools(&self) -> &Arc<PoolManager> {
        &self.inner.pools
    }

    /// The group of a user and up to three of its active storages, asked of the trackers now: for an
    /// upload, as it binds a new user to a group. A tracker that knows no active storage is passed
    /// over: it may have started just now.
    ///
    /// # Errors
    /// A tracker refused, or none could tell.
    pub fn saddrs(
        &self,
        app: &AppId,
        user: &UserId,
        file: Option<&FileId>,
    ) -> Result<SaddrsReply, Error> {
        let request = TrackerRequest::Saddrs(saddrs_of(app, user, file)).encode();
        self.find_storages(app, user, |peer| self.saddrs_at(peer, &request, Way::Any))
    }

    /// The same for anything but an upload: nobody is bound to a group, and a user without one is
    /// [`ErrorKind::NotFound`](crate::ErrorKind). A tracker that does not know the question, one of
    /// the C++ system or of an earlier version, is asked as by [`Client::saddrs`]; that is remembered
    /// for 10 minutes.
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
            let ask = |way| self.saddrs_at(peer, &lookup, way);
            let instead = || self.saddrs_at(peer, &saddrs, Way::Any);
            self.inner.no_lookup.ask(peer.address, ask, instead)
        })
    }

    /// The first answer of a tracker; it is remembered.
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

    fn saddrs_at(&self, peer: Peer<'_>, request: &[u8], way: Way) -> Result<SaddrsReply, Error> {
        let (max, decode) = (tracker::SADDRS_REPLY_MAX, SaddrsReply::decode);
        self.pools()
            .call_on(way, peer, request, tracker::REPLY, max, decode)
    }

    /// Whether a tracker answers, by a question that it answers from memory. One of the C++ system
    /// refuses the question: that is an answer.
    ///
    /// # Errors
    /// It cannot be connected to, or is silent.
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

    /// The groups and their members, as one tracker sees them.
    ///
    /// # Errors
    /// A tracker refused, or none could be asked.
    pub fn groups(&self) -> Result<Vec<Group>, Error> {
        let request = TrackerRequest::Groups.encode();
        self.inner
            .trackers
            .ask("listing the groups", self.pools(), |peer| {
                self.pools().call_on(
                    Way::Any,
                    peer,
                    &request,
                    tracker::REPLY,
                    tracker::GROUPS_REPLY_MAX,
                    group_list::decode,
                )
            })
    }

    /// The size of a file, in bytes.
    ///
    /// # Errors
    /// A storage refused ([`ErrorKind::NotFound`](crate::ErrorKind) among the reasons), or none
    /// could be asked.
    pub fn file_size(&self, key: &FileKey) -> Result<u64, Error> {
        ask_each(self, "file size", key, |peer| self.file_size_at(peer, key))
    }

    /// Size, time and checksum of a file. A C++ storage knows the size only; that it is one is
    /// remembered for 10 minutes.
    ///
    /// # Errors
    /// As [`Client::file_size`].
    pub fn stat(&self, key: &FileKey) -> Result<Stat, Error> {
        ask_each(self, "stat", key, |peer| self.stat_at(peer, key))
    }

    /// Removes a file. If an attempt ended without an answer, a later one that finds no file is a
    /// success: the first one did it.
    ///
    /// # Errors
    /// As [`Client::file_size`].
    pub fn delete(&self, key: &FileKey) -> Result<(), Error> {
        let mut perhaps_done = false;
        let result = ask_each(self, "delete", key, |peer| {
            let result = self.delete_at(peer, key, &mut perhaps_done);
            if let Err(Error::Io { .. } | Error::Timeout { .. } | Error::Protocol { .. }) = result {
                perhaps_done = true;
            }
            result
        });
        match result {
            Err(error) if perhaps_done && error.fault_code() == Some(ErrorCode::NotFound) => Ok(()),
            result => result,
        }
    }

    /// The group that holds the files of a file's user, if it is remembered.
    pub fn remembered_group(&self, key: &FileKey) -> Option<GroupName> {
        let storages = &self.inner.storages;
        let reply = storages.get(&key.app, &key.user, Instant::now())?;
        Some(reply.group)
    }

    /// The same, asked of the trackers if it is not.
    ///
    /// # Errors
    /// As [`Client::lookup`].
    pub fn group(&self, key: &FileKey) -> Result<GroupName, Error> {
        if let Some(group) = self.remembered_group(key) {
            return Ok(group);
        }
        let reply = self.lookup(&key.app, &key.user, Some(&key.file))?;
        Ok(reply.group)
    }

    /// The storages of a file's user, and whether they come from memory.
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

    /// The same, asked of the trackers now.
    pub(crate) fn storages_now(
        &self,
        key: &FileKey,
        purpose: Purpose,
    ) -> Result<Vec<Address>, Error> {
        let reply = match purpose {
            Purpose::Upload => self.saddrs(&key.app, &key.user, Some(&key.file)),
            Purpose::Look => self.lookup(&key.app, &key.user, Some(&key.file)),
        };
        Ok(reply?.addresses)
    }

    pub(crate) fn file_size_at(&self, peer: Peer<'_>, key: &FileKey) -> Result<u64, Error> {
        let request = StorageRequest::FileSize(key.clone()).encode();
        let decode = storage::decode_file_size;
        self.pools()
            .call_on(Way::Any, peer, &request, storage::REPLY, 8, decode)
    }

    /// The same addresses in the order to ask them for this file: those that could not be reached
    /// or were silent lately come late, those that sent damaged content of the file come last.
    pub(crate) fn order(&self, key: &FileKey, addresses: &[Address]) -> Vec<Address> {
        let ordered = self.pools().order(addresses);
        self.inner.suspects.last(key, ordered, Instant::now())
    }

    /// Takes note that the content of a file, which these storages sent, does not match its
    /// checksum: for the next 10 minutes they are asked last for this file. Returns the error to
    /// report.
    pub fn note_damaged(&self, key: &FileKey, storages: &[Address]) -> Error {
        self.inner.suspects.note(key, storages, Instant::now());
        Error::Damaged {
            key: key.clone(),
            storages: storages.to_vec(),
        }
    }

    /// The trackers to ask.
    pub(crate) fn trackers(&self) -> &Rotation {
        &self.inner.trackers
    }

    /// The trackers that do not know CLUSTER.
    pub(crate) fn no_cluster(&self) -> &Lacking {
        &self.inner.no_cluster
    }

    /// The storages that do not know READ.
    pub(crate) fn no_read(&self) -> &Lacking {
        &self.inner.no_read
    }

    pub(crate) fn stat_at(&self, peer: Peer<'_>, key: &FileKey) -> Result<Stat, Error> {
        let request = StorageRequest::Stat(key.clone()).encode();
        let ask = |way| {
            let (max, decode) = (FileStat::LEN, FileStat::decode);
            let stat = self
                .pools()
                .call_on(way, peer, &request, storage::REPLY, max, decode)?;
            Ok(Stat::from(stat))
        };
        let size_only = || {
            let size = self.file_size_at(peer, key)?;
            Ok(Stat {
                size,
                modified: None,
                checksum: None,
            })
        };
        self.inner.no_stat.ask(peer.address, ask, size_only)
    }

    fn delete_at(
        &self,
        peer: Peer<'_>,
        key: &FileKey,
        perhaps_done: &mut bool,
    ) -> Result<(), Error> {
        let request = StorageRequest::Delete(key.clone()).encode();
        let exchange = self.pools().exchange(peer, &request, storage::REPLY);
        *perhaps_done |= exchange.repeated;
        let (connection, body_len) = exchange.result?;
        self.pools().finish(connection, body_len, 0, |_| Ok(()))
    }
}

fn saddrs_of(app: &AppId, user: &UserId, file: Option<&FileId>) -> Saddrs {
    Saddrs {
        app: app.clone(),
        user: user.clone(),
        file: file.cloned(),
    }
}
