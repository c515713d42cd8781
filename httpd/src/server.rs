//! Starting and stopping, in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use base::{Stop, Ticker, thread};
use daemon::status::StatusPort;
use daemon::{DaemonHandle, Ports};
use net::Server;
use net::http::{Http, TrustedProxies};

use crate::config::Config;
use crate::globals::Current;
use crate::metrics::{HttpMetrics, Shown};
use crate::service::HttpService;
use crate::trackers::Trackers;

/// How long who asks the trackers gets to notice a stop: one may be silent.
const WATCH_END: Duration = Duration::from_secs(1);

/// A running httpd.
pub struct Httpd {
    globals: Current,
    proxies: TrustedProxies,
    server: Server,
    metrics: Arc<HttpMetrics>,
    port: StatusPort,
    stop: Stop,
    /// Asks the trackers, if somebody may want to know.
    watch: Option<Ticker>,
}

/// Runs an httpd until the stop.
///
/// # Errors
/// It cannot start; the error says why.
pub fn run(config: Config, handle: &mut DaemonHandle<Config>) -> anyhow::Result<()> {
    let httpd = Httpd::start(&config)?;
    httpd.metrics.frame.adopt(handle.lost_log_lines());
    handle.serve(|config| {
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
    /// An address to listen on is not to be had.
    pub fn start(config: &Config) -> anyhow::Result<Httpd> {
        let ports = Ports::bind(config.listen, &config.status)?;
        let metrics = Arc::new(HttpMetrics::default());
        let globals = Current::new(config, Arc::clone(&metrics));
        let frame = &metrics.frame;
        let service = HttpService::new(globals.clone(), config.server.workers);
        let proxies = TrustedProxies::new(&config.trusted_proxies);
        let http = Http::new(service, Arc::clone(frame)).behind(proxies.clone());
        let server = Server::serve("httpd", ports.service, &config.server, http)
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let trackers = Trackers::default();
        let shown = Shown {
            metrics: Arc::clone(&metrics),
            trackers: trackers.clone(),
        };
        let port = StatusPort::start("tnv-httpd", ports.status, frame, shown)?;
        let stop = Stop::new();
        let watch = match port.addr() {
            Some(_) => Some(trackers.watch(&globals, &stop)?),
            None => None,
        };
        Ok(Httpd {
            globals,
            proxies,
            server,
            metrics,
            port,
            stop,
            watch,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Takes on the settings that a running one can: requests that begin from now on see them.
    pub fn reload(&self, config: &Config) {
        self.globals.change(config);
        self.proxies.reload(&config.trusted_proxies);
        self.server.reload(&config.server);
    }

    /// Where it tells how it is, unless that is off.
    pub fn status_addr(&self) -> Option<SocketAddr> {
        self.port.addr()
    }

    /// Finishes the streams in flight until the configured deadline.
    pub fn shutdown(self) {
        self.metrics.frame.begin_stop();
        self.server.shutdown();
        self.stop.trip();
        let watch = self.watch.map(Ticker::into_thread);
        thread::join_or_leave(watch, Instant::now() + WATCH_END);
        self.port.shutdown();
    }
}
