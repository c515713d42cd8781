//! The wire protocol of tnv: frames, requests and replies, the names and ids in them, the storage
//! path and the file table of a user.
//!
//! Pure: bytes in, values out. No sockets, threads, files or clocks; time and randomness come in as
//! arguments. Every decoder takes bytes from a stranger: it checks before it allocates and returns
//! a [`DecodeError`] that names the field.

mod address;
pub mod admin;
pub mod cluster;
mod error;
mod escape;
mod fault;
mod field;
pub mod file_id;
pub mod group_list;
mod head;
pub mod hello;
pub mod idserver;
mod name;
pub mod report;
mod request;
mod settings;
pub mod storage;
pub mod storage_path;
mod table;
pub mod tracker;

pub use address::Address;
pub use error::DecodeError;
pub use escape::Escaped;
pub use fault::{ErrorCode, FAULT_MESSAGE_MAX, Fault};
pub use head::{HEAD_LEN, Head, STATUS_FAILURE, STATUS_OK};
pub use name::{AppId, ClusterId, FileId, GroupName, Hostname, IdKey, NodeId, UserId, Version};
pub use request::{FILE_KEY_LEN, FIXED_MAX, FileKey, Request, Subject};
pub use settings::settings_mistake;
pub use table::file_table;

#[cfg(test)]
mod tests;
