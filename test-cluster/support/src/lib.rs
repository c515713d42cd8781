//! Waits with deadlines, an HTTP client and processes, for the tests of several crates.

mod deadline;
pub mod http;
pub mod process;

pub use deadline::{PATIENCE, Seen, try_wait_for, until, wait_for, wait_until};
