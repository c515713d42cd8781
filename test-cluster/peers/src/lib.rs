//! Scripted trackers and storages in the process of a test, for tests of the client and of the
//! command line.

#![allow(clippy::unwrap_used, missing_docs)]

pub mod cpp;
pub mod fake;
pub mod storage;
pub mod support;
pub mod tracker;
