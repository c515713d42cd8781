//! The program `tnv` against scripted servers in this process.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

mod admin;
mod commands;
mod downloads;
mod faults;
mod json_errors;
mod lists;
mod monitor;
mod output;
mod rolling_restart;
mod sets;
mod settings;
mod sign;
mod streams;
mod usage_errors;
