//! Content of a storage that may have written a failure into it.

use proto::Fault;
use proto::FileKey;
use proto::storage::{self, StorageRequest};

use crate::failure_frame::{self, FRAME_MAX};
use crate::{Connection, Error};

/// Bytes that are read at once.
const BUFFER_LEN: usize = 64 << 10;
/// Length of the body of a reply to FILESIZE.
const SIZE_LEN: u64 = 8;

/// Content on its way to the reader. The last [`FRAME_MAX`] bytes of what has come are held back
/// until more comes: they may hold a failure reply, which is no content.
///
/// Invariant: `start <= good <= end`; of `buffer[start..end]`, which the reader has not had,
/// `buffer[start..good]` is content.
#[derive(Debug, Default)]
pub(crate) struct HeldBack {
    /// Of no length until it is needed.
    buffer: Box<[u8]>,
    start: usize,
    good: usize,
    end: usize,
}

impl HeldBack {
    /// Whether the reader can have some.
    pub(crate) fn is_ready(&self) -> bool {
        self.start < self.good
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Gives the reader what there is for it.
    pub(crate) fn take(&mut self, buf: &mut [u8]) -> usize {
        let len = buf.len().min(self.good - self.start);
        buf[..len].copy_from_slice(&self.buffer[self.start..self.start + len]);
        self.start += len;
        len
    }

    /// Reads what has come without waiting; tells whether anything has. At the end of the body
    /// nothing is held back any more.
    ///
    /// # Errors
    /// The connection broke, or is out of step at the end of the body. See
    /// [`HeldBack::break_off`].
    pub(crate) fn fill(
        &mut self,
        connection: &mut Connection,
        key: &FileKey,
    ) -> Result<bool, Error> {
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
        // A failure that the announced length cuts ends behind the body.
        if failure_frame::find(self.unread()).is_some() {
            confirm_step(connection, key)?;
        }
        self.good = self.end;
        Ok(true)
    }

    /// The body ended early. What the storage said of the reason is no content; all before it can
    /// be had.
    pub(crate) fn break_off(&mut self) -> Option<Fault> {
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

/// Asks for the size of the file: only if the connection is in step, so that the body before was
/// content to its end, the reply is one.
fn confirm_step(connection: &mut Connection, key: &FileKey) -> Result<(), Error> {
    let request = StorageRequest::FileSize(key.clone()).encode();
    connection.begin_long();
    connection.send(&request)?;
    match connection.read_head(storage::REPLY)? {
        SIZE_LEN => connection.read_part(&mut [0; SIZE_LEN as usize]),
        other => {
            let actual = i64::try_from(other).unwrap_or(i64::MAX);
            Err(connection.body_length(actual, format!("exactly {SIZE_LEN}")))
        }
    }
}
