//! The blocking client of tnv: stores, reads and deletes files at the storages, which it finds
//! through the trackers.
//!
//! From the bottom up: a [`Connection`] carries one request and one reply at a time; a
//! [`PoolManager`] keeps idle connections for each address; a [`Client`] knows the trackers, asks
//! them for a user's storages and tries every address before it gives up. One client is shared by
//! any number of threads; no lock is held while a socket is waited for.
//!
//! ```no_run
//! use std::io::Read;
//! use client::{AppId, Client, ClientConfig, FileKey, UserId};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(ClientConfig::new(vec!["127.0.0.1:21000".parse()?]));
//! let user = UserId::new("alice")?;
//! let file = client::new_file_id(&user);
//! let key = FileKey { app: AppId::new("tnvideo")?, user, file };
//!
//! let mut film = std::fs::File::open("film.mp4")?;
//! let size = film.metadata()?.len();
//! client.upload(&key, &mut film, size, &mut |_sent| ())?;
//!
//! let mut opening = Vec::new();
//! client.read_range(&key, 0, Some(4096))?.read_to_end(&mut opening)?;
//! # Ok(())
//! # }
//! ```

mod config;
mod error;
mod error_kind;

mod connection;
mod dial;
mod manager;
mod pool;
mod wait;

mod admin;
mod client;
mod cluster;
mod content_check;
mod download;
mod failure_frame;
mod file_ids;
mod held_back;
mod id_client;
mod lacking;
mod open;
mod read_range;
mod remote_file;
mod retry;
mod rotation;
mod storage_cache;
mod storages;
mod suspects;
mod turns;
mod upload;
mod upload_attempt;

pub use admin::{Admin, StorageTarget};
pub use client::{Client, Stat};
pub use config::{ClientConfig, ConnectionConfig, PoolConfig};
pub use connection::Connection;
pub use content_check::ContentCheck;
pub use download::Download;
pub use error::{Error, ProtocolError};
pub use error_kind::ErrorKind;
pub use file_ids::new_file_id;
pub use id_client::IdClient;
pub use lacking::may_be_unknown;
pub use manager::PoolManager;
pub use open::Opening;
pub use proto::{Address, AppId, FileId, FileKey, UserId};
pub use remote_file::RemoteFile;
pub use upload::{Uploaded, checksum_of};

/// The example of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
