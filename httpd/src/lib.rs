//! The HTTP server: GET and HEAD of stored files, with ranges, conditions and media types.
//!
//! Crate `net` owns sockets, connections and HTTP syntax; this crate owns the meaning of a request.
//! Content is streamed from the storages and never stored. The only state is a cache of detected
//! media types, which a reload empties.
//!
//! A request runs on a worker of `net`, and is parked there while a storage has not replied
//! (`request`). The content is sent from the storage's socket by the same workers (`body`). One
//! further thread checks the trackers for the status port (`tracker_monitor`).

mod cache_control;
pub mod config;
mod cors;
mod globals;
mod limiter;

mod file_name;
mod media_type;
mod mime_sniffing;
mod range;
mod target;
mod tracker_monitor;
mod type_cache;

mod entity;
mod metrics;
mod precondition;
mod protection;

mod body;
mod download_source;
mod request;
mod service;

mod handler;

mod status;

mod server;

pub use config::{Config, Settings};
pub use server::{App, Httpd};
