//! Storing a file exactly once, in several attempts if necessary.
//!
//! All attempts use the same file id, and a storage refuses an id that exists. So an attempt of unknown
//! outcome can be repeated: if the storage then says that the file exists, size and checksum tell
//! whether an earlier attempt stored it.
//!
//! A file with attributes is sent with STORE. A storage of the C++ system or of an earlier version does not know it:
//! it gets UPLOAD if only the name is lost by that, and no file that would never expire.

use std::io::{Read, Seek};

use proto::storage::{Attributes, Store};
use proto::{Address, ErrorCode, FileKey};

use crate::candidates::Candidates;
use crate::client::Purpose;
use crate::unsupported::may_be_unknown;
use crate::upload_attempt::{AttemptResidue, Failure, attempt};
use crate::upload_content::Content;
use crate::{Client, Error, ErrorKind};

/// Largest file that a frame can announce: the body length is signed and includes the fixed part.
const SIZE_MAX: u64 = i64::MAX as u64 - Store::LEN as u64;

/// A stored file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uploaded {
    /// Size, in bytes.
    pub size: u64,
    /// XXH3-128 of the content that was read.
    pub checksum: u128,
}

impl Client {
    /// Stores `size` bytes of `source`, from its current position, as `key`. The file id should come
    /// from [`new_file_id`](crate::new_file_id). `progress` gets the number of bytes that the current
    /// attempt has sent; a new attempt begins at 0. Needs 512 KiB of memory at most.
    ///
    /// Every storage of the user is tried. One that broke the connection is tried again at the end.
    /// Success means that the file is stored, once, with this content. After an attempt of unknown
    /// outcome this is decided by size and checksum, or by the size alone if only a C++ storage can be
    /// asked.
    ///
    /// # Errors
    /// - A refusal that all storages share, such as [`ErrorKind::Exists`] if the file existed before
    ///   the first attempt.
    /// - Every storage failed, and the file is not stored.
    /// - [`Error::OutcomeUnknown`]: an attempt may have stored the file, and no storage can tell.
    /// - [`Error::Source`] or [`Error::SourceSize`]: the source cannot be read, holds more or fewer
    ///   bytes than `size`, or other bytes than in an earlier attempt. This is found before the last
    ///   piece is sent, and nothing is stored.
    pub fn upload<S: Read + Seek>(
        &self,
        key: &FileKey,
        source: &mut S,
        size: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Uploaded, Error> {
        self.upload_with(key, &Attributes::default(), source, size, progress)
    }

    /// As [`Client::upload`], with attributes.
    ///
    /// # Errors
    /// Also [`Error::Unsupported`]: the file is to expire, and no storage that answers knows that.
    pub fn upload_with<S: Read + Seek>(
        &self,
        key: &FileKey,
        attributes: &Attributes,
        source: &mut S,
        size: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Uploaded, Error> {
        if size > SIZE_MAX {
            let reason = format!("{size} bytes are more than the protocol can announce");
            return Err(Error::Source(std::io::Error::other(reason)));
        }
        let content = Content::new(source, size).map_err(Error::Source)?;
        let mut upload = Upload {
            client: self,
            key,
            attributes,
            content,
            residue: AttemptResidue::None,
            errors: Vec::new(),
        };
        let checksum = upload.run(progress)?;
        Ok(Uploaded { size, checksum })
    }
}

struct Upload<'a, S> {
    client: &'a Client,
    key: &'a FileKey,
    attributes: &'a Attributes,
    content: Content<'a, S>,
    /// The worst residue of the attempts so far.
    residue: AttemptResidue,
    /// The failures so far.
    errors: Vec<Error>,
}

/// The file that the storages have under this id.
enum Found {
    /// The uploaded content, with its checksum.
    Same(u128),
    /// Other content.
    Other,
    Nothing,
    /// No storage answers.
    Unknown,
}

impl<S: Read + Seek> Upload<'_, S> {
    fn run(&mut self, progress: &mut dyn FnMut(u64)) -> Result<u128, Error> {
        let mut candidates = Candidates::new(self.client, self.key, Purpose::Upload)?;
        while let Some((address, _)) = candidates.next() {
            let fresh = candidates.n_tries(&address) > 1;
            let failure = match self.attempt_at(&address, fresh, progress) {
                Ok(()) => return self.content.checksum(),
                Err(failure) => failure,
            };
            log::debug!("upload {}: {}", self.key.file, failure.error.chain());
            let broke = matches!(failure.error, Error::Io { .. } | Error::Protocol { .. });
            let doubtful = self.residue != AttemptResidue::None && may_mean_exists(&failure.error);
            let moves_on = failure.error.moves_on();
            self.residue = self.residue.max(failure.residue);
            self.errors.push(failure.error);
            if doubtful && let Found::Same(checksum) = self.find()? {
                return Ok(checksum);
            }
            if !moves_on {
                break;
            }
            if broke && candidates.n_tries(&address) < 2 {
                candidates.again(address, failure.reused);
            }
        }
        self.conclude()
    }

