//! Opens a part of a file at one storage.
//!
//! A storage of this system is asked with READ, which also returns the file's size, time and
//! checksum. One on this machine is asked with OPEN, which passes the open file. A C++ storage is asked with
//! FILESIZE and DOWNLOAD. Downloads, failover, ranges and `RemoteFile` all open their storage with [`open_at`], or
//! with [`open_at_tcp`] where the file must not be read here.

use std::sync::Arc;

use proto::FileKey;
use proto::storage::{self, ByteRange, FileStat, RangeSpec, StorageRequest};

use crate::local::LocalFile;
use crate::server_queue::Peer;
use crate::unsupported::ConnectionChoice;
use crate::{Client, Connection, Error, Stat};

/// A storage that gives a part of a file: the file's properties, and where the content comes from.
pub(crate) type Opened = (Stat, Origin);

/// Where the content of a part of a file comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// The part is empty.
    Nowhere,
    /// The connection behind the file's properties.
    Connection(Connection),
    /// The open file.
    File(Arc<LocalFile>),
}

impl Client {
    pub(crate) fn opened_locally(
        &self,
        peer: Peer<'_>,
        file: Result<Arc<LocalFile>, Error>,
    ) -> Result<Opened, Error> {
        let file = file.inspect_err(|error| self.shared.pool.note_failure(peer.address, error))?;
        Ok((file.stat, Origin::File(file)))
    }
}

/// Opens a part of a file at one storage: the file itself if the storage is on this machine.
pub(crate) fn open_at(
    client: &Client,
    peer: Peer<'_>,
    key: &FileKey,
    range: RangeSpec,
) -> Result<Opened, Error> {
    match client.shared.local.open(peer, key) {
        Some(file) => client.opened_locally(peer, file),
        None => open_at_tcp(client, peer, key, range, None),
    }
}

/// Opens a part of a file at one storage, with READ or the commands that the storage supports.
/// `asked` is a connection on which READ was sent already.
pub(crate) fn open_at_tcp(
    client: &Client,
    peer: Peer<'_>,
    key: &FileKey,
    range: RangeSpec,
    mut asked: Option<Connection>,
) -> Result<Opened, Error> {
    let read = |choice| read_at(client, choice, peer, key, range, asked.take());
    let cpp = || open_at_cpp(client, peer, key, range);
    client.shared.no_read.ask(peer.address, read, cpp)
}

/// Opens a part of a file at a storage of this system.
pub(crate) fn read_at(
    client: &Client,
    choice: ConnectionChoice,
    peer: Peer<'_>,
    key: &FileKey,
    range: RangeSpec,
    asked: Option<Connection>,
) -> Result<Opened, Error> {
    let (pool, request) = (&client.shared.pool, read_request(key, range));
    let exchange = match asked {
        Some(asked) => pool.resume(asked, &request, storage::REPLY),
        None => pool.exchange(choice, peer, &request, storage::REPLY),
    };
    let (connection, body_len) = exchange.result?;
    read_stat(client, connection, body_len, range)
}

/// Reads the file's properties, which stand in front of the content.
fn read_stat(
    client: &Client,
    mut connection: Connection,
    body_len: u64,
    range: RangeSpec,
) -> Result<Opened, Error> {
    let content_len = body_len.checked_sub(FileStat::LEN as u64);
    let mut head = [0; FileStat::LEN];
    if content_len.is_some() {
        connection
            .read_part(&mut head)
            .inspect_err(|error| client.shared.pool.note_failure(connection.address(), error))?;
    }
    let stat = FileStat::decode(&head).map_err(|e| connection.protocol_error(e.into()))?;
    let ByteRange { len, .. } = range.within(stat.size);
    if content_len != Some(len) {
        return Err(connection.body_length(body_len, format!("{} and {len}", FileStat::LEN)));
    }
    Ok((stat.into(), Origin::Connection(connection)))
}

/// Opens a part of a file at a C++ storage.
fn open_at_cpp(
    client: &Client,
    peer: Peer<'_>,
    key: &FileKey,
    range: RangeSpec,
) -> Result<Opened, Error> {
    let stat = client.stat_at(peer, key)?;
    let ByteRange { offset, len } = range.within(stat.size);
    if len == 0 {
        return Ok((stat, Origin::Nowhere));
    }
    let request = StorageRequest::Download(storage::Download {
        key: key.clone(),
        offset,
        size: len,
    });
    let (pool, request) = (&client.shared.pool, request.encode());
    let exchange = pool.exchange(ConnectionChoice::Any, peer, &request, storage::REPLY);
    let (mut connection, body_len) = exchange.result?;
    if body_len != len {
        return Err(connection.body_length(body_len, format!("exactly {len}")));
    }
    Ok((stat, Origin::Connection(connection)))
}

pub(crate) fn read_request(key: &FileKey, range: RangeSpec) -> Vec<u8> {
    let key = key.clone();
    StorageRequest::Read(storage::Read { key, range }).encode()
}
