//! The library against scripted servers in this process.

#![allow(clippy::unwrap_used, missing_docs)]

mod attributes;
mod cpp_storage;
mod damage;
mod delete_and_stat;
mod downloads;
mod lists;
mod pools;
mod proof;
mod replies;
mod slow;
mod trackers;
mod uploads;
