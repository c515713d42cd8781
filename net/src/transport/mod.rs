//! Connections: one accept thread, one event loop, fixed pools of workers.
//!
//! ```text
//!  accept ──► park ◄─────────────────┐
//!    │        epoll: idle connections,│ nothing to read, the peer takes
//!    │        partial requests, slow │ no more bytes, or another server
//!    │        transfers, requests    │ has to answer first
//!    │        that wait for another  │
//!    │        server                 │
//!    │          │ a whole request,   │
//!    └──────────┤ or ready again     │
//!               ▼                    │
//!             queue of a pool ────► workers: Protocol::serve, content in and out
//! ```
//!
//! A connection belongs to one thread at a time and moves by value. A worker holds it only while bytes
//! move; a partial request costs a small buffer and a deadline, never a thread.
//!
//! In reading order: `server`, `acceptor`, `event_loop`, `parking`, `worker`, `protocol`.

mod acceptor;
mod admission;
mod connection;
mod connection_limit;
mod event_loop;
mod evict;
mod full;
mod kernel_buffers;
mod local_port;
mod observer;
mod outgoing;
mod parking;
mod part;
mod peer;
mod pipe;
mod port;
mod processors;
mod protocol;
mod queue;
mod receiving;
mod record;
mod reply_memory;
mod server;
mod shared;
mod source;
mod stall;
mod time_slice;
mod wait;
mod waiting;
mod worker;
mod worker_pool;

pub use connection_limit::Connections;
pub use full::Full;
pub use local_port::LocalPort;
pub use observer::{NetEvent, NetGauge, Observer, Outcome, RequestEnd, RequestName, Sent};
pub use outgoing::{Outgoing, Then};
pub use part::{OpenFile, Part};
pub use peer::{Peer, PeerProbe};
pub use port::Port;
pub use protocol::{Action, Answer, Inbox, Pending, Protocol, Receive, Wake};
pub(crate) use record::{AccessLine, Record};
pub use server::Server;
pub use shared::kept_files_max;
pub use source::Source;
pub use worker_pool::WorkerPool;
