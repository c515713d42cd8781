//! Connections: from the listening socket to a service and back, in the two protocols of tnv.
//!
//! ```text
//!  socket ─► transport::Server ─┬► wire::Wire(Service)   tracker, idserver, storage
//!                │              └► http::Http(Handler)   httpd, status ports
//!                └► Observer: metrics
//! ```
//!
//! It owns the sockets of clients, the limits on them and on their requests, and the access logs' lines,
//! which go to the logger of the process under [`ACCESS_TARGET`]. It knows no metrics: an [`Observer`]
//! receives the events.
//!
//! Threads of a [`Server`]: `accept`, `park` (the event loop), `worker-N` and `fast-N`. Services and
//! handlers are called on the workers. A shutdown joins all of them.
//!
//! In reading order: [`config`] (section `[server]`), [`listen`] (addresses to listen on); [`transport`]
//! (connections, whatever is spoken on them); [`wire`] and [`http`]; [`access_control`],
//! [`peer_host`], [`quota`] and [`admin`] (keys and allowed hosts, limits per host, orders of administrators).

pub mod access_control;
mod access_log;
pub mod admin;
pub mod config;
pub mod http;
pub mod listen;
pub mod peer_host;
pub mod quota;
pub mod transport;
pub mod wire;

pub use access_log::{ACCESS_TARGET, timestamp};
pub use config::ServerConfig;
pub use transport::{
    Action, Answer, Connections, Full, Inbox, LocalPort, NetEvent, NetGauge, Observer, OpenFile,
    Outcome, Outgoing, Part, Peer, PeerProbe, Pending, Port, Protocol, Receive, RequestEnd,
    RequestName, Sent, Server, Source, Then, Wake, WorkerPool, kept_files_max,
};
