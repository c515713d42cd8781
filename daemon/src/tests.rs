//! Settings of a daemon for tests.

use base::config::{ConfigError, check_nonzero};
use base::secret::Secret;
use net::access_control::AccessSettings;
use serde::{Deserialize, Serialize};

use crate::config::Settings;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TestSettings {
    /// Makes the daemon fail.
    pub(crate) fail: bool,
    /// A zero is refused; a change needs a restart.
    pub(crate) size: u16,
    /// A reload changes it.
    pub(crate) peers: Vec<u16>,
    /// A reload changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alias: Option<u16>,
    pub(crate) token: Secret,
    /// A reload changes it.
    #[serde(flatten, skip_deserializing)]
    pub(crate) access: AccessSettings,
}

impl Default for TestSettings {
    fn default() -> TestSettings {
        TestSettings {
            fail: false,
            size: 1,
            peers: Vec::new(),
            alias: None,
            token: Secret::default(),
            access: AccessSettings::default(),
        }
    }
}

impl Settings for TestSettings {
    const PORT: u16 = 21;
    const STATUS_PORT: u16 = 22;

    fn access(&mut self) -> Option<&mut AccessSettings> {
        Some(&mut self.access)
    }

    fn reloaded(&self, new: &TestSettings) -> TestSettings {
        TestSettings {
            peers: new.peers.clone(),
            alias: new.alias,
            access: new.access.clone(),
            ..self.clone()
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_nonzero("size", self.size == 0)
    }

    fn access_summary(&self) -> Vec<String> {
        vec!["serves nobody".to_owned()]
    }
}
