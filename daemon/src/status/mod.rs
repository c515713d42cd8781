//! The status port: the state of a daemon for monitoring, over HTTP.
//!
//! It has its own workers, so that it answers when those of the daemon are busy. No page waits for a
//! disk, a database or another server.

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

/// Few monitoring systems ask, and not often.
const WORKERS: u32 = 2;
const CONNECTIONS_MAX: u32 = 64;
const STOP_TIMEOUT: Period = Period::from_secs(1);

/// The state of one daemon, besides the common metrics. No method may block.
pub trait StatusSource: Send + Sync + 'static {
    /// Adds what is wrong.
    fn health(&self, health: &mut Health);

    /// Adds metrics that are looked up and not counted.
    fn measure(&self, page: &mut Page);

    /// Fields of `/status` besides the common ones; a JSON object.
    fn describe(&self) -> serde_json::Value;
}

/// A running status port, or none if it is off.
pub struct StatusPort {
    server: Option<Server>,
}

impl StatusPort {
    /// Starts the status port of the daemon `name`, if it has one.
    ///
    /// # Errors
    /// The system refuses a thread or a descriptor.
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

    /// The address it listens on.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(Server::addr)
    }

    /// Stops it. A daemon stops its status port at the end.
    pub fn shutdown(self) {
        if let Some(server) = self.server {
            server.shutdown();
        }
    }
}

#[cfg(test)]
mod tests;
