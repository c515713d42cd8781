//! A running idserver over sockets.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod golden;
mod numbers;
mod support;
