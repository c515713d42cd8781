//! The files of a measurement: their content, their list, and the operations on them.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::Context as _;
use client::{Client, ListQuery, new_file_id};
use proto::{AppId, FileId, FileKey, UserId};
use serde::{Deserialize, Serialize};

use crate::failure::{self, UsageError, WRONG_BYTES};
use crate::{Content, Failure, Meter};

/// Files of one list: a reply of a storage has no more.
const LISTED_MAX: usize = 1000;

/// A stored file and its content.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) id: String,
    pub(crate) seed: u64,
    pub(crate) size: u64,
}

impl Stored {
    pub(crate) fn content(&self) -> Content {
        Content::new(self.seed, self.size)
    }
}

/// Reads the list of an earlier run.
///
/// # Errors
/// A [`UsageError`] in the chain: it cannot be read, or lists nothing.
pub(crate) fn load_list(path: &Path) -> anyhow::Result<Vec<Stored>> {
    let read = || -> anyhow::Result<Vec<Stored>> {
        let files: Vec<Stored> = serde_json::from_slice(&fs::read(path)?)?;
        anyhow::ensure!(!files.is_empty(), "it lists no file");
        Ok(files)
    };
    read().map_err(|error| {
        let path = path.display();
        UsageError(format!("cannot use the list {path}: {error:#}")).into()
    })
}

/// Writes a list for a later run.
///
/// # Errors
/// It cannot be written.
pub(crate) fn save_list(path: &Path, files: &[Stored]) -> anyhow::Result<()> {
    fs::write(path, serde_json::to_vec(files)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// A user's files at the storages.
#[derive(Debug, Clone)]
pub(crate) struct FilePool {
    pub(crate) client: Client,
    pub(crate) app: AppId,
    pub(crate) user: UserId,
}

impl FilePool {
    /// Stores a file of this content.
    pub(crate) fn upload(&self, seed: u64, size: u64, meter: &Meter) -> Result<Stored, Failure> {
        let id = new_file_id(&self.user);
        let stored = Stored {
            id: id.as_str().to_owned(),
            seed,
            size,
        };
        let mut told = 0;
        let mut progress = |sent: u64| {
            meter.add(sent.saturating_sub(told));
            told = told.max(sent);
        };
        self.client
            .upload(&self.key(id), &mut stored.content(), size, &mut progress)
            .map_err(|error| failure::of(&error))?;
        Ok(stored)
    }

    /// Reads `len` bytes from `offset` on, or the whole file, and compares them.
    pub(crate) fn read(
        &self,
        file: &Stored,
        range: Option<(u64, u64)>,
        buffer: &mut [u8],
        meter: &Meter,
    ) -> Result<(), Failure> {
        let key = self.key_of(file)?;
        let (offset, len) = range.map_or((0, None), |(offset, len)| (offset, Some(len)));
        let mut content = file.content().starting_at(offset);
        let mut download = self
            .client
            .read_range(&key, offset, len)
            .map_err(|error| failure::of(&error))?;
        let expected = len.unwrap_or(file.size);
        if download.remaining() != expected {
            let message = format!("{} bytes come instead of {expected}", download.remaining());
            return Err(failure::new(WRONG_BYTES, message));
        }
        while download.remaining() > 0 {
            let n = download
                .read(buffer)
                .map_err(|error| failure::of_io(&error))?;
            content
                .check(&buffer[..n])
                .map_err(|error| failure::of_io(&error))?;
            meter.add(n as u64);
        }
        Ok(())
    }

    pub(crate) fn stat(&self, file: &Stored) -> Result<(), Failure> {
        let key = self.key_of(file)?;
        let stat = self.client.stat(&key).map_err(|e| failure::of(&e))?;
        if stat.size != file.size {
            let message = format!("stat tells {} bytes of {}", stat.size, file.size);
            return Err(failure::new(WRONG_BYTES, message));
        }
        Ok(())
    }

    /// Lists the first files of the user.
    pub(crate) fn list(&self) -> Result<(), Failure> {
        let query = ListQuery {
            app: self.app.clone(),
            user: self.user.clone(),
            prefix: None,
            since: None,
        };
        let mut n_listed = 0;
        for file in self.client.list(query).take(LISTED_MAX) {
            file.map_err(|e| failure::of(&e))?;
            n_listed += 1;
        }
        match n_listed {
            0 => Err(failure::new(WRONG_BYTES, "no file of the user is listed")),
            _ => Ok(()),
        }
    }

    pub(crate) fn delete(&self, file: &Stored) -> Result<(), Failure> {
        let key = self.key_of(file)?;
        self.client.delete(&key).map_err(|e| failure::of(&e))
    }

    fn key_of(&self, file: &Stored) -> Result<FileKey, Failure> {
        let id = FileId::new(file.id.as_str())
            .map_err(|error| failure::new("usage", error.to_string()))?;
        Ok(self.key(id))
    }

    fn key(&self, file: FileId) -> FileKey {
        FileKey {
            app: self.app.clone(),
            user: self.user.clone(),
            file,
        }
    }
}
