//! Storages on disks that fill up, fail and hang for real: processes, on mounts of this one.

// Figures are printed: `cargo test -- --nocapture` shows them.
#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub
)]

mod clock;
mod descriptors;
mod failing;
mod full;
mod hung;
mod node;
mod open_files;
mod power;
#[allow(dead_code)]
#[path = "../it/support.rs"]
mod support;
#[allow(dead_code)]
#[path = "../gluster/tracker.rs"]
mod tracker;
