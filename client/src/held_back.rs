//! Buffer for the content of a C++ storage, which may contain a failure reply.

use proto::Fault;
use proto::FileKey;
use proto::storage::{self, StorageRequest};

use crate::failure_frame::{self, FRAME_MAX};
use crate::{Connection, Error};

/// Length of the buffer, in bytes.
const BUFFER_LEN: usize = 64 << 10;
/// Length of the body of a reply to FILESIZE.
const SIZE_LEN: u64 = 8;

/// Content that was received and not read. The last [`FRAME_MAX`] bytes are held back until more
/// arrive: they may be a failure reply instead of content.
///
/// Invariant: `start <= good <= end`; `buffer[start..end]` is unread, and
/// `buffer[start..good]` is content.
#[derive(Debug, Default)]
pub(crate) struct HeldBack {
    /// Empty until it is needed.
    buffer: Box<[u8]>,
    start: usize,
    good: usize,
    end: usize,
    /// The body ended with bytes that may be the beginning of a failure reply.
    needs_confirmation: bool,
}

impl HeldBack {
    /// True if the reader can take bytes.
    pub(crate) fn is_ready(&self) -> bool {
        self.start < self.good
    }

    /// True if the next read asks the storage whether the end of the body is content.
    pub(crate) fn needs_confirmation(&self) -> bool {
        self.needs_confirmation
    }

    /// True if there are no bytes, held back or not.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Reads content that has arrived, without waiting. None if there is none for the reader. Asks the
    /// storage first if [`HeldBack::needs_confirmation`].
    ///
    /// # Errors
    /// The connection broke, or is out of step at the end of the body. Call [`HeldBack::break_off`].
    pub(crate) fn read(
        &mut self,
        connection: &mut Connection,
        key: &FileKey,
        buf: &mut [u8],
    ) -> Result<Option<usize>, Error> {
        if connection.is_ours() && self.is_empty() {
            return connection.read_now(buf);
        }
        if self.needs_confirmation {
            self.confirm(connection, key)?;
        }
        loop {
            if let n @ 1.. = self.take(buf) {
                return Ok(Some(n));
            }
            if !self.fill(connection)? {
                return Ok(None);
            }
        }
    }

    /// Copies content to the reader.
    pub(crate) fn take(&mut self, buf: &mut [u8]) -> usize {
        let len = buf.len().min(self.good - self.start);
        buf[..len].copy_from_slice(&self.buffer[self.start..self.start + len]);
        self.start += len;
        len
    }

    /// Reads the bytes that have arrived, without waiting. False if there are none for the reader. At
    /// the end of the body nothing is held back, unless it needs confirmation.
    ///
    /// # Errors
    /// The connection broke. Call [`HeldBack::break_off`].
    fn fill(&mut self, connection: &mut Connection) -> Result<bool, Error> {
        self.make_room();
        let Some(n) = connection.read_now(&mut self.buffer[self.end..])? else {
            return Ok(false);
        };
        self.end += n;
        if connection.body_left() > 0 {
            let good = self.end.saturating_sub(FRAME_MAX);
            self.good = good.max(self.good);
            return Ok(true);
        }
        // A failure reply at the end may go on behind the announced length.
        if failure_frame::find(self.unread()).is_some() {
            self.needs_confirmation = true;
            return Ok(false);
        }
        self.good = self.end;
        Ok(true)
    }

    /// Asks the storage whether the end of the body is content. Waits for the reply.
    ///
    /// # Errors
    /// The connection broke, or is out of step at the end of the body. Call [`HeldBack::break_off`].
    fn confirm(&mut self, connection: &mut Connection, key: &FileKey) -> Result<(), Error> {
        self.needs_confirmation = false;
        confirm_step(connection, key)?;
        self.good = self.end;
        Ok(())
    }

    /// Handles a body that ended early. Removes the failure reply at its end and releases the content
    /// before it.
    pub(crate) fn break_off(&mut self) -> Option<Fault> {
        self.needs_confirmation = false;
        let found = failure_frame::find(self.unread());
        if let Some(found) = &found {
            self.end = self.start + found.start;
        }
        self.good = self.end;
        found?.fault
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn make_room(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = vec![0; BUFFER_LEN].into();
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.good -= self.start;
        self.end -= self.start;
        self.start = 0;
    }
}

/// Requests the size of the file. The reply is valid only if the connection is in step, that is if
/// the body was content to its end.
fn confirm_step(connection: &mut Connection, key: &FileKey) -> Result<(), Error> {
    let request = StorageRequest::FileSize(key.clone()).encode();
    connection.begin_long();
    connection.send(&request)?;
    match connection.read_head(storage::REPLY)? {
        SIZE_LEN => connection.read_part(&mut [0; SIZE_LEN as usize]),
        other => Err(connection.body_length(other, format!("exactly {SIZE_LEN}"))),
    }
}
