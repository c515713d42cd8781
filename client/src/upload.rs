//! Storing a file exactly once, whatever breaks on the way.
//!
//! The file id is the same in every attempt, and a storage refuses an id it has. So an attempt
//! whose end is unknown can be followed by another: if the storage then says that the file exists,
//! its size and checksum tell whether it is ours.

use std::io::{Read, Seek, SeekFrom};

use proto::storage::UPLOAD_LEN;
use proto::{Address, ErrorCode, FileKey, HEAD_LEN};
use twox_hash::XxHash3_128;

use crate::client::Purpose;
use crate::storages::Candidates;
use crate::upload_attempt::{BUFFER_LEN, Content, Failure, Trace, attempt, buffer_len};
use crate::{Client, Error, ErrorKind};

/// Largest file the wire can announce: the body length is signed and counts 408 bytes more.
const SIZE_MAX: u64 = i64::MAX as u64 - UPLOAD_LEN as u64;

/// What was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uploaded {
    /// Size, in bytes.
    pub size: u64,
    /// XXH3-128 of the content that was read.
    pub checksum: u128,
}

impl Client {
    /// Stores `size` bytes of `source`, from where it stands, as `key`; the file id should come
    /// from [`new_file_id`](crate::new_file_id). `progress` hears how many bytes the current
    /// attempt has sent; a new attempt begins at 0 again. Needs 512 KiB of memory at the most.
    ///
    /// Every storage of the user is tried; one that broke off in the middle gets a second turn at
    /// the end. Success means that the file is stored, once, with this content. After an attempt
    /// of unknown outcome that is judged by size and checksum, or by the size alone where only a
    /// C++ storage can be asked.
    ///
    /// # Errors
    /// - A refusal that no other storage would decide otherwise, such as
    ///   [`ErrorKind::Exists`] when the file was there before the first attempt.
    /// - Every storage failed, and the file is not stored.
    /// - [`Error::OutcomeUnknown`]: an attempt may have stored the file, and no storage can tell.
    /// - [`Error::Source`] or [`Error::SourceSize`]: the source cannot be read, holds more or fewer
    ///   bytes than `size`, or other bytes than in an earlier attempt. It is noticed before the last
    ///   piece is sent, and nothing is stored.
    pub fn upload<S: Read + Seek>(
        &self,
        key: &FileKey,
        source: &mut S,
        size: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Uploaded, Error> {
        if size > SIZE_MAX {
            let reason = format!("{size} bytes are more than the protocol can announce");
            return Err(Error::Source(std::io::Error::other(reason)));
        }
        let start = source.stream_position().map_err(Error::Source)?;
        let mut upload = Upload {
            client: self,
            key,
            source,
            start,
            size,
            buffer: vec![0; buffer_len(size) + HEAD_LEN + UPLOAD_LEN],
            checksum: None,
            trace: Trace::None,
            errors: Vec::new(),
        };
        let checksum = upload.run(progress)?;
        Ok(Uploaded { size, checksum })
    }
}

/// The XXH3-128 of all that is left in `source`, which is the checksum storages keep.
///
/// # Errors
/// What reading `source` returns.
pub fn checksum_of(source: &mut dyn Read) -> std::io::Result<u128> {
    let mut hash = XxHash3_128::new();
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(hash.finish_128()),
            Ok(n) => hash.write(&buffer[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

struct Upload<'a, S> {
    client: &'a Client,
    key: &'a FileKey,
    source: &'a mut S,
    start: u64,
    size: u64,
    buffer: Vec<u8>,
    /// Of the whole content, once it was read whole.
    checksum: Option<u128>,
    /// The worst of what the attempts so far may have left behind.
    trace: Trace,
    /// Why the attempts so far failed.
    errors: Vec<Error>,
}

/// What the storages have under our file id.
enum Found {
    /// Our content.
    Ours(u128),
    /// Some other content.
    Other,
    Nothing,
    /// No storage could tell.
    Unclear,
}

impl<S: Read + Seek> Upload<'_, S> {
    fn run(&mut self, progress: &mut dyn FnMut(u64)) -> Result<u128, Error> {
        let mut candidates = Candidates::new(self.client, self.key, Purpose::Upload)?;
        while let Some((address, _)) = candidates.next() {
            let fresh = candidates.n_tries(&address) > 1;
            let (failure, reused) = match self.attempt_at(&address, fresh, progress) {
                Ok(()) => return self.checksum(),
                Err(failed) => failed,
            };
            log::debug!("upload {}: {}", self.key.file, failure.error.chain());
            let broke = matches!(failure.error, Error::Io { .. } | Error::Protocol { .. });
            let doubtful = self.trace != Trace::None && may_mean_exists(&failure.error);
            let moves_on = failure.error.moves_on();
            self.trace = self.trace.worse(failure.trace);
            self.errors.push(failure.error);
            if doubtful && let Found::Ours(checksum) = self.look()? {
                return Ok(checksum);
            }
            if !moves_on {
                break;
            }
            if broke && candidates.n_tries(&address) < 2 {
                match reused {
                    true => candidates.retry_next(address),
                    false => candidates.retry_last(address),
                }
            }
        }
        self.conclude()
    }

    /// One attempt, on a new connection if `fresh`; with a failure comes whether its connection had
    /// lain in the pool.
    fn attempt_at(
        &mut self,
        address: &Address,
        fresh: bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), (Failure, bool)> {
        let untouched = |error| {
            let trace = Trace::None;
            (Failure { error, trace }, false)
        };
        self.rewind().map_err(untouched)?;
        let pools = self.client.pools();
        let connection = if fresh {
            pools.connect(address)
        } else {
            pools.get(address)
        };
        let mut connection = connection.map_err(untouched)?;
        let reused = connection.reused;
        let mut content = Content {
            source: self.source,
            size: self.size,
            buffer: &mut self.buffer,
            progress,
            checksum: &mut self.checksum,
        };
        match attempt(&mut connection, self.key, &mut content) {
            Ok(()) => {
                pools.put(connection);
                Ok(())
            }
            Err(failure) => {
                pools.put_after(connection, &failure.error);
                Err((failure, reused))
            }
        }
    }

    /// What to say when no attempt was a success.
    fn conclude(&mut self) -> Result<u128, Error> {
        let found = match self.trace {
            Trace::None => Found::Nothing,
            _ => self.look()?,
        };
        let last = self.errors.pop();
        match (found, last) {
            (Found::Ours(checksum), _) => Ok(checksum),
            // The latest refusal is the answer, if it is one; the earlier attempts left nothing.
            (Found::Other | Found::Nothing, Some(last)) if self.is_answer(&last) => Err(last),
            (Found::Nothing, last) if self.trace == Trace::Pending => Err(self.unknown(last)),
            (Found::Unclear, last) => Err(self.unknown(last)),
            (_, last) => Err(self.all_failed(last)),
        }
    }

    fn is_answer(&self, last: &Error) -> bool {
        (!last.moves_on() && self.trace != Trace::Pending)
            || last.fault_code() == Some(ErrorCode::Exists)
    }

    fn all_failed(&mut self, last: Option<Error>) -> Error {
        let errors = self.errors.drain(..).chain(last).collect();
        Error::all_failed("upload", errors)
    }

    fn unknown(&mut self, last: Option<Error>) -> Error {
        Error::OutcomeUnknown {
            key: self.key.clone(),
            source: Box::new(self.all_failed(last)),
        }
    }

    /// Looks whether the file is stored, and whether it is ours: by size, and by checksum where
    /// the storage has one.
    fn look(&mut self) -> Result<Found, Error> {
        let stat = match self.client.stat(self.key) {
            Ok(stat) => stat,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => {
                log::debug!("upload {}: cannot look: {}", self.key.file, error.chain());
                return Ok(Found::Unclear);
            }
        };
        if stat.size != self.size {
            return Ok(Found::Other);
        }
        let ours = self.checksum()?;
        Ok(match stat.checksum {
            Some(theirs) if theirs != ours => Found::Other,
            _ => Found::Ours(ours),
        })
    }

    /// The checksum of the content, which is read once more for it.
    fn checksum(&mut self) -> Result<u128, Error> {
        if let Some(checksum) = self.checksum {
            return Ok(checksum);
        }
        self.rewind()?;
        let mut content = (&mut *self.source).take(self.size);
        let checksum = checksum_of(&mut content).map_err(Error::Source)?;
        self.checksum = Some(checksum);
        Ok(checksum)
    }

    fn rewind(&mut self) -> Result<(), Error> {
        let start = SeekFrom::Start(self.start);
        self.source.seek(start).map_err(Error::Source)?;
        Ok(())
    }
}

impl Trace {
    fn worse(self, other: Trace) -> Trace {
        match (self, other) {
            (Trace::Pending, _) | (_, Trace::Pending) => Trace::Pending,
            (Trace::Settled, _) | (_, Trace::Settled) => Trace::Settled,
            (Trace::None, Trace::None) => Trace::None,
        }
    }
}

/// A C++ storage refuses a file that exists with a failure that has no kind.
fn may_mean_exists(error: &Error) -> bool {
    matches!(
        error.fault_code(),
        Some(ErrorCode::Exists | ErrorCode::Unknown)
    )
}
