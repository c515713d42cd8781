//! What all requests share, built once.

use client::{Client, ClientConfig, ConnectionConfig};
use proto::{AppId, UserId};

use crate::cache::Types;
use crate::config::Config;

pub(crate) struct Globals {
    pub(crate) client: Client,
    pub(crate) types: Types,
    /// Whose file `/files/ID` is.
    pub(crate) app: AppId,
    pub(crate) user: Option<UserId>,
}

impl Globals {
    pub(crate) fn new(config: &Config) -> Globals {
        let connection = ConnectionConfig {
            connect_timeout: config.connect_timeout.duration(),
            io_timeout: config.storage_timeout.duration(),
            ..ConnectionConfig::default()
        };
        let client = Client::new(ClientConfig {
            connection,
            storage_cache: config.storage_cache.duration(),
            ..ClientConfig::new(config.trackers.clone())
        });
        Globals {
            client,
            types: Types::default(),
            app: config.app.clone(),
            user: config.user.clone(),
        }
    }
}
