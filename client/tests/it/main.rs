//! The library and the command line against scripted servers in this process.

#![allow(clippy::unwrap_used, missing_docs)]

mod fake;
mod storage;
mod support;
mod tracker;

mod cli;
mod cli_admin;
mod cli_downloads;
mod cli_mistakes;
mod cli_output;
mod cli_settings;
mod cli_streams;
mod cpp_storage;
mod damage;
mod delete_and_stat;
mod downloads;
mod monitor;
mod pools;
mod replies;
mod rolling_restart;
mod slow;
mod trackers;
mod uploads;
