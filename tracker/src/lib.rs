//! The tracker: knows which storages live, and sends every user to those of the user's group.
//!
//! Members are known by what they told this tracker, in memory only; they tell every tracker. The
//! group of a user is in the database, which all trackers share.

mod admin;
pub mod config;
mod globals;

mod groups;
mod lines;
mod listing;
mod overview;
mod place;
mod reach;
mod refusals;
mod tries;

mod cache;
mod db;
mod gate;

mod metrics;
mod routing;
mod service;

mod server;
mod status;

pub use config::Config;
pub use server::{Tracker, run};

/// What the program says of itself.
pub const ABOUT: &str = "Knows the storages of a tnv cluster and sends users to theirs";
