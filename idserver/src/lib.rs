//! The idserver: hands out numbers, each key's own, and none of them twice.
//!
//! Memory counts up, the table steps: a key's row holds the first number that no idserver has
//! reserved. A step is committed before any number of it is handed out, so a crash skips numbers
//! and repeats none, whatever the clock does.

pub mod config;
mod globals;

mod demand;
mod gate;
mod keys;
mod newcomers;
mod numbers;

mod db;

mod metrics;
mod service;

mod server;

pub use config::Config;
pub use server::{Idserver, run};

/// What the program says of itself.
pub const ABOUT: &str = "Hands out the numbers of a tnv cluster, none of them twice";
