//! Limits the memory of replies that wait for their peers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::part::Part;

/// The limit of a server: this many bytes, and more for each connection.
const BASE: usize = 64 << 20;
const PER_CONNECTION: usize = 32 << 10;

/// The memory of all parked replies. A body that several replies share counts once.
#[derive(Default)]
pub(crate) struct ReplyMemory {
    max: AtomicUsize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    bytes: usize,
    /// Number of replies that hold a shared body, by its address.
    shared: HashMap<usize, usize>,
}

/// The memory of one reply; dropping the hold releases it.
pub(crate) struct ReplyMemoryHold {
    limit: Arc<ReplyMemory>,
    own: usize,
    /// Keeps the addresses in [`Held::shared`] in use.
    shared: Vec<Arc<[u8]>>,
}

impl ReplyMemory {
    /// Sets the limit for a server of `connections_max`.
    pub(crate) fn set(&self, connections_max: u32) {
        let max = BASE + PER_CONNECTION * connections_max as usize;
        self.max.store(max, Ordering::Relaxed);
    }

    /// Counts the parts of a reply. `None` above the limit; a reply of at most [`PER_CONNECTION`] bytes
    /// is always admitted.
    pub(crate) fn hold(self: &Arc<Self>, parts: &VecDeque<Part>) -> Option<ReplyMemoryHold> {
        let mut hold = ReplyMemoryHold {
            limit: Arc::clone(self),
            own: 0,
            shared: Vec::new(),
        };
        for part in parts {
            match part {
                Part::Bytes(bytes) | Part::WithDescriptor { bytes, .. } => hold.own += bytes.len(),
                Part::Shared(body) => hold.shared.push(Arc::clone(body)),
                Part::File { .. } | Part::Stream { .. } => {}
            }
        }
        let (held, added) = {
            let mut held = self.held.lock();
            let before = held.bytes;
            held.add(&hold);
            (held.bytes, held.bytes - before)
        };
        let fits = held <= self.max.load(Ordering::Relaxed) || added <= PER_CONNECTION;
        fits.then_some(hold)
    }
}

impl Held {
    fn add(&mut self, hold: &ReplyMemoryHold) {
        self.bytes += hold.own;
        for body in &hold.shared {
            let holders = self.shared.entry(address(body)).or_default();
            *holders += 1;
            if *holders == 1 {
                self.bytes += body.len();
            }
        }
    }

    fn remove(&mut self, hold: &ReplyMemoryHold) {
        self.bytes -= hold.own;
        for body in &hold.shared {
            let holders = self.shared.entry(address(body)).or_default();
            *holders -= 1;
            if *holders == 0 {
                self.shared.remove(&address(body));
                self.bytes -= body.len();
            }
        }
    }
}

fn address(body: &Arc<[u8]>) -> usize {
    body.as_ptr().addr()
}

impl Drop for ReplyMemoryHold {
    fn drop(&mut self) {
        self.limit.held.lock().remove(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit() -> Arc<ReplyMemory> {
        let limit = Arc::new(ReplyMemory::default());
        limit.set(0);
        limit
    }

    fn reply(len: usize) -> VecDeque<Part> {
        [Part::Bytes(vec![0; len])].into()
    }

    #[test]
    fn replies_that_wait_are_bounded_together() {
        let limit = limit();
        let mut holds: Vec<_> = (0..4)
            .map(|_| limit.hold(&reply(BASE / 4)).unwrap())
            .collect();
        assert!(limit.hold(&reply(PER_CONNECTION + 1)).is_none());
        assert!(limit.hold(&reply(PER_CONNECTION)).is_some(), "a small one");
        holds.pop();
        assert!(limit.hold(&reply(BASE / 4)).is_some());
        drop(holds);
        assert_eq!(limit.held.lock().bytes, 0);
    }

    #[test]
    fn a_shared_body_counts_once() {
        let limit = limit();
        let body: Arc<[u8]> = vec![0; BASE / 2].into();
        let parts: VecDeque<_> = [Part::Shared(Arc::clone(&body))].into();
        let holds: Vec<_> = (0..100).map(|_| limit.hold(&parts).unwrap()).collect();
        assert_eq!(limit.held.lock().bytes, BASE / 2);
        let other: VecDeque<_> = [Part::Shared(vec![0; BASE / 2 + 1].into())].into();
        assert!(limit.hold(&other).is_none());
        drop(holds);
        let held = limit.held.lock();
        assert_eq!((held.bytes, held.shared.len()), (0, 0));
    }
}
