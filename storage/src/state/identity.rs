//! The identity of this storage: an id that survives changes of its address, kept in the state
//! file. It is not kept in a store path, which all storages of a group share.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use log::{info, warn};
use parking_lot::Mutex;
use proto::report::Drain;
use proto::{ClusterId, NodeId};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::state::small_file;

/// Limit on the bytes read.
const LEN_MAX: u64 = 1 << 20;

/// The identity, while this process runs. A lock file keeps other storages of this machine from
/// it.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) node: NodeId,
    path: PathBuf,
    /// Never held during disk operations: every upload and report reads it.
    state: Mutex<State>,
    /// Held while the state file is written.
    writing: Mutex<()>,
    /// None where a lock file can be neither found nor made.
    _lock: Option<File>,
}

/// The state file, JSON. Unknown fields of a later version are ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    node: NodeId,
    #[serde(default)]
    drain: Drain,
    /// The cluster that this storage joined first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<ClusterId>,
    /// The tag of the folder at each store path.
    #[serde(default, skip_serializing_if = "KnownFolders::is_empty")]
    folders: KnownFolders,
}

/// The tags of the known folders, by store path.
pub(crate) type KnownFolders = BTreeMap<String, String>;

/// Reads the known folders from a state file, which may be in use; none without a file.
///
/// # Errors
/// It cannot be read, or holds something else.
pub(crate) fn known_folders(path: &Path) -> anyhow::Result<KnownFolders> {
    let state = read(path).with_context(|| format!("state_file {}", path.display()))?;
    Ok(state.map(|state| state.folders).unwrap_or_default())
}

impl Identity {
    /// Reads the state file, or creates it with a new id.
    ///
    /// # Errors
    /// It cannot be read or created, holds something else, or another storage uses it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Identity> {
        let open = || -> anyhow::Result<Identity> {
            if let Some(folder) = path.parent() {
                base::folders::create_all(folder)?;
            }
            let lock = lock(&small_file::beside(path, ".lock"))?;
            let state = match read(path)? {
                Some(state) => state,
                None => make(path)?,
            };
            Ok(Identity {
                node: state.node.clone(),
                path: path.to_owned(),
                state: Mutex::new(state),
                writing: Mutex::new(()),
                _lock: lock,
            })
        };
        open().with_context(|| format!("state_file {}", path.display()))
    }

    /// How far an administrator has drained this storage.
    pub(crate) fn drain(&self) -> Drain {
        self.state.lock().drain
    }

    /// Changes the drain level, also for the time after a restart.
    ///
    /// # Errors
    /// The state file cannot be written; then nothing has changed.
    pub(crate) fn set_drain(&self, level: Drain) -> io::Result<()> {
        self.change(|state| state.drain = level)
    }

    /// The cluster of this storage, once a tracker has named it.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        self.state.lock().cluster.clone()
    }

    /// Remembers the cluster, unless one is known.
    ///
    /// # Errors
    /// The state file cannot be written; then nothing has changed.
    pub(crate) fn join_cluster(&self, cluster: &ClusterId) -> io::Result<()> {
        self.change(|state| {
            state.cluster.get_or_insert_with(|| cluster.clone());
        })
    }

    /// Replaces the known folders.
    ///
    /// # Errors
    /// The state file cannot be written; then nothing has changed.
    pub(crate) fn remember_folders(&self, folders: KnownFolders) -> io::Result<()> {
        if self.state.lock().folders == folders {
            return Ok(());
        }
        self.change(|state| state.folders = folders)
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let _alone = self.writing.lock();
        let mut changed = self.state.lock().clone();
        change(&mut changed);
        write(&self.path, &changed)?;
        *self.state.lock() = changed;
        Ok(())
    }
}

/// Locks a file. On a read-only file system one that is there can be locked, too.
fn lock(path: &Path) -> anyhow::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let made = options.create(true).truncate(false).write(true).open(path);
    let file = match made {
        Err(e) if e.kind() == ErrorKind::ReadOnlyFilesystem => match File::open(path) {
            Err(missing) if missing.kind() == ErrorKind::NotFound => {
                let path = path.display();
                warn!("no other storage is kept from using {path} too, it is not locked: {e}");
                return Ok(None);
            }
            found => found?,
        },
        made => made?,
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            bail!("another storage uses it: each storage of a machine needs one of its own")
        }
        Err(e) => Err(e.into()),
    }
}

fn read(path: &Path) -> anyhow::Result<Option<State>> {
    let text = small_file::read(path, LEN_MAX)?;
    let state = text.map(|text| serde_json::from_str(&text));
    state.transpose().context("it holds no state of a storage")
}

fn make(path: &Path) -> anyhow::Result<State> {
    let state = State {
        node: NodeId::new(format!("{:032x}", rand::random::<u128>()))?,
        drain: Drain::None,
        cluster: None,
        folders: KnownFolders::new(),
    };
    write(path, &state)?;
    info!("this storage is node {} from now on", state.node.digest());
    Ok(state)
}

fn write(path: &Path, state: &State) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(state)?;
    text.push(b'\n');
    small_file::replace(path, &text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_id_is_made_once_and_has_one_user_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/storage.state");
        let first = Identity::open(&path).unwrap();
        let node = first.node.clone();
        assert_eq!(node.as_str().len(), 32);
        let error = format!("{:#}", Identity::open(&path).unwrap_err());
        assert!(
            error.contains("storage.state: another storage uses it"),
            "{error}"
        );
        first.set_drain(Drain::All).unwrap();
        let [cluster, other]: [ClusterId; 2] = ["aa", "bb"].map(|id| id.parse().unwrap());
        assert_eq!(first.cluster(), None);
        first.join_cluster(&cluster).unwrap();
        first.join_cluster(&other).unwrap();
        drop(first);
        let again = Identity::open(&path).unwrap();
        assert_eq!(
            (again.drain(), again.cluster()),
            (Drain::All, Some(cluster))
        );
        drop(again);
        assert_eq!(Identity::open(&path).unwrap().node, node);
        let other = Identity::open(&folder.path().join("other")).unwrap();
        assert_ne!(other.node, node);
    }

    #[test]
    fn a_file_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("storage.state");
        for text in ["", "{}", "{\"node\":\"../x\"}", "hello"] {
            fs::write(&path, text).unwrap();
            let error = format!("{:#}", Identity::open(&path).unwrap_err());
            assert!(error.contains("no state of a storage"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
