//! Clusters of tnv processes on this machine.
//!
//! A [`Plan`] lists the daemons and their addresses, and writes their configurations. A [`Cluster`]
//! runs a plan for a test and kills its daemons when it is dropped. [`persistent`] runs a cluster that
//! outlives the program that starts it: `make cluster` and `make demo`, with `ENGINE=full` on Galera
//! and GlusterFS (`engines`). [`mod@bench`] is `make bench`.
//!
//! A process belongs to a cluster if `/proc` shows the path of its configuration in the command line.
//! A saved process id is never trusted.

pub mod bench;
mod binaries;
mod cluster;
mod config;
mod database;
pub mod demo;
mod engines;
mod layout;
mod manifest;
pub mod persistent;
mod plan;
mod planning;
mod ports;
pub mod probe;
pub mod proc;
mod process;
mod secret;
mod start_guard;
mod terminal;
pub mod tnv;

pub use binaries::Binaries;
pub use cluster::Cluster;
pub use database::DATABASE_USER;
pub use layout::{Engine, Layout, Mysql, Ports, Settings};
pub use manifest::Manifest;
pub use plan::{APP, GaleraNode, Node, Plan, Role, USER};
pub use secret::write_secret;
pub use start_guard::guard_start;
