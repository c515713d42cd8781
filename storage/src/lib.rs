//! The storage server: stores, serves and deletes the files of one group.
//!
//! It owns the files below its store paths, the rows of these files in the group's database, and a
//! state file. A file exists when its row exists: the row is inserted after the file is complete,
//! and marked before the file is unlinked. A crash leaves work for a job but never a row
//! without its file.
//!
//! Threads: requests run on the worker pools of `net`. `status` starts the periodic jobs, those
//! that use a disk once per store path. `tracker` runs one thread per tracker. `server` starts
//! and stops them all.
//!
//! Modules in reading order:
//! - `config` and `jobs`: the settings; what the program does instead of serving.
//! - `server`, `globals`, `service`: start and stop, shared state, one function per command.
//! - `files`: the life of a file, from upload to removal.
//! - `disks`: store paths, disk space, limits on requests at a disk, durable creation.
//! - `db` and `cache`: the rows.
//! - `numbers` and `file`: numbers for new paths; operations on one file.
//! - `tracker`, `admin`, `status`, `status_view`, `metrics`: membership, administrators'
//!   orders, periodic jobs, monitoring.
//! - `state`: what a running storage remembers and reports.

mod admin;
mod cache;
mod clock;
pub mod config;
mod db;
mod disks;
mod file;
mod files;
mod globals;
mod jobs;
mod metrics;
mod numbers;
mod server;
mod service;
mod state;
mod status;
mod status_view;
mod tracker;

pub use config::{Config, Quota, Reserve, Settings};
pub use server::{App, Storage};

#[cfg(test)]
#[path = "../tests/it/idserver.rs"]
mod test_idserver;
#[cfg(test)]
#[path = "tests/test_storage.rs"]
mod test_storage;
