//! The address and identity of a storage that joins.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use proto::{ClusterId, NodeId};

/// The address at which a storage joins, and its identity.
#[derive(Debug, Clone)]
pub(crate) struct MemberAddress {
    /// The address for clients.
    pub(crate) addr: SocketAddr,
    /// The address of the connection that joins.
    pub(crate) peer: IpAddr,
    /// None for a C++ storage.
    pub(crate) node: Option<NodeId>,
    /// The cluster that it remembers.
    pub(crate) cluster: Option<ClusterId>,
    /// True when the tracker may connect to the address.
    pub(crate) is_probed: bool,
    /// A warning about the address.
    pub(crate) note: Option<Arc<str>>,
}
