//! Groups the syncs of a folder: one fsync makes all names durable that were in the folder when it
//! began, and concurrent uploads use the same folder.

use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// The syncs of all folders; `K` identifies a folder.
pub(crate) struct FolderSyncs<K> {
    /// Folders with a sync that runs or is waited for.
    folders: Mutex<HashMap<K, State>>,
}

/// The syncs of a folder, numbered from 1.
#[derive(Default)]
struct State {
    begun: u64,
    ended: u64,
    /// The latest failed sync, with its error.
    failed: Option<(u64, io::ErrorKind, String)>,
    /// Threads that run a sync or wait for one.
    users: usize,
    /// Where threads wait for syncs with even and with odd numbers. When a sync finishes, only the
    /// thread that runs the next sync is woken besides its own waiters.
    waiting: Arc<[Condvar; 2]>,
}

impl<K> Default for FolderSyncs<K> {
    fn default() -> FolderSyncs<K> {
        FolderSyncs {
            folders: Mutex::default(),
        }
    }
}

impl<K: Hash + Eq + Clone> FolderSyncs<K> {
    /// Returns after a sync of the folder that began after this call; `sync` runs it if no other
    /// thread does.
    ///
    /// # Errors
    /// The error of the sync, the same for all its waiters.
    pub(crate) fn sync(&self, folder: &K, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut folders = self.folders.lock();
        let state = folders.entry(folder.clone()).or_default();
        state.users += 1;
        // A running sync may have passed the new name already.
        let wanted = state.begun + 1;
        let result = loop {
            let state = folders.entry(folder.clone()).or_default();
            if state.ended >= wanted {
                break state.outcome(wanted);
            }
            if state.begun == state.ended {
                state.begun += 1;
                break self.lead(&mut folders, folder, sync);
            }
            let waiting = Arc::clone(&state.waiting);
            waiting[parity(wanted)].wait(&mut folders);
        };
        let state = folders.entry(folder.clone()).or_default();
        state.users -= 1;
        if state.users == 0 {
            folders.remove(folder);
        }
        result
    }

    /// Runs the sync that was begun, and wakes its waiters.
    fn lead(
        &self,
        folders: &mut MutexGuard<'_, HashMap<K, State>>,
        folder: &K,
        sync: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let result = MutexGuard::unlocked(folders, sync);
        let state = folders.entry(folder.clone()).or_default();
        state.ended = state.begun;
        if let Err(e) = &result {
            state.failed = Some((state.ended, e.kind(), e.to_string()));
        }
        state.waiting[parity(state.ended)].notify_all();
        state.waiting[parity(state.ended + 1)].notify_one();
        result
    }
}

fn parity(number: u64) -> usize {
    (number % 2) as usize
}

impl State {
    /// The result of a sync. A later failure leaves an earlier result uncertain, so it counts too.
    fn outcome(&self, number: u64) -> io::Result<()> {
        match &self.failed {
            Some((failed, kind, text)) if *failed >= number => {
                Err(io::Error::new(*kind, text.clone()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use crossbeam_channel::bounded;

    use super::*;

    /// One sync is held until `n` others wait; returns what all got and how many syncs there were.
    fn sync_beside_one(
        n: usize,
        outcome: impl Fn() -> io::Result<()> + Sync,
    ) -> (Vec<io::Result<()>>, usize) {
        let syncs = FolderSyncs::default();
        let count = AtomicUsize::new(0);
        let (release, held) = bounded(0);
        let results = thread::scope(|scope| {
            let (begun, is_begun) = bounded(0);
            let (syncs, count, outcome) = (&syncs, &count, &outcome);
            let first = scope.spawn(move || {
                syncs.sync(&"folder", || {
                    begun.send(()).unwrap();
                    held.recv().unwrap();
                    Ok(())
                })
            });
            is_begun.recv().unwrap();
            let others: Vec<_> = (0..n)
                .map(|_| {
                    scope.spawn(move || {
                        syncs.sync(&"folder", || {
                            count.fetch_add(1, Ordering::Relaxed);
                            outcome()
                        })
                    })
                })
                .collect();
            while syncs.folders.lock()["folder"].users < n + 1 {
                thread::yield_now();
            }
            assert_eq!(count.load(Ordering::Relaxed), 0, "beside one under way");
            release.send(()).unwrap();
            assert!(first.join().unwrap().is_ok());
            others.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(syncs.folders.lock().is_empty());
        (results, count.into_inner())
    }

    #[test]
    fn who_waits_is_served_by_one_sync_that_began_later() {
        let (results, count) = sync_beside_one(8, || Ok(()));
        assert!(results.iter().all(Result::is_ok));
        assert_eq!(count, 1);
    }

    #[test]
    fn a_failure_is_told_to_all_who_waited() {
        let (results, _) = sync_beside_one(8, || Err(io::Error::other("broken")));
        for result in results {
            assert_eq!(result.unwrap_err().to_string(), "broken");
        }
    }
}
