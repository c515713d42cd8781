//! Asking storages for a range of a file.

use proto::storage::{self, Span, StorageRequest};
use proto::{ErrorCode, Fault, FileKey};

use crate::client::Purpose;
use crate::storages::Candidates;
use crate::turns::Peer;
use crate::{Client, Connection, Download, Error, Stat};

impl Client {
    /// Opens a whole file for reading.
    ///
    /// # Errors
    /// As [`Client::read_range`].
    pub fn download(&self, key: &FileKey) -> Result<Download, Error> {
        self.read_range(key, 0, None)
    }

    /// Opens `len` bytes of a file from byte `offset` on, or all from there to its end. The
    /// storage has agreed when this returns: that there is no such file comes out here. An empty
    /// range is allowed anywhere up to the end of the file.
    ///
    /// # Errors
    /// A storage refused, with [`ErrorKind::NotFound`](crate::ErrorKind), or with
    /// [`ErrorKind::BadRequest`](crate::ErrorKind) for a range that reaches beyond the end; or
    /// every storage failed.
    pub fn read_range(
        &self,
        key: &FileKey,
        offset: u64,
        len: Option<u64>,
    ) -> Result<Download, Error> {
        if (offset, len) == (0, None) {
            // The checksum comes along.
            return Ok(self.open(key, Span::WHOLE)?.1);
        }
        let mut candidates = Candidates::new(self, key, Purpose::Look)?;
        // Size 0 means something else on the wire: 'to the end'.
        let (connection, remaining) = if len == Some(0) {
            candidates.ask_each("download", |peer| self.check_offset(peer, key, offset))?;
            (None, 0)
        } else {
            let open = |peer: Peer<'_>| open_at(self, peer, key, offset, len);
            let (connection, len) = candidates.ask_each("download", open)?;
            (Some(connection), len)
        };
        let storages = candidates.into_all();
        let range = (offset, remaining);
        Ok(Download::begin(self, key, storages, range, connection))
    }

    pub(crate) fn open_in_two(
        &self,
        peer: Peer<'_>,
        key: &FileKey,
        span: Span,
    ) -> Result<(Stat, Connection), Error> {
        let stat = self.stat_at(peer, key)?;
        let (offset, len) = span.within(stat.size);
        if len == 0 {
            // There is nothing to send; the connection is for those that follow.
            return Ok((stat, self.pools().get(peer.address)?));
        }
        let (connection, _) = open_at(self, peer, key, offset, Some(len))?;
        Ok((stat, connection))
    }

    /// What a storage would say to an empty range, if the wire had one.
    fn check_offset(&self, peer: Peer<'_>, key: &FileKey, offset: u64) -> Result<(), Error> {
        let size = self.file_size_at(peer, key)?;
        if offset <= size {
            return Ok(());
        }
        let message = format!("offset {offset} is beyond the end of the file, {size}");
        Err(Error::Fault {
            address: peer.address.clone(),
            source: Fault::new(ErrorCode::BadRequest, message),
        })
    }
}

/// Asks one storage for a range. Returns the connection, behind the head of the reply, and the
/// length of the range.
pub(crate) fn open_at(
    client: &Client,
    peer: Peer<'_>,
    key: &FileKey,
    offset: u64,
    len: Option<u64>,
) -> Result<(Connection, u64), Error> {
    let request = StorageRequest::Download(storage::Download {
        key: key.clone(),
        offset,
        size: len.unwrap_or(0),
    });
    let exchange = client
        .pools()
        .exchange(peer, &request.encode(), storage::REPLY);
    let (mut connection, body_len) = exchange.result?;
    match len {
        Some(len) if len != body_len => {
            let actual = i64::try_from(body_len).unwrap_or(i64::MAX);
            Err(connection.body_length(actual, format!("exactly {len}")))
        }
        _ => Ok((connection, body_len)),
    }
}
