//! Access control: proofs of keys, and the addresses that need none (docs/protocol.md, Proof of a key).

mod settings;

use std::net::{IpAddr, SocketAddr};

use base::config::ConfigError;
use base::{LogThrottle, Network};
use log::warn;
use parking_lot::RwLock;
use proto::peer_proof::{Authenticate, ServerProof, UNIX_SOCKET};
use proto::shared_key::{KeyId, KeyRing};
use proto::{AppId, ErrorCode, Fault, Permission, ServerKind, canonical};

pub use settings::{AccessSettings, list, read_keys};

/// Decides which requests a server serves. Shared by all connections; a reload replaces the rules.
#[derive(Debug)]
pub struct AccessControl {
    server: ServerKind,
    rules: RwLock<Rules>,
    log: LogThrottle<Reason>,
}

#[derive(Debug, Default)]
struct Rules {
    keys: Option<KeyRing>,
    allow_hosts: Option<Vec<Network>>,
    legacy_hosts: Vec<Network>,
    known_as: Vec<SocketAddr>,
}

/// The state of the proof of one connection.
#[derive(Debug, Default)]
pub(crate) enum Proof {
    #[default]
    None,
    /// AUTHENTICATE was answered; PROVE is missing.
    Begun(Box<ServerProof>),
    /// PROVE was right.
    Proved(ProvedKey),
}

/// The key that a client has proved to have.
#[derive(Debug)]
pub(crate) struct ProvedKey {
    id: KeyId,
    app: Option<AppId>,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

impl Ends {
    /// True on the Unix socket, where both sides are of the same user, or of root.
    fn are_local(self) -> bool {
        self.peer == UNIX_SOCKET
    }
}

/// Why a peer is refused: each reason has its own log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    NotInAllowHosts,
    OnlyThisMachine,
    NoProof,
    WrongKey,
    OtherAddress,
    OtherPermission,
}

impl AccessControl {
    /// Serves this machine only.
    pub fn this_machine(server: ServerKind) -> AccessControl {
        AccessControl {
            server,
            rules: RwLock::default(),
            log: LogThrottle::default(),
        }
    }

    /// Loads the settings of a kind of server, with the keys.
    ///
    /// # Errors
    /// A setting is invalid, or the key file cannot be used.
    pub fn new(
        server: ServerKind,
        settings: &AccessSettings,
    ) -> Result<AccessControl, ConfigError> {
        let access = AccessControl::this_machine(server);
        access.reload(settings)?;
        Ok(access)
    }

    /// Replaces the settings and reads the keys again. A connection whose key is gone is not served any more.
    ///
    /// # Errors
    /// As [`AccessControl::new`]; the rules stay as they are.
    pub fn reload(&self, settings: &AccessSettings) -> Result<(), ConfigError> {
        *self.rules.write() = Rules::load(settings)?;
        Ok(())
    }

    /// The names of this server in orders: the address of the connection, and those in `known_as`.
    pub fn names(&self, local: SocketAddr) -> Vec<SocketAddr> {
        let rules = self.rules.read();
        let known_as = rules.known_as.iter().copied();
        [canonical(local)].into_iter().chain(known_as).collect()
    }

    /// Answers AUTHENTICATE: the body of the reply.
    ///
    /// # Errors
    /// Forbidden: there is no such key here, or the client connected to an address of another server.
    pub(crate) fn authenticate(
        &self,
        proof: &mut Proof,
        request: &Authenticate,
        ends: Ends,
    ) -> Result<Vec<u8>, Fault> {
        *proof = Proof::None;
        let rules = self.rules.read();
        let Some(keys) = &rules.keys else {
            return Err(forbidden("no cluster_key_file is set here"));
        };
        let Some(key) = keys.find(&request.key) else {
            return Err(self.refuse(Reason::WrongKey, ends, "no such key is known here"));
        };
        let is_mine =
            request.address == canonical(ends.local) || rules.known_as.contains(&request.address);
        if !is_mine {
            let text = format!(
                "{} is no address of this server: name it in known_as if addresses are translated on the way",
                request.address
            );
            return Err(self.refuse(Reason::OtherAddress, ends, &text));
        }
        let begun = ServerProof::begin(self.server, request, key, rand::random());
        let reply = begun.reply();
        *proof = Proof::Begun(Box::new(begun));
        Ok(reply)
    }

    /// Verifies PROVE, and records the key in `proof`.
    ///
    /// # Errors
    /// Forbidden: the proof is wrong, or was not begun.
    pub(crate) fn prove(&self, proof: &mut Proof, body: &[u8], ends: Ends) -> Result<(), Fault> {
        let Proof::Begun(begun) = std::mem::take(proof) else {
            return Err(forbidden("no proof was begun on this connection"));
        };
        let Some(key) = begun.verify(body) else {
            return Err(self.refuse(Reason::WrongKey, ends, "the proof of the key is wrong"));
        };
        *proof = Proof::Proved(ProvedKey {
            id: key.id(),
            app: key.app().cloned(),
        });
        Ok(())
    }

