//! Starting and stopping, in order.

use std::net::SocketAddr;

use anyhow::Context;
use daemon::Life;
use daemon::http::Http;
use daemon::net::Server;

use crate::config::Config;
use crate::globals::Current;
use crate::service::HttpService;

/// A running httpd.
pub struct Httpd {
    globals: Current,
    server: Server,
}

/// Runs an httpd until the stop.
///
/// # Errors
/// It cannot start; the error says why.
pub fn run(config: Config, life: &mut Life<Config>) -> anyhow::Result<()> {
    let httpd = Httpd::start(&config)?;
    life.serve(|config| {
        httpd.reload(config);
        Ok(())
    });
    httpd.shutdown();
    Ok(())
}

impl Httpd {
    /// Serves. Trackers and storages are looked for when a request needs them.
    ///
    /// # Errors
    /// The address to listen on is not to be had.
    pub fn start(config: &Config) -> anyhow::Result<Httpd> {
        let globals = Current::new(config);
        let http = Http::new(HttpService::new(globals.clone()));
        let server = Server::start("httpd", config.listen, &config.server, http)
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        Ok(Httpd { globals, server })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Takes on the settings that a running one can: requests that begin from now on see them.
    pub fn reload(&self, config: &Config) {
        self.globals.change(config);
        self.server.reload(&config.server);
    }

    /// Finishes the streams in flight until the configured deadline.
    pub fn shutdown(self) {
        self.server.shutdown();
    }
}
