//! The settings of an httpd (`etc/httpd.toml` explains each).

use std::path::PathBuf;

use base::Network;
use base::config::{ConfigError, check_nonzero};
use base::units::Period;
use client::PeerKeys;
use net::access_control::{self, read_keys};
use proto::shared_key::KeyRing;
use proto::{Address, AppId, UserId};
use serde::{Deserialize, Serialize};

use crate::cache_control::CacheControl;
use crate::cors::Cors;
use crate::protection::Protected;

/// All settings.
pub type Config = daemon::Config<Settings>;

/// The settings of this server alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Proxies whose X-Forwarded-For names the client in the access log.
    pub trusted_proxies: Vec<Network>,
    /// The trackers.
    pub trackers: Vec<Address>,
    /// The key that connections prove to trackers and storages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Networks of trackers and storages that cannot prove a key.
    pub legacy_hosts: Vec<Network>,
    /// The keys of signed URLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_key_file: Option<PathBuf>,
    /// The files that need a signed URL.
    pub protect: Vec<Protected>,
    /// The application of `/files/ID`.
    pub app: AppId,
    /// The user of `/files/ID`. Without one such a URL is not found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Limit on the time for a connection to a tracker or storage, with name resolution.
    pub connect_timeout: Period,
    /// Limit on the silence of a storage. Then another one is tried.
    pub storage_timeout: Period,
    /// How long the storages of a user are cached.
    pub storage_cache: Period,
    /// If true, files of storages on this machine are read from their disk.
    pub local_reads: bool,
    /// The pages that may read responses.
    pub cors: Cors,
    /// The field Cache-Control.
    pub cache_control: CacheControl,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            trusted_proxies: Vec::new(),
            trackers: vec!["127.0.0.1:21000".parse().expect("an address")],
            key_file: None,
            legacy_hosts: Vec::new(),
            url_key_file: None,
            protect: Vec::new(),
            app: "tnvideo".parse().expect("an app id"),
            user: None,
            connect_timeout: Period::from_secs(3),
            storage_timeout: Period::from_secs(5),
            storage_cache: Period::from_secs(1),
            local_reads: true,
            cors: Cors::default(),
            cache_control: CacheControl::default(),
        }
    }
}

impl Settings {
    /// The keys for connections to trackers and storages.
    ///
    /// # Errors
    /// The file cannot be used.
    pub(crate) fn peer_keys(&self) -> Result<Option<PeerKeys>, ConfigError> {
        let file = self.key_file.as_deref();
        let ring = file.map(|file| read_keys("key_file", file)).transpose()?;
        Ok(ring.map(|ring| PeerKeys::new(ring, self.legacy_hosts.clone())))
    }

    /// The keys of signed URLs.
    ///
    /// # Errors
    /// The file cannot be used.
    pub(crate) fn url_keys(&self) -> Result<Option<KeyRing>, ConfigError> {
        let file = self.url_key_file.as_deref();
        file.map(|file| read_keys("url_key_file", file)).transpose()
    }
}

impl daemon::Settings for Settings {
    const PORT: u16 = 8080;
    const STATUS_PORT: u16 = 8081;

    /// Each of them can change.
    fn reloaded(&self, new: &Settings) -> Settings {
        new.clone()
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_nonzero("connect_timeout", self.connect_timeout.is_zero())?;
        check_nonzero("storage_timeout", self.storage_timeout.is_zero())?;
        self.peer_keys()?;
        self.url_keys()?;
        self.cors.check()?;
        self.cache_control.check()?;
        if !self.protect.is_empty() && self.url_key_file.is_none() {
            let reason = "nobody could read these files: set url_key_file";
            return Err(ConfigError::invalid("protect", reason));
        }
        if self.trackers.is_empty() {
            return Err(ConfigError::invalid("trackers", "at least one is needed"));
        }
        Ok(())
    }

    fn access_summary(&self) -> Vec<String> {
        let protected: Vec<&str> = self.protect.iter().map(Protected::as_str).collect();
        let others = match protected.contains(&"*") {
            true => "",
            false => "; all others to everybody who knows their URL",
        };
        let files = match protected.is_empty() {
            true => "serves every file to everybody who knows its URL".to_owned(),
            false => format!(
                "serves these files with a signed URL only: {}{others}",
                protected.join(", ")
            ),
        };
        let proxies = match &self.trusted_proxies[..] {
            [] => "believes no proxy about the address of its client".to_owned(),
            proxies => format!(
                "believes the proxies {} about the addresses of their clients",
                access_control::list(proxies)
            ),
        };
        let peers = match &self.key_file {
            Some(_) => "demands the proof of a key from trackers and storages",
            None => "believes every tracker and storage at its address: no key_file is set",
        };
        let pages =
            self.cors.origins.as_list().map(|origins| {
                format!("lets pages of these origins read every response: {origins}")
            });
        let summary = [files, proxies, peers.to_owned()].into_iter();
        summary.chain(pages).collect()
    }
}

#[cfg(test)]
mod tests {
    use daemon::Settings as _;

    use super::*;

    #[test]
    fn the_check_of_settings_tells_what_is_open_to_whom() {
        let summary = |text: &str| Config::parse(text).unwrap().access_summary();
        assert_eq!(
            summary(""),
            [
                "serves every file to everybody who knows its URL",
                "believes no proxy about the address of its client",
                "believes every tracker and storage at its address: no key_file is set",
            ]
        );
        let text =
            "protect = [\"a/b\", \"c\"]\ntrusted_proxies = [\"10.0.0.1\"]\nkey_file = \"/k\"";
        assert_eq!(
            summary(text),
            [
                "serves these files with a signed URL only: a/b, c; all others to everybody who \
                 knows their URL",
                "believes the proxies 10.0.0.1 about the addresses of their clients",
                "demands the proof of a key from trackers and storages",
            ]
        );
        let all = summary("protect = [\"*\"]\n[cors]\norigins = \"*\"");
        assert_eq!(all[0], "serves these files with a signed URL only: *");
        assert_eq!(all[3], "lets pages of these origins read every response: *");
    }

    #[test]
    fn a_value_of_a_section_is_refused_by_its_key() {
        let refusal = |text: &str| match Config::parse(text) {
            Ok(config) => config.check().unwrap_err().to_string(),
            Err(error) => error,
        };
        for (text, key) in [
            ("[cors]\norigins = [\"https://a.example/\"]", "cors.origins"),
            ("[cors]\norigins = \"a.example\"", "cors.origins"),
            ("[cors]\norigins = 1", "a list of origins"),
            ("[cors]\norigin = \"*\"", "origin"),
            ("[cors]\nheaders = [\"\"]", "cors.headers"),
            (
                "[cache_control]\nnames = \"public;\"",
                "cache_control.names",
            ),
        ] {
            let error = refusal(text);
            assert!(error.contains(key), "{text}: {error}");
        }
        let one = Config::parse("[cors]\norigins = \"https://a.example\"").unwrap();
        let list = Config::parse("[cors]\norigins = [\"https://a.example\"]").unwrap();
        assert_eq!(one.cors, list.cors);
        assert!(one.check().is_ok());
    }
}
