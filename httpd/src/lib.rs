//! The HTTP server: GET and HEAD of a file, with ranges, straight through from the storages.

pub mod config;
mod globals;
mod limiter;

mod conditional;
mod file_name;
mod media_type;
mod range;
mod signature;
mod target;
mod trackers;

mod body;
mod cache;
mod entity;
mod limited_source;
mod metrics;
mod query;
mod service;

mod server;

pub use config::Config;
pub use server::{Httpd, run};

/// What the program says of itself.
pub const ABOUT: &str = "Streams the files of a tnv cluster over HTTP";
