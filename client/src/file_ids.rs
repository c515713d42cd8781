//! New file ids, from the clock, the process and random numbers.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use proto::file_id::{COUNTER_MAX, Seed, compose};
use proto::{FileId, UserId};

/// Incremented with each id of the process.
static COUNTER: AtomicU32 = AtomicU32::new(0);
/// Number of the next thread that makes an id.
static NEXT_THREAD: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static THREAD_ID: u64 = NEXT_THREAD.fetch_add(1, Ordering::Relaxed);
}

/// A new, unique file id: 36 hex digits, the time first. Two ids of one process and microsecond differ
/// in their counter. Two processes differ in 64 bits of a hash over process id, thread and a random
/// number.
pub fn new_file_id(user: &UserId) -> FileId {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let step = COUNTER.fetch_add(1, Ordering::Relaxed) % u32::from(COUNTER_MAX);
    compose(Seed {
        epoch_secs: now.as_secs(),
        micros: now.subsec_micros(),
        user_id: user.as_str(),
        pid: std::process::id(),
        thread_id: THREAD_ID.with(|id| *id),
        random: rand::random(),
        counter: step as u16 + 1,
        random_tail: rand::random_range(0..100),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_of_many_threads_are_all_different() {
        let user = UserId::new("alice").unwrap();
        let make = || (0..5000).map(|_| new_file_id(&user)).collect::<Vec<_>>();
        let ids: Vec<FileId> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
            threads
                .into_iter()
                .flat_map(|t| t.join().unwrap())
                .collect()
        });
        assert!(ids.iter().all(|id| id.as_str().len() == 36));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 20_000);
    }
}
