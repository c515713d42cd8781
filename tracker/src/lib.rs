//! The tracker knows which storages live, and sends every user to the storages of the user's group.
//!
//! It owns the members in memory, which every storage tells every tracker, and the tables `t_groups_info`
//! and `t_router`, which all trackers share: they hold the group of each user.
//!
//! Threads: the workers of a [`net::Server`] serve requests; `status` finds silent members, `groups` reads
//! the groups of the database, `probe-N` connect to the members, and the status port has threads of its own.
//! [`Tracker::shutdown`] joins all of them.
//!
//! In reading order: [`config`]; `globals`, what the threads share; `groups`, the members and their states,
//! pure; `address_check`, `rejected_joins` and `log_lines`, what a join is checked against and leaves behind;
//! `db`, `cache` and `database_limit`, the users' groups; `routing`, which joins both; `admin`,
//! `groups_reply`, `cluster_reply` and `cached_reply`, further requests; `service`, `metrics` and `status_view`;
//! `probes` and `status`, the jobs; `server`.

pub mod config;
mod globals;

mod groups;

mod address_check;
mod log_lines;
mod rejected_joins;

mod cache;
mod database_limit;
mod db;

mod routing;

mod admin;
mod cached_reply;
mod cluster_reply;
mod groups_reply;

mod metrics;
mod service;
mod status_view;

mod probes;
mod status;

mod server;

pub use config::{Config, Settings};
pub use server::{App, Tracker};
