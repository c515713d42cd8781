//! The bytes of a download that come from an open file of this machine.

use std::fs::File;

use super::{Download, note_source};
use crate::Error;
use crate::retry::Retry;

impl Download {
    /// True if the next bytes come from a file of this machine.
    pub fn is_local(&self) -> bool {
        self.file.is_some()
    }

    /// Calls `act` with the open file and the offset of the next bytes, if `len` of them can be read without
    /// waiting and need no comparison with the checksum. [`Download::advance`] follows if bytes were read,
    /// [`Download::abandon`] if that failed.
    pub fn visit_file(&mut self, len: u64, act: &mut dyn FnMut(&File, u64)) {
        if self.check.is_none()
            && let Some(file) = &self.file
        {
            // They can be read again.
            self.peeked.clear();
            let offset = self.offset;
            file.visit(offset, len, |file| act(file, offset));
        }
    }

    /// Reads bytes of the open file that need no wait for its disk. `None` if there are none: a read asks the
    /// storage.
    ///
    /// # Errors
    /// [`Error::Damaged`] behind the last bytes.
    pub fn read_file(&mut self, buf: &mut [u8]) -> Option<Result<usize, Error>> {
        self.peeked.clear();
        let n = self.take_from_file(buf)?;
        Some(self.inspect(&buf[..n]).map(|()| n))
    }

    /// Reads bytes of the open file that need no wait for its disk. Closes the file if there are none.
    pub(super) fn take_from_file(&mut self, buf: &mut [u8]) -> Option<usize> {
        let file = self.file.as_ref()?;
        let len = usize::try_from(self.remaining).map_or(buf.len(), |left| left.min(buf.len()));
        let Some(n) = file.read_at(&mut buf[..len], self.offset) else {
            self.abandon();
            return None;
        };
        note_source(&mut self.sources, &file.storage);
        self.retry = Retry::default();
        self.count(n as u64);
        Some(n)
    }
}
