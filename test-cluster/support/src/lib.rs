//! What the tests of several crates need: waiting for facts.

mod deadline;

pub use deadline::{Seen, try_wait_for, until, wait_for, wait_until};
