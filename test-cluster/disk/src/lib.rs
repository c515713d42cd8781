//! Disks for tests that fill up, fail and hang on demand. They are mounts, which need root.
//!
//! The process that serves a [`FaultyDisk`] must not be the one that uses it: a process whose threads wait
//! for a file system that it serves itself cannot be killed.

mod faults;
mod faulty;
mod files;
mod full;

pub use faults::Operation;
pub use faulty::FaultyDisk;
pub use full::SmallDisk;