    /// One attempt, on a new connection if `fresh`. A second one without attributes, if the storage may not know
    /// them.
    fn attempt_at(
        &mut self,
        address: &Address,
        fresh: bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let client = self.client;
        let known = &client.shared.no_attributes;
        let none = Attributes::default();
        let attributes = match known.has(address) {
            true if self.attributes.expires.is_none() => &none,
            _ => self.attributes,
        };
        let mut failure = match self.send_to(address, fresh, attributes, progress) {
            Err(failure) if !attributes.is_empty() && may_be_unknown(&failure.error) => failure,
            sent => return sent,
        };
        // A storage that restarted closes the connections of the pool: the next attempt is on a new one.
        if failure.reused && matches!(failure.error, Error::Io { .. }) {
            return Err(failure);
        }
        if attributes.expires.is_some() {
            if matches!(failure.error, Error::Fault { .. }) {
                failure.error = Error::Unsupported {
                    address: address.clone(),
                    command: "STORE",
                };
            }
            return Err(failure);
        }
        self.residue = self.residue.max(failure.residue);
        self.send_to(address, true, &none, progress)?;
        // The storage works, so it refused the command only.
        known.remember(address);
        Ok(())
    }

    fn send_to(
        &mut self,
        address: &Address,
        fresh: bool,
        attributes: &Attributes,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let untouched = |error| Failure {
            error,
            residue: AttemptResidue::None,
            reused: false,
        };
        self.content.rewind().map_err(untouched)?;
        let pool = &self.client.shared.pool;
        let connection = match fresh {
            true => pool.connect(address),
            false => pool.get(address),
        };
        let mut connection = connection.map_err(untouched)?;
        let result = attempt(
            &mut connection,
            (self.key, attributes),
            &mut self.content,
            progress,
        );
        match &result {
            Ok(()) => pool.put(connection),
            Err(failure) => pool.put_after(connection, &failure.error),
        }
        result
    }

    /// The result after all attempts failed.
    fn conclude(&mut self) -> Result<u128, Error> {
        let found = match self.residue {
            AttemptResidue::None => Found::Nothing,
            _ => self.find()?,
        };
        let last = self.errors.pop();
        match (found, last) {
            (Found::Same(checksum), _) => Ok(checksum),
            // A refusal by the latest storage is the answer: the earlier attempts left nothing.
            (Found::Other | Found::Nothing, Some(last)) if self.is_answer(&last) => Err(last),
            (Found::Nothing, last) if self.residue == AttemptResidue::Pending => {
                Err(self.unknown(last))
            }
            (Found::Unknown, last) => Err(self.unknown(last)),
            (_, last) => Err(self.all_failed(last)),
        }
    }

    fn is_answer(&self, last: &Error) -> bool {
        (!last.moves_on() && self.residue != AttemptResidue::Pending)
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

    /// Asks whether the file is stored with this content: by size, and by checksum if the storage has
    /// one.
    fn find(&mut self) -> Result<Found, Error> {
        let stat = match self.client.stat(self.key) {
            Ok(stat) => stat,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => {
                log::debug!("upload {}: cannot look: {}", self.key.file, error.chain());
                return Ok(Found::Unknown);
            }
        };
        if stat.size != self.content.size {
            return Ok(Found::Other);
        }
        let ours = self.content.checksum()?;
        Ok(match stat.checksum {
            Some(theirs) if theirs != ours => Found::Other,
            _ => Found::Same(ours),
        })
    }
}

/// A C++ storage refuses a file that exists with a failure of code Unknown.
fn may_mean_exists(error: &Error) -> bool {
    matches!(
        error.fault_code(),
        Some(ErrorCode::Exists | ErrorCode::Unknown)
    )
}
