//! The storage server: takes files in, serves them and removes them.
//!
//! A file exists when its row does: the row is written last on the way in and marked first on the
//! way out, so that a crash leaves work for a sweep but never a row without its file.

mod ability;
mod admin;
mod avoided;
mod barred;
mod beneath;
mod clock;
pub mod config;
mod deletions;
mod disk_error;
mod expected;
mod folder_id;
mod folder_sync;
mod gate;
mod globals;
mod health;
mod id;
mod identity;
mod last_errors;
mod marker;
mod path;
mod probe;
mod reserve;
mod space;
mod store_path;
mod taken_paths;

mod cache;
mod conflict;
mod damage;
mod db;
mod delete;
mod due;
mod file;
mod foreign;
mod leftovers;
mod orphans;
mod requester;
mod sweep;
mod writer;

mod metrics;
mod sent_file;
mod service;
mod upload;

mod report;
mod server;
mod status;
mod ties;
mod tracker;
mod unresolved;
mod warnings;

pub use config::Config;
pub use reserve::Reserve;
pub use server::{Storage, run};

/// What the program says of itself.
pub const ABOUT: &str = "Keeps the files of one group of a tnv cluster";
