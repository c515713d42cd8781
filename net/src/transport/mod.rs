//! Connections: one accept thread, one parking thread, fixed pools of workers.
//!
//! ```text
//!  accept ──► park ◄─────────────────┐
//!    │        epoll: idle connections,│ nothing more to read, the peer takes
//!    │        half requests, slow    │ nothing more, or another server is to
//!    │        peers in mid-transfer, │ answer first
//!    │        requests that wait     │
//!    │        for another server     │
//!    │          │ a whole request,   │
//!    └──────────┤ or ready to go on  │
//!               ▼                    │
//!             lanes ──────────────► workers: Protocol::serve, content in and out
//! ```
//!
//! A connection belongs to one thread at a time and moves by value. A worker holds one only while
//! bytes move; half a request costs a small buffer and a deadline, never a thread.

mod admission;
mod ahead;
mod connection;
mod evict;
mod lane;
mod limit;
mod listener;
mod observer;
mod park;
mod peer;
mod pipe;
mod port;
mod protocol;
mod queue;
mod receiving;
mod refuse;
mod sending;
mod server;
mod shared;
mod source;
mod starvation;
mod unsent;
mod wait;
mod waiting;
mod watch;
mod worker;

pub use lane::Lane;
pub use limit::Connections;
pub(crate) use observer::Tally;
pub use observer::{NetEvent, NetLevel, Observer, Outcome, RequestEnd, RequestName, Sent};
pub use peer::{Peer, PeerProbe};
pub use port::Port;
pub use protocol::{
    Action, Inbox, OpenFile, Outgoing, Part, Pending, Protocol, Readiness, Receive, Resumed, Then,
    Wake,
};
pub use server::Server;
pub use source::Source;
