//! The current faults of a disk.

use fuser::Errno;
use parking_lot::{Condvar, Mutex};

/// An operation on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Reads names, attributes or content.
    Read,
    /// Reads content only.
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
    /// Waits while the disk hangs.
    ///
    /// # Errors
    /// The error that is set for this operation.
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

    /// Starts or ends the hang.
    pub(crate) fn set_hanging(&self, hangs: bool) {
        self.state.lock().hangs = hangs;
        self.changed.notify_all();
    }

    /// Makes exactly these operations fail.
    pub(crate) fn set_failing(&self, failing: Vec<(Operation, Errno)>) {
        self.state.lock().failing = failing;
    }
}
