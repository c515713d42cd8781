//! The status port: what a daemon says of itself to monitoring, over HTTP.
//!
//! It has workers of its own, so that it answers when those of the daemon are all busy, and it only
//! tells what is known already: no page waits for a disk, a database or another server.

mod config;
mod health;
mod pages;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use base::units::Period;
use net::http::Http;
use net::{Port, Server, ServerConfig};

use crate::metrics::{Metrics, Page};

pub use config::StatusConfig;
pub use health::{Health, measure_database};

use pages::Pages;

/// Monitoring asks now and then, from few places.
const WORKERS: u32 = 2;
const CONNECTIONS_MAX: u32 = 64;
const STOP_TIMEOUT: Period = Period::from_secs(1);

/// What a daemon knows of itself beyond what the frame counts. Nothing here may wait.
pub trait StatusSource: Send + Sync + 'static {
    /// Says what is wrong.
    fn health(&self, health: &mut Health);

    /// Adds what is looked up, rather than counted.
    fn measure(&self, page: &mut Page);

    /// What `/status` shows besides what all daemons have; an object.
    fn describe(&self) -> serde_json::Value;
}

/// A status port that serves, unless it is switched off.
pub struct StatusPort {
    server: Option<Server>,
}

impl StatusPort {
    /// Serves the pages of the daemon `name` on its port, if it has one.
    ///
    /// # Errors
    /// A thread or descriptor is not to be had.
    pub fn start(
        name: &'static str,
        port: Option<Port>,
        metrics: &Arc<Metrics>,
        source: impl StatusSource,
    ) -> anyhow::Result<StatusPort> {
        let Some(port) = port else {
            return Ok(StatusPort { server: None });
        };
        let addr = port.addr();
        let limits = ServerConfig {
            workers: WORKERS,
            fast_workers: 1,
            connections_max: CONNECTIONS_MAX,
            stop_timeout: STOP_TIMEOUT,
            ..ServerConfig::default()
        };
        let pages = Pages::new(name, Arc::clone(metrics), source);
        let http = Http::new(pages, Arc::new(Metrics::of_http()));
        let server = Server::serve("status", port, &limits, http)
            .with_context(|| format!("cannot listen on {addr}, the status port"))?;
        Ok(StatusPort {
            server: Some(server),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(Server::addr)
    }

    /// Ends it: the last thing a daemon stops.
    pub fn shutdown(self) {
        if let Some(server) = self.server {
            server.shutdown();
        }
    }
}

#[cfg(test)]
mod tests;
