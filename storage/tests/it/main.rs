//! A storage in this process, over real sockets, on folders of its own.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod access;
mod commands;
mod config;
mod damage;
mod database;
mod expiry;
mod golden;
mod late;
mod lists;
mod local;
mod membership;
mod orphans;
mod owners;
mod paths;
mod quotas;
mod reload;
mod reports;
mod support;
mod tracker;
