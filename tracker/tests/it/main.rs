//! A running tracker over sockets.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod golden;
mod members;
mod routes;
mod support;
