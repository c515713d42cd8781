//! The wire protocol of tnv: frames, requests and replies, the names and ids in them, the storage path and
//! the file table of a user (docs/protocol.md).
//!
//! It owns no state and has no thread, socket, file or clock: time and randomness are arguments. Every decoder
//! takes bytes of a stranger: it checks before it allocates, and returns a [`DecodeError`] that names the field.
//!
//! In reading order: [`Head`] and [`Request`], the frame; `name` and [`Address`], the texts in it; [`tracker`],
//! [`idserver`] and [`storage`], the requests and replies of each server, with [`file_list`] for lists;
//! [`Fault`], the reply that failed;
//! [`hello`], [`report`], [`cluster`] and [`group_list`], longer texts; [`admin`], orders of administrators;
//! [`shared_key`], [`peer_proof`] and [`url_signature`], proofs and signatures with shared keys;
//! [`file_id`], [`storage_path`](mod@storage_path) and [`file_table`], what the C++ system computes too.

mod address;
pub mod admin;
pub mod cluster;
mod error;
mod fault;
mod field;
pub mod file_id;
pub mod file_list;
pub mod group_list;
mod head;
pub mod hello;
pub mod idserver;
mod json;
mod name;
pub mod peer_proof;
pub mod report;
mod request;
mod server_kind;
pub mod shared_key;
pub mod storage;
pub mod storage_path;
mod table;
pub mod tracker;
pub mod url_signature;

pub use address::{Address, canonical};
pub use error::DecodeError;
pub use fault::{ErrorCode, FAULT_MESSAGE_MAX, Fault};
pub use head::{HEAD_LEN, Head, STATUS_FAILURE, STATUS_OK};
pub use name::{
    AppId, ClusterId, FileId, FileName, GroupName, Hostname, IdKey, NodeId, UserId, Version,
};
pub use request::{AccessFields, FILE_KEY_LEN, FIXED_MAX, FileKey, Permission, Request};
pub use server_kind::ServerKind;
pub use table::file_table;

#[cfg(test)]
mod tests;
