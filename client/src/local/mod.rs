//! Reading files where they are: a storage on this machine passes an open descriptor of a file over its Unix
//! socket, instead of the content over TCP (docs/protocol.md, Unix socket of a storage).
//!
//! The storage checks the request as it checks READ. Bytes that the kernel has in memory are then read here.
//! The others are requested from the storage over TCP: it knows how to deal with disks that are slow or hang.

mod closer;
mod descriptor;
mod disk_readers;
mod file;
mod kept_files;
mod sockets;

use std::sync::Arc;
use std::time::Instant;

use proto::storage::{self, Open, PassedFile, SocketId, StorageRequest};
use proto::{Address, ErrorCode, FileKey};

use crate::server_queue::Peer;
use crate::unsupported::ConnectionChoice;
use crate::{Client, ClientConfig, Connection, ConnectionPool, Error, LocalReads, PoolConfig};

pub(crate) use descriptor::{DescriptorReceiver, connect};
pub(crate) use file::LocalFile;
use kept_files::KeptFiles;
pub(crate) use sockets::LocalSockets;

/// The files that storages of this machine have opened, and the connections to their Unix sockets.
#[derive(Debug)]
pub(crate) struct LocalFiles {
    /// Connections to Unix sockets, by the TCP address of the storage.
    pool: ConnectionPool,
    sockets: Arc<LocalSockets>,
    kept: Arc<KeptFiles>,
    shared: Arc<file::Shared>,
    is_on: bool,
}

impl LocalFiles {
    /// Shares the open files of a client with earlier settings, and its limits: threads that wait for a disk count.
    pub(crate) fn new(config: &ClientConfig, earlier: Option<&LocalFiles>) -> LocalFiles {
        let LocalReads {
            is_on,
            threads,
            kept_files,
        } = config.local_reads;
        let kept = || Arc::new(KeptFiles::new(kept_files));
        let shared = || Arc::new(file::Shared::new(threads));
        let sockets = Arc::new(LocalSockets::default());
        let pool = ConnectionPool::new(config.connection.clone(), PoolConfig::default());
        LocalFiles {
            pool: pool.at_sockets(Arc::clone(&sockets)),
            sockets,
            kept: earlier.map_or_else(kept, |earlier| Arc::clone(&earlier.kept)),
            shared: earlier.map_or_else(shared, |earlier| Arc::clone(&earlier.shared)),
            is_on,
        }
    }

    /// An open file of a storage that may be asked, if one is kept and the file was not deleted.
    pub(crate) fn kept(
        &self,
        key: &FileKey,
        may_ask: impl FnOnce(&Address) -> bool,
    ) -> Option<Arc<LocalFile>> {
        let file = self.is_on.then(|| self.kept.get(key, Instant::now()))??;
        if may_ask(&file.storage) && file.exists() {
            return Some(file);
        }
        self.kept.forget(key);
        None
    }

    /// Closes the kept files whose time is over: an open file keeps its file system mounted, and its space
    /// in use.
    pub(crate) fn close_expired(&self) {
        self.kept.close_expired(Instant::now());
    }

    /// Closes a kept file whose content is damaged, so that the next request asks for it.
    pub(crate) fn forget(&self, key: &FileKey) {
        self.kept.forget(key);
    }

    /// Moves the storages that are known to be on this machine to the front.
    pub(crate) fn first(&self, addresses: &mut [Address]) {
        addresses.sort_by_key(|address| !self.sockets.is_known(address));
    }

    /// Asks a storage for its Unix socket, without waiting for the reply. `None` if it has none, or has been asked.
    pub(crate) fn begin_ask(&self, client: &Client, peer: Peer<'_>) -> Option<Connection> {
        let asked = self.is_on.then_some(&self.sockets)?;
        asked.begin_ask(&client.shared.pool, peer)
    }

    /// Reads the reply to [`LocalFiles::begin_ask`].
    pub(crate) fn finish_ask(&self, client: &Client, asked: Connection) {
        self.sockets.finish_ask(&client.shared.pool, asked);
    }

