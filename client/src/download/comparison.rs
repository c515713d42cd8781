//! The comparison of a whole file with its checksum.

use std::time::Instant;

use super::Download;
use crate::{Connection, Error};

impl Download {
    /// True if the content is compared with a checksum.
    pub fn is_checked(&self) -> bool {
        self.check.is_some()
    }

    /// Adds bytes to the checksum that were taken from [`Download::stream`].
    ///
    /// # Errors
    /// [`Error::Damaged`] behind the last bytes.
    pub fn inspect(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(check) = &mut self.check {
            check.update(bytes);
            if self.remaining == 0 && !check.is_good() {
                self.client.shared.local.forget(&self.key);
                return Err(self.client.note_damaged(&self.key, &self.sources));
            }
            if self.remaining == 0 {
                self.note_compared();
            }
        }
        Ok(())
    }

    /// Remembers that the content is that of the checksum, if one storage sent all of it.
    fn note_compared(&self) {
        let [storage] = &self.sources[..] else {
            return;
        };
        match &self.file {
            Some(file) if file.storage == *storage => file.set_verified(),
            Some(_) => {}
            None => {
                let compared = &self.client.shared.compared;
                compared.note(&self.key, storage, self.stat, Instant::now());
            }
        }
    }

    /// Drops the comparison with the checksum if the storage sent exactly this content in the last 10 minutes.
    /// For a caller that takes the bytes from [`Download::stream`] and would copy them only to compare them. If
    /// the download goes on at another storage, its bytes are not compared. Call it before the first read.
    pub fn trust_compared(&mut self) {
        if self.remaining == self.stat.size
            && let Some(storage) = self.connection.as_ref().map(Connection::address)
            && let shared = &self.client.shared
            && shared
                .compared
                .contains(&self.key, storage, self.stat, Instant::now())
        {
            self.check = None;
        }
    }

    /// Compares the content from now on, if it goes on at another storage than that of the verified file: the first
    /// `len` bytes of that file count as read. Not if the kernel does not have them in memory any more.
    pub(super) fn resume_check(&mut self, len: u64) {
        let current = self.connection.as_ref().map(Connection::address);
        let mut sources = self.sources.iter().chain(current);
        let Some(file) = self
            .verified
            .take_if(|file| sources.any(|source| *source != file.storage))
        else {
            return;
        };
        self.check = file.check_of_start(len);
        if self.check.is_none() {
            log::debug!("the rest of {} is not compared", self.key.file);
        }
    }
}
