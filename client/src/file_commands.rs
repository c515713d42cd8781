//! The commands on a stored file that fit one exchange: size, properties, deletion.

use proto::storage::{self, FileStat, StorageRequest};
use proto::{ErrorCode, FileKey};

use crate::candidates::ask_each;
use crate::server_queue::Peer;
use crate::stat::Stat;
use crate::unsupported::ConnectionChoice;
use crate::{Client, Error};

impl Client {
    /// The size of a file, in bytes.
    ///
    /// # Errors
    /// A storage refused ([`ErrorKind::NotFound`](crate::ErrorKind) among the reasons), or none
    /// could be asked.
    pub fn file_size(&self, key: &FileKey) -> Result<u64, Error> {
        ask_each(self, "file size", key, |peer| self.file_size_at(peer, key))
    }

    /// Size, time and checksum of a file. A C++ storage tells the size only, and is remembered for 10
    /// minutes.
    ///
    /// # Errors
    /// As [`Client::file_size`].
    pub fn stat(&self, key: &FileKey) -> Result<Stat, Error> {
        ask_each(self, "stat", key, |peer| self.stat_at(peer, key))
    }

    /// Removes a file. After an attempt without an answer, 'not found' counts as success: that attempt
    /// removed the file.
    ///
    /// # Errors
    /// As [`Client::file_size`].
    pub fn delete(&self, key: &FileKey) -> Result<(), Error> {
        let mut may_be_done = false;
        let result = ask_each(self, "delete", key, |peer| {
            let result = self.delete_at(peer, key, &mut may_be_done);
            if let Err(Error::Io { .. } | Error::Timeout { .. } | Error::Protocol { .. }) = result {
                may_be_done = true;
            }
            result
        });
        match result {
            Err(error) if may_be_done && error.fault_code() == Some(ErrorCode::NotFound) => Ok(()),
            result => result,
        }
    }

    pub(crate) fn file_size_at(&self, peer: Peer<'_>, key: &FileKey) -> Result<u64, Error> {
        let request = StorageRequest::FileSize(key.clone()).encode();
        let decode = storage::decode_file_size;
        self.pools().call_on(
            ConnectionChoice::Any,
            peer,
            &request,
            storage::REPLY,
            8,
            decode,
        )
    }

    pub(crate) fn stat_at(&self, peer: Peer<'_>, key: &FileKey) -> Result<Stat, Error> {
        let request = StorageRequest::Stat(key.clone()).encode();
        let ask = |choice| {
            let (max, decode) = (FileStat::LEN, FileStat::decode);
            let stat = self
                .pools()
                .call_on(choice, peer, &request, storage::REPLY, max, decode)?;
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
        self.no_stat().ask(peer.address, ask, size_only)
    }

    fn delete_at(
        &self,
        peer: Peer<'_>,
        key: &FileKey,
        may_be_done: &mut bool,
    ) -> Result<(), Error> {
        let request = StorageRequest::Delete(key.clone()).encode();
        let choice = ConnectionChoice::Any;
        let exchange = self
            .pools()
            .exchange(choice, peer, &request, storage::REPLY);
        *may_be_done |= exchange.repeated;
        let (connection, body_len) = exchange.result?;
        self.pools().finish(connection, body_len, 0, |_| Ok(()))
    }
}