    /// Refuses a request that the peer may not make.
    ///
    /// # Errors
    /// Forbidden; the message names the setting that would allow it.
    pub(crate) fn check_request(
        &self,
        proof: &Proof,
        permission: Permission<'_>,
        ends: Ends,
    ) -> Result<(), Fault> {
        let rules = self.rules.read();
        let ip = ends.peer.ip();
        if any_contains(&rules.legacy_hosts, ip) {
            return Ok(());
        }
        // A process on the Unix socket has no address; its user may read the files anyway.
        if !ends.are_local()
            && self.needs_allowed_host(permission)
            && let Some(allowed) = &rules.allow_hosts
            && !any_contains(allowed, ip)
        {
            let text = format!("{} is not in allow_hosts", ip.to_canonical());
            return Err(self.refuse(Reason::NotInAllowHosts, ends, &text));
        }
        match (&rules.keys, proof) {
            (Some(keys), Proof::Proved(key)) if keys.find(&key.id).is_some() => {
                self.check_permission(key, permission, ends)
            }
            (Some(_), Proof::Proved(_)) => {
                let text = "the key that this connection has proved is not accepted any more";
                Err(self.refuse(Reason::WrongKey, ends, text))
            }
            (Some(_), _) => {
                let text = "a key is needed here: give the client the cluster key or a key of its \
                            application (cluster_key_file, key_file), or name its address in legacy_hosts";
                Err(self.refuse(Reason::NoProof, ends, text))
            }
            (None, _) if rules.allow_hosts.is_some() || is_same_machine(ends) => Ok(()),
            (None, _) => {
                let text = "only this machine is served: set cluster_key_file, or name the peer in \
                            allow_hosts";
                Err(self.refuse(Reason::OnlyThisMachine, ends, text))
            }
        }
    }

    /// True if this server refuses every request of the peer before the proof of a key.
    pub(crate) fn refuses_unproved(&self, ends: Ends) -> bool {
        let rules = self.rules.read();
        let ip = ends.peer.ip();
        let is_open = ends.are_local() && rules.keys.is_none();
        if is_open || any_contains(&rules.legacy_hosts, ip) {
            return false;
        }
        match &rules.allow_hosts {
            _ if rules.keys.is_some() => true,
            Some(_) if self.server == ServerKind::Tracker => false,
            Some(allowed) => !any_contains(allowed, ip),
            None => !is_same_machine(ends),
        }
    }

    /// A tracker's allow_hosts is for storages: clients may come from everywhere.
    fn needs_allowed_host(&self, permission: Permission<'_>) -> bool {
        self.server != ServerKind::Tracker || permission == Permission::Node
    }

    fn check_permission(
        &self,
        key: &ProvedKey,
        permission: Permission<'_>,
        ends: Ends,
    ) -> Result<(), Fault> {
        let text = match (&key.app, permission) {
            (None, _) | (_, Permission::AnyKey) => return Ok(()),
            (Some(app), Permission::App(wanted)) if app == wanted => return Ok(()),
            (Some(app), Permission::App(wanted)) => {
                format!("the key is of the application {app}, not of {wanted}")
            }
            (Some(app), Permission::Node) => {
                format!("the key is of the application {app}, not of a node")
            }
        };
        Err(self.refuse(Reason::OtherPermission, ends, &text))
    }

    /// The failure that the peer gets. The log has it at most once per second and reason.
    fn refuse(&self, reason: Reason, ends: Ends, text: &str) -> Fault {
        if let Some(more) = self.log.due(reason) {
            warn!("{} is refused: {text}{more}", canonical(ends.peer));
        }
        forbidden(text)
    }
}

impl Rules {
    fn load(settings: &AccessSettings) -> Result<Rules, ConfigError> {
        settings.check()?;
        let file = settings.cluster_key_file.as_deref();
        Ok(Rules {
            keys: file.map(settings::node_keys).transpose()?,
            allow_hosts: settings.allow_hosts.clone(),
            legacy_hosts: settings.legacy_hosts.clone(),
            known_as: settings.known_as.iter().copied().map(canonical).collect(),
        })
    }
}

/// True if both ends are on one machine: nobody else can send from its address.
fn is_same_machine(ends: Ends) -> bool {
    let [peer, local] = [ends.peer, ends.local].map(|addr| addr.ip().to_canonical());
    peer.is_loopback() || peer == local
}

fn any_contains(networks: &[Network], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.has(ip))
}

fn forbidden(text: &str) -> Fault {
    Fault::new(ErrorCode::Forbidden, text)
}

#[cfg(test)]
mod tests;
