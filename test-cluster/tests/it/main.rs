//! Real processes. Every test has its own small cluster, with its own folder and ports.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

mod support;

mod bench;
mod beside_cpp;
mod commands;
mod expiry;
mod faults;
mod full;
mod golden;
mod guarded;
mod hostile;
mod hostile_bytes;
mod interrupted;
mod keys;
mod load;
mod local_reads;
mod memory;
mod monitoring;
mod moves;
mod mutated_frames;
mod operations;
mod other_host;
mod persistent;
mod players;
mod process;
mod proxy;
mod reload;
mod rolling;
mod signals;
mod signing;
mod status;
mod strangers;
mod streams;
mod trackers;
mod translation;
mod web;
