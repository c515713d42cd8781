//! The keys of a client, and the servers that it trusts without a proof.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use base::Network;
use base::secret::read_secrets;
use proto::shared_key::{KeyRing, SharedKey};

use crate::unsupported::UnsupportedCommands;

/// The keys that connections prove, and demand of servers (docs/protocol.md, Proof of a key). The first key
/// signs.
#[derive(Debug)]
pub struct PeerKeys {
    ring: KeyRing,
    /// Networks of servers that cannot prove a key.
    legacy_hosts: Vec<Network>,
    /// The servers in these networks that do not know the proof.
    pub(crate) no_proof: UnsupportedCommands,
}

impl PeerKeys {
    /// Demands a proof of every server that is not in `legacy_hosts`.
    pub fn new(ring: KeyRing, legacy_hosts: Vec<Network>) -> PeerKeys {
        PeerKeys {
            ring,
            legacy_hosts,
            no_proof: UnsupportedCommands::new("AUTHENTICATE"),
        }
    }

    /// As [`PeerKeys::new`], with the keys of a file.
    ///
    /// # Errors
    /// As [`read_keys`].
    pub fn from_file(path: &Path, legacy_hosts: Vec<Network>) -> io::Result<PeerKeys> {
        Ok(PeerKeys::new(read_keys(path)?, legacy_hosts))
    }

    pub(crate) fn signing(&self) -> &SharedKey {
        self.ring.signing()
    }

    /// True if a server at this address need not prove the key.
    pub(crate) fn is_legacy(&self, ip: IpAddr) -> bool {
        self.legacy_hosts.iter().any(|network| network.has(ip))
    }
}

/// Reads the keys of a file that only its owner may access. A line has a key, or an application, a blank and its
/// key.
///
/// # Errors
/// The file cannot be read, others may access it, or a line is invalid; the error does not name the file.
pub fn read_keys(path: &Path) -> io::Result<KeyRing> {
    let text = read_secrets(path)?;
    KeyRing::parse(text.expose()).map_err(io::Error::other)
}
