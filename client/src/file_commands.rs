//! The commands on a stored file that fit one exchange: size, properties, deletion.

use proto::storage::{self, Attributes, FileStat, StorageRequest};
use proto::{ErrorCode, FileKey};

use crate::call::Call;
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

    /// The attributes that the client gave with the upload. A storage of the C++ system or of an earlier version
    /// has none, and is remembered for 10 minutes.
    ///
    /// # Errors
    /// As [`Client::file_size`].
    pub fn attributes(&self, key: &FileKey) -> Result<Attributes, Error> {
        let request = StorageRequest::Attributes(key.clone());
        let call = Call::storage(&request, Attributes::LEN, Attributes::decode);
        ask_each(self, "attributes", key, |peer| {
            let ask = |choice| self.shared.pool.call_on(choice, peer, &call);
            let none = || self.file_size_at(peer, key).map(|_| Attributes::default());
            self.shared.no_attributes.ask(peer.address, ask, none)
        })
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
        let request = StorageRequest::FileSize(key.clone());
        let call = Call::storage(&request, 8, storage::decode_file_size);
        self.shared.pool.call_on(ConnectionChoice::Any, peer, &call)
    }

    pub(crate) fn stat_at(&self, peer: Peer<'_>, key: &FileKey) -> Result<Stat, Error> {
        let request = StorageRequest::Stat(key.clone());
        let call = Call::storage(&request, FileStat::LEN, FileStat::decode);
        let ask = |choice| {
            let stat = self.shared.pool.call_on(choice, peer, &call)?;
            Ok(Stat::from(stat))
        };
        let size_only = || {
            let size = self.file_size_at(peer, key)?;
            Ok(Stat {
                size,
                modified: None,
                checksum: None,
                expires: false,
            })
        };
        self.shared.no_stat.ask(peer.address, ask, size_only)
    }

    fn delete_at(
        &self,
        peer: Peer<'_>,
        key: &FileKey,
        may_be_done: &mut bool,
    ) -> Result<(), Error> {
        let call = Call::storage(&StorageRequest::Delete(key.clone()), 0, |_| Ok(()));
        let pool = &self.shared.pool;
        let exchange = pool.exchange(
            ConnectionChoice::Any,
            peer,
            &call.request,
            call.reply_command,
        );
        *may_be_done |= exchange.repeated;
        let (connection, body_len) = exchange.result?;
        pool.finish(connection, body_len, &call)
    }
}
