//! The files of scripted storages, in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use client::checksum_of;
use proto::file_list::{FileList, ListRequest, ListedFile};
use proto::storage::{Attributes, FileStat};
use proto::{ErrorCode, FileId, FileKey};

/// Time of every file.
const MODIFIED: i64 = 1_700_000_000;

#[derive(Debug, Default)]
pub struct Memory {
    pub files: Mutex<HashMap<FileKey, Vec<u8>>>,
    /// Number of stored uploads.
    pub n_stored: Mutex<usize>,
    /// Checksums of rows that differ from their content.
    pub checksums: Mutex<HashMap<FileKey, u128>>,
    pub attributes: Mutex<HashMap<FileKey, Attributes>>,
}

/// A memory that holds one file.
pub fn memory_with(key: &FileKey, content: &[u8]) -> Arc<Memory> {
    let memory = Arc::new(Memory::default());
    let mut files = memory.files.lock().unwrap();
    files.insert(key.clone(), content.to_vec());
    drop(files);
    memory
}

impl Memory {
    pub(crate) fn attributes(&self, key: &FileKey) -> Attributes {
        let attributes = self.attributes.lock().unwrap();
        attributes.get(key).cloned().unwrap_or_default()
    }

    pub fn get(&self, key: &FileKey) -> Option<Vec<u8>> {
        self.files.lock().unwrap().get(key).cloned()
    }

    pub fn n_stored(&self) -> usize {
        *self.n_stored.lock().unwrap()
    }
}

pub(crate) fn store(
    memory: &Memory,
    key: &FileKey,
    content: Vec<u8>,
) -> Result<Vec<u8>, ErrorCode> {
    let mut files = memory.files.lock().unwrap();
    if files.contains_key(key) {
        return Err(ErrorCode::Exists);
    }
    files.insert(key.clone(), content);
    *memory.n_stored.lock().unwrap() += 1;
    Ok(Vec::new())
}

pub(crate) fn file(memory: &Memory, key: &FileKey) -> Result<Vec<u8>, ErrorCode> {
    let files = memory.files.lock().unwrap();
    files.get(key).cloned().ok_or(ErrorCode::NotFound)
}

/// Three files at a time. All were stored at the same time.
pub(crate) fn list(memory: &Memory, wanted: &ListRequest) -> FileList {
    let files = memory.files.lock().unwrap();
    let is_wanted = |key: &&FileKey| {
        let prefix = wanted.prefix.as_ref().map_or("", FileId::as_str);
        let id = key.file.as_str();
        (&key.app, &key.user) == (&wanted.app, &wanted.user)
            && id.starts_with(prefix)
            && *id > *wanted.after
            && wanted.since <= MODIFIED
    };
    let mut keys: Vec<&FileKey> = files.keys().filter(is_wanted).collect();
    keys.sort_by(|one, other| one.file.cmp(&other.file));
    let next = match keys.get(2..4) {
        Some(split) => split[0].file.to_string(),
        None => String::new(),
    };
    let listed = keys.iter().take(3).map(|key| ListedFile {
        id: key.file.clone(),
        size: files[*key].len() as u64,
        modified: MODIFIED,
    });
    FileList {
        files: listed.collect(),
        next,
    }
}

pub(crate) fn stat_of(memory: &Memory, key: &FileKey, file: &[u8]) -> FileStat {
    let checksum = memory.checksums.lock().unwrap().get(key).copied();
    FileStat {
        size: file.len() as u64,
        modified: MODIFIED,
        checksum: checksum.or_else(|| Some(checksum_of(&mut &*file).unwrap())),
        expires: memory.attributes(key).expires.is_some(),
    }
}
