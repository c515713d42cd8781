//! Real processes: every test has a small cluster of its own, in a folder and on ports of its own.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

mod support;

mod bench;
mod beside_cpp;
mod faults;
mod full;
mod golden;
mod hostile;
mod hostile_bytes;
mod load;
mod memory;
mod monitoring;
mod moves;
mod operations;
mod players;
mod process;
mod reload;
mod rolling;
mod signals;
mod standing;
mod status;
mod streams;
mod trackers;
