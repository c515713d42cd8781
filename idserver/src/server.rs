//! The idserver, as the frame of all daemons starts, reloads and stops it.

use std::sync::Arc;

use daemon::{Application, Ports, Running, Serving};
use net::access_control::AccessControl;
use net::wire::Wire;
use proto::ServerKind;

use crate::config::{Config, Settings};
use crate::filler::Filler;
use crate::globals::Globals;
use crate::service::IdService;
use crate::status_view::StatusView;

/// A running idserver.
pub type Idserver = Running<App>;

/// The state that the threads of an idserver share, and its filler.
pub struct App {
    globals: Arc<Globals>,
    access: Arc<AccessControl>,
    filler: Filler,
}

impl Application for App {
    type Settings = Settings;
    const NAME: &'static str = "tnv-idserver";
    const ABOUT: &'static str = "Hands out the numbers of a tnv cluster, none of them twice";

    fn start(config: Config, ports: Ports) -> anyhow::Result<(App, Serving)> {
        let globals = Globals::open(config)?;
        let (filler, queue) = Filler::start(&globals)?;
        let (config, metrics) = (&globals.config, &globals.metrics.frame);
        let service = IdService::new(Arc::clone(&globals), queue);
        let access = Arc::new(AccessControl::new(ServerKind::Idserver, &config.access)?);
        let wire = Wire::new(service, config.hostname.as_str(), Arc::clone(metrics));
        let wire = wire.allowing(Arc::clone(&access));
        let view = StatusView(Arc::clone(&globals));
        let serving = ports.serve::<App, _>(config, metrics, wire, |_| view)?;
        let app = App {
            globals,
            access,
            filler,
        };
        Ok((app, serving))
    }

    fn reload(&mut self, config: &Config) -> anyhow::Result<()> {
        self.access.reload(&config.access)?;
        self.globals.reload(config);
        Ok(())
    }

    /// The numbers in memory are skipped.
    fn stop(self, finish_requests: impl FnOnce()) {
        finish_requests();
        self.globals.ids.close();
        self.filler.shutdown();
    }
}
