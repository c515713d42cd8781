//! What is wrong with a disk at the moment.

use fuser::Errno;
use parking_lot::{Condvar, Mutex};

/// What is asked of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Looks at names, attributes and content.
    Read,
    /// Looks at content; names and attributes are seen.
    Content,
    /// Changes any of them.
    Write,
    /// Syncs any of them.
    Sync,
    /// Closes a file.
    Close,
}

/// Faults that are switched on and off while the disk is in use.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    hangs: bool,
    failing: Vec<(Operation, Errno)>,
}

impl Faults {
    /// Goes on when the disk answers, which may be never.
    ///
    /// # Errors
    /// What the disk is to say to this operation.
    pub(crate) fn pass(&self, operation: Operation) -> Result<(), Errno> {
        let mut state = self.state.lock();
        while state.hangs {
            self.changed.wait(&mut state);
        }
        let failing = state
            .failing
            .iter()
            .find(|(failing, _)| *failing == operation);
        failing.map_or(Ok(()), |(_, errno)| Err(*errno))
    }

    /// From now on nothing is answered, or everything.
    pub(crate) fn set_hanging(&self, hangs: bool) {
        self.state.lock().hangs = hangs;
        self.changed.notify_all();
    }

    /// From now on these operations fail so, and all others do not.
    pub(crate) fn set_failing(&self, failing: Vec<(Operation, Errno)>) {
        self.state.lock().failing = failing;
    }
}
