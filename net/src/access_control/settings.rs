//! The settings of [`AccessControl`](super::AccessControl), and the files of keys.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base::Network;
use base::config::ConfigError;
use base::secret::read_secrets;
use proto::ServerKind;
use proto::shared_key::KeyRing;
use serde::{Deserialize, Serialize};

/// The settings that decide who is served.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AccessSettings {
    /// The keys of the nodes and of the applications. The first one signs; it is one of nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_key_file: Option<PathBuf>,
    /// Networks that are served. Absent: all with a key, this machine alone without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_hosts: Option<Vec<Network>>,
    /// Networks of peers that cannot prove a key.
    pub legacy_hosts: Vec<Network>,
    /// Addresses at which clients reach this daemon through address translation.
    pub known_as: Vec<SocketAddr>,
}

impl AccessSettings {
    /// The keys of the settings.
    pub const KEYS: [&str; 4] = [
        "cluster_key_file",
        "allow_hosts",
        "legacy_hosts",
        "known_as",
    ];

    /// Refuses a list that allows no address.
    ///
    /// # Errors
    /// `allow_hosts` is empty.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.allow_hosts.as_ref().is_some_and(Vec::is_empty) {
            let text = "nobody could connect: name addresses or networks";
            return Err(ConfigError::invalid("allow_hosts", text));
        }
        Ok(())
    }

    /// Tells who is served, for `--check-config`: one sentence an element.
    pub fn summary(&self, server: ServerKind) -> Vec<String> {
        let proof = match &self.cluster_key_file {
            Some(_) => "every program that proves a key",
            None => "every program",
        };
        let served = match (&self.cluster_key_file, &self.allow_hosts) {
            (None, None) => "serves every program on this machine, and no other".to_owned(),
            (Some(_), None) => format!("serves {proof}, on every host"),
            (_, Some(allowed)) if server == ServerKind::Tracker => format!(
                "serves {proof}: storages on {} only, clients on every host",
                list(allowed)
            ),
            (_, Some(allowed)) => format!("serves {proof} on {}", list(allowed)),
        };
        let legacy = (!self.legacy_hosts.is_empty()).then(|| {
            format!(
                "serves every program without a key on {} (legacy_hosts)",
                list(&self.legacy_hosts)
            )
        });
        [served].into_iter().chain(legacy).collect()
    }
}

/// The networks as a sentence names them.
pub fn list(networks: &[Network]) -> String {
    let texts: Vec<String> = networks.iter().map(Network::to_string).collect();
    texts.join(", ")
}

/// Reads a file of keys; `setting` is the key of the configuration that names it.
///
/// # Errors
/// It is missing, others than its owner may read it, or a line of it is invalid.
pub fn read_keys(setting: &str, path: &Path) -> Result<KeyRing, ConfigError> {
    let invalid =
        |text: String| ConfigError::invalid(setting, format!("{}: {text}", path.display()));
    let text = read_secrets(path).map_err(|e| invalid(e.to_string()))?;
    KeyRing::parse(text.expose()).map_err(|e| invalid(e.to_string()))
}

/// Reads the keys of a node: the first one must be one of nodes.
pub(super) fn node_keys(path: &Path) -> Result<KeyRing, ConfigError> {
    const SETTING: &str = "cluster_key_file";
    let keys = read_keys(SETTING, path)?;
    if let Some(app) = keys.signing().app() {
        let text = format!(
            "{}: the first key is of the application {app}, the key of the nodes must stand before it",
            path.display()
        );
        return Err(ConfigError::invalid(SETTING, text));
    }
    Ok(keys)
}
