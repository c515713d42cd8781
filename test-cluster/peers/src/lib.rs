//! Scripted trackers and storages in the process of a test, recorded exchanges of the C++ programs, and
//! a client of frames.

#![allow(clippy::unwrap_used, missing_docs)]

pub mod cpp;
pub mod fake;
mod memory;
pub mod recorded;
pub mod storage;
pub mod support;
pub mod tracker;
pub mod wire;
