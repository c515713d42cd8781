//! An httpd in this process, in front of trackers and storages that hold their files in memory.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod answers;
mod caching;
mod cross_origin;
mod faults;
mod hung;
mod ranges;
mod signed_urls;
mod storages;
mod support;
mod types;
