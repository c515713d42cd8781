//! The idserver hands out numbers: each key has its own, and none is handed out twice.
//!
//! It owns the table `t_id_gen`, whose row of a key holds the first number that no idserver has reserved. A
//! range is committed before any number of it is handed out, so a crash skips numbers and repeats none,
//! whatever the clock does. A key in memory has two ranges, the one in use and the next one: the filler
//! reserves the next while the current one is used, so requests wait for the database only when both are
//! used up.
//!
//! Threads: the workers of a [`net::Server`] hand out numbers, `filler-N` reserve ranges, the status port
//! has threads of its own. [`Idserver::shutdown`] joins all of them.
//!
//! In reading order: [`config`]; `globals`, what the threads share; `numbers`, `step_size` and `wait_limit`,
//! pure; `keys`, the keys in memory; `db` and `new_keys`, the rows; `filler`; `service`,
//! `metrics` and `status_view`; `server`.

pub mod config;
mod globals;

mod numbers;
mod step_size;
mod wait_limit;

mod keys;

mod db;
mod new_keys;

mod filler;
mod metrics;
mod service;
mod status_view;

mod server;

pub use config::{Config, Settings};
pub use server::{App, Idserver};
