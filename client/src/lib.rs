//! The client library: stores, reads and deletes files at the storages, which it finds through the
//! trackers. Blocking, and without a command line or terminal.
//!
//! The crate owns its connections and short-lived caches, and starts no thread: all work runs on the
//! threads of its callers. A [`Client`] is shared by any number of them, and holds no lock during
//! i/o.
//!
//! The modules in reading order: a `connection` carries one request and reply at a time, within
//! `time_limits`, and proves one of the `peer_keys` before the first one. The `connection_pool` keeps idle
//! connections for each address and sends each `call` on one of them. `server_queue`, `server_list` and
//! `candidates` choose the next server to ask;
//! `unsupported` remembers servers without a command. On these build the requests of `client`,
//! `file_commands` and `file_list`. Reading is one path: `open` with `open_at`, `download` with `retry`, `remote_file`. Storing is
//! `upload` with `upload_attempt` and `upload_content`.
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

mod dial;
mod time_limits;

mod call;
mod connection;
mod connection_pool;
mod peer_keys;

mod compared_files;
mod damage_memory;
mod server_list;
mod server_queue;
mod unsupported;

mod stat;

mod candidates;
mod client;
mod cluster;
mod file_commands;
mod file_list;

mod content_check;
mod download;
mod failure_frame;
mod held_back;
mod local;
mod open;
mod open_at;
mod remote_file;
mod retry;

mod file_ids;
mod upload;
mod upload_attempt;
mod upload_content;

mod admin;
mod id_client;

pub use admin::{Admin, StorageTarget};
pub use base::Network;
pub use client::Client;
pub use config::{ClientConfig, ConnectionConfig, LocalReads, PoolConfig};
pub use connection::Connection;
pub use connection_pool::ConnectionPool;
pub use content_check::ContentCheck;
pub use download::Download;
pub use error::{Error, ProtocolError};
pub use error_kind::ErrorKind;
pub use file_ids::new_file_id;
pub use file_list::{FileList, ListQuery, Usage};
pub use id_client::IdClient;
pub use open::Opening;
pub use peer_keys::{PeerKeys, read_keys};
pub use proto::file_list::ListedFile;
pub use proto::shared_key::KeyRing;
pub use proto::storage::{ByteRange, RangeSpec};
pub use proto::{Address, AppId, FileId, FileKey, UserId};
pub use remote_file::RemoteFile;
pub use stat::Stat;
pub use unsupported::may_be_unknown;
pub use upload::Uploaded;
pub use upload_content::checksum_of;

/// The example of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
