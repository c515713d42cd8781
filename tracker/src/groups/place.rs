//! What a join tells beside the JOIN itself.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use proto::{ClusterId, NodeId};

/// Where a storage joins, and as who.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Where clients are to be sent.
    pub(crate) addr: SocketAddr,
    /// Where the connection comes from that joined.
    pub(crate) peer: IpAddr,
    /// Who it is, if it told.
    pub(crate) node: Option<NodeId>,
    /// Whether it takes orders under the digest of its node id, and remembers its cluster.
    pub(crate) remembers: bool,
    /// The cluster it joined before, if it told.
    pub(crate) cluster: Option<ClusterId>,
    /// Whether the tracker tries to connect to the address.
    pub(crate) is_tried: bool,
    /// What is odd about the address.
    pub(crate) note: Option<Arc<str>>,
}
