//! The tracker, as the frame of all daemons starts, reloads and stops it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::thread::{self, Thread};
use base::{Stop, Ticker};
use daemon::{Application, Ports, Running, Serving};
use net::wire::Wire;

use crate::config::{Config, Settings};
use crate::globals::Globals;
use crate::service::TrackerService;
use crate::status_view::StatusView;
use crate::{probes, status};

/// How long a stop waits for the periodic jobs: a database may be slow to answer.
const STATUS_END: Duration = Duration::from_secs(2);

/// A running tracker. Members join by themselves.
pub type Tracker = Running<App>;

/// The state that the threads of a tracker share, and its jobs.
pub struct App {
    globals: Arc<Globals>,
    status: [Ticker; 2],
    probes: Vec<Thread>,
    stop: Stop,
}

impl Application for App {
    type Settings = Settings;
    const NAME: &'static str = "tnv-tracker";
    const ABOUT: &'static str = "Knows the storages of a tnv cluster and sends users to theirs";

    fn start(config: Config, ports: Ports) -> anyhow::Result<(App, Serving)> {
        let globals = Globals::open(config)?;
        let (config, metrics) = (&globals.config, &globals.metrics.frame);
        let service = TrackerService::new(Arc::clone(&globals));
        let wire = Wire::new(service, config.hostname.as_str(), Arc::clone(metrics));
        let wire = wire.allowing(Arc::clone(&globals.access));
        let view = StatusView(Arc::clone(&globals));
        let serving = ports.serve::<App, _>(config, metrics, wire, |_| view)?;
        let stop = Stop::new();
        let app = App {
            status: status::start(&globals, &stop)?,
            probes: probes::start(&globals, &stop)?,
            globals,
            stop,
        };
        Ok((app, serving))
    }

    fn reload(&mut self, config: &Config) -> anyhow::Result<()> {
        self.globals.access.reload(&config.access)?;
        self.globals.reload(config);
        Ok(())
    }

    fn stop(self, finish_requests: impl FnOnce()) {
        self.stop.trip();
        finish_requests();
        // Before the join, because the job that reads the groups may wait for the database.
        self.globals.routes.close();
        let status = self.status.into_iter().map(Ticker::into_thread);
        thread::join_or_leave(status, Instant::now() + STATUS_END);
        probes::join(self.probes);
    }
}
