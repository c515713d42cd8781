//! The tnv protocol on top of [`transport`](crate::transport): reads a request, calls the service, writes
//! exactly one reply.

mod access;
mod protocol;
mod reply_encoder;
mod service;

pub use protocol::Wire;
pub use service::{Caller, Content, Reply, Service};
