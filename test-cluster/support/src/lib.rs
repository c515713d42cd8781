//! What the tests of several crates need: waits for facts, an HTTP client, and programs that run.

mod deadline;
pub mod http;
pub mod process;

pub use deadline::{PATIENCE, Seen, try_wait_for, until, wait_for, wait_until};
