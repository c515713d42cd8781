//! The limit that refuses a connection or a request.

/// A limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The limit of one client.
    Client,
    /// The limit of connections, descriptors or workers of the server.
    Server,
}
