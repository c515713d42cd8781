//! The frame every tnv server runs in: its process, its threads and connections, its databases.
//!
//! Nothing of the business is here: no group, no file id. What goes in is used by two servers
//! at least.
//!
//! ```text
//!  main ─► run ─► arguments, configuration, log, signals
//!           │
//!           └► the server ─► net::Server ─► wire::Wire(Service)  tracker, idserver, storage
//!                │                     └──► http::Http(Handler)  httpd
//!                ├► status::StatusPort ─► http::Http(its pages) ─► metrics::Metrics
//!                ├► db::Sqlite
//!                └► ticker::Ticker
//! ```
//!
//! Threads: `signals`, one `accept` and one `park` for each listening socket, its `worker-N` and
//! `fast-N`, one writer and one waiter for locks for each SQLite database, one for each ticker. Every one is named and joined.

pub mod admin;
pub mod allowed;
pub mod args;
pub mod config;
pub mod folders;
mod host;
pub mod logging;
pub mod peer_host;
mod ports;
mod process;
pub mod quota;
mod run;
pub mod signals;
mod stop;
pub mod thread;
pub mod ticker;
pub mod units;

pub mod net;

pub mod http;
pub mod listen;
pub mod wire;

pub mod db;

pub mod metrics;
pub mod status;

pub use host::hostname;
pub use ports::Ports;
pub use process::{ProcessConfig, Umask};
pub use run::{DaemonConfig, Job, Life, command, job_done, run};
pub use stop::Stop;