    /// Sends OPEN to a storage whose Unix socket is known, without waiting for the reply. `None` if it has to be
    /// asked over TCP.
    pub(crate) fn begin_open(&self, peer: Peer<'_>, key: &FileKey) -> Option<Connection> {
        let request = open_request(key, self.sockets.id(peer.address)?);
        let begun = self.pool.begin(ConnectionChoice::Any, peer, &request);
        begun
            .map_err(|error| self.gave_up(peer.address, &error))
            .ok()
    }

    /// Opens a file at a storage whose Unix socket is known. `None` if it has to be asked over TCP, also after any
    /// failure of the Unix socket itself.
    ///
    /// # Errors
    /// The storage refused, or was silent.
    pub(crate) fn open(
        &self,
        peer: Peer<'_>,
        key: &FileKey,
    ) -> Option<Result<Arc<LocalFile>, Error>> {
        let asked = self.begin_open(peer, key)?;
        self.finish_open(asked, key)
    }

    /// Reads the reply to [`LocalFiles::begin_open`]. Results as for [`LocalFiles::open`].
    pub(crate) fn finish_open(
        &self,
        asked: Connection,
        key: &FileKey,
    ) -> Option<Result<Arc<LocalFile>, Error>> {
        let address = asked.address().clone();
        let request = open_request(key, self.sockets.id(&address)?);
        match self.read_reply(asked, &request) {
            Ok(file) => {
                let file = Arc::new(file);
                // A kept file would outlive its expiry.
                if !file.stat.expires {
                    self.kept.keep(key, &file, Instant::now());
                }
                Some(Ok(file))
            }
            Err(error) if is_of_the_file(&error) => Some(Err(error)),
            Err(error) => {
                self.gave_up(&address, &error);
                None
            }
        }
    }

    fn read_reply(&self, asked: Connection, request: &[u8]) -> Result<LocalFile, Error> {
        let exchange = self.pool.resume(asked, request, storage::REPLY);
        let (mut connection, body_len) = exchange.result?;
        let body = connection.read_body(body_len, PassedFile::LEN)?;
        let passed = PassedFile::decode(&body).map_err(|e| connection.protocol_error(e.into()))?;
        let descriptor = connection.take_descriptor();
        let storage = connection.address().clone();
        let file = LocalFile::new(descriptor, &passed, storage, &self.shared);
        let file = file.map_err(|text| connection.unusable_descriptor(text))?;
        self.pool.put(connection);
        Ok(file)
    }

    fn gave_up(&self, address: &Address, error: &Error) {
        log::debug!("Unix socket of {address}: {}", error.chain());
        self.sockets.forget(address);
    }
}

fn open_request(key: &FileKey, socket: SocketId) -> Vec<u8> {
    let key = key.clone();
    StorageRequest::Open(Open { key, socket }).encode()
}

/// True if the storage itself is the cause: TCP would not help.
fn is_of_the_file(error: &Error) -> bool {
    match error {
        Error::Timeout { .. } => true,
        // These are of the connection: the address of a TCP connection may be allowed, and the socket may be of
        // another storage.
        Error::Fault { source, .. }
            if matches!(
                source.code,
                ErrorCode::Forbidden | ErrorCode::Busy | ErrorCode::BadRequest
            ) =>
        {
            false
        }
        Error::Fault { .. } => !crate::may_be_unknown(error),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_settings_leave_open_files_and_limits_as_they_are() {
        let mut config = ClientConfig::new(Vec::new());
        let first = LocalFiles::new(&config, None);
        config.local_reads.is_on = false;
        let off = LocalFiles::new(&config, Some(&first));
        config.local_reads.is_on = true;
        let second = LocalFiles::new(&config, Some(&off));
        assert!(Arc::ptr_eq(&first.shared, &second.shared));
        assert!(Arc::ptr_eq(&first.kept, &second.kept));
    }
}
