//! The frame, over real sockets.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod access_log;
mod common_fields;
mod crowd;
mod http;
mod overload;
mod pending;
mod proof;
mod requests;
mod stop;
mod support;
mod unreadable;
mod workers;
