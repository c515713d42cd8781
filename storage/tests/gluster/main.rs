//! Storages on real GlusterFS volumes: processes, each with a mount of its own.

// Figures are printed: `cargo test -- --nocapture` shows them.
#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub
)]

mod bricks;
mod group;
mod heal;
mod local;
mod mounts;
mod names;
mod open_files;
mod reads;
#[allow(dead_code)]
#[path = "../it/support.rs"]
mod support;
#[allow(dead_code)]
mod tracker;
