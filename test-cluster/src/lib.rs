//! Clusters of real tnv processes on this machine: how they are laid out, configured, started,
//! watched, stopped and killed.
//!
//! A [`Plan`] says which daemons there are and where each listens; it writes their configurations.
//! A [`Cluster`] runs a plan for a test and kills what is left when it is dropped. [`standing`]
//! runs one that outlives its starter: `make cluster`, `make demo`, with `ENGINE=full` on Galera
//! and GlusterFS (`engines`). The programs behind
//! `tnv-cluster bench`, `idle` and `memory` measure limits.
//!
//! Whether a process is ours is never taken from a note: `/proc` must show it with the path of
//! the configuration that we wrote.

pub mod bench;
mod binaries;
mod cluster;
mod config;
mod database;
pub mod demo;
mod engines;
mod guard;
mod layout;
pub mod limits;
mod manifest;
mod plan;
mod ports;
pub mod probe;
pub mod proc;
mod process;
pub mod standing;
mod terminal;
pub mod tnv;

pub use binaries::Binaries;
pub use cluster::Cluster;
pub use database::{DATABASE_USER, GaleraNode};
pub use layout::{Engine, Layout, Mysql, Ports, Settings};
pub use manifest::Manifest;
pub use plan::{APP, Node, Plan, Role, USER};
pub use process::{Exit, Process};
