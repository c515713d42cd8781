//! What the tests of several crates need: waiting for facts, and whether servers may be started.

mod deadline;
mod engines;

pub use deadline::{Seen, try_wait_for, until, wait_for, wait_until};
pub use engines::is_wanted;
