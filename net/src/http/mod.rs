//! HTTP/1.1 on top of [`transport`](crate::transport), for GET and HEAD.
//!
//! Heads are parsed strictly here (httparse and rules of our own); tiny_http's response types write
//! them. Its server is not used: see ARCHITECTURE.md.

mod access;
mod forwarded;
mod protocol;
mod proxies;
mod request;
mod response;

pub use protocol::{Handler, Http};
pub use proxies::TrustedProxies;
pub use request::Request;
pub use response::{Field, Response, status};
pub use tiny_http::Method;

#[cfg(test)]
mod tests;
