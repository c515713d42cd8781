//! The membership at one tracker: join, beat, report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{LogThrottle, Stop};
use client::{Connection, Error, may_be_unknown};
use log::{debug, info, warn};
use proto::Address;
use proto::tracker::TrackerRequest;

use super::registration::{Registration, ServiceState, service_state};

/// Wait before a lost tracker is tried again (docs/protocol.md, Frame).
const RECONNECT_DELAY: Duration = Duration::from_secs(2);
/// Interval of checks for a changed state.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long HELLO and REPORT are not sent to a tracker that does not know them, as a C++ tracker.
const UNSUPPORTED_FOR: Duration = Duration::from_secs(600);

/// The membership at one tracker.
pub(super) struct TrackerSession {
    pub(super) registration: Arc<Registration>,
    pub(super) tracker: Address,
    /// The latest logged reason why this storage is not a member.
    logged_error: Option<String>,
    /// Since when the tracker is known not to support HELLO and REPORT.
    unsupported_since: Option<Instant>,
    /// Bounds the log lines about a tracker that forgot this storage.
    forgotten_log: LogThrottle<()>,
}

impl TrackerSession {
    pub(super) fn new(registration: Arc<Registration>, tracker: Address) -> TrackerSession {
        TrackerSession {
            registration,
            tracker,
            logged_error: None,
            unsupported_since: None,
            forgotten_log: LogThrottle::default(),
        }
    }

    /// Keeps up the membership until the stop. Each reason for a failure is logged once.
    pub(super) fn run(&mut self, stop: &Stop) {
        while !stop.is_tripped() {
            let globals = Arc::clone(&self.registration.globals);
            match self.run_connection(stop) {
                Ok(()) => globals
                    .tracker_statuses
                    .set_broken(&self.tracker, "closed the connection".to_owned()),
                Err(e) => {
                    let text = format!("{:#}", anyhow::Error::from(e));
                    let address = format!("{}: ", self.tracker);
                    let why = text.strip_prefix(&address).unwrap_or(&text).to_owned();
                    globals
                        .tracker_statuses
                        .set_broken(&self.tracker, why.clone());
                    if self.logged_error.as_ref() != Some(&why) {
                        warn!("tracker {}: {why}", self.tracker);
                        self.logged_error = Some(why);
                    }
                }
            }
            if stop.wait(RECONNECT_DELAY) {
                return;
            }
        }
    }

    /// Runs the membership on one connection. Returns at the stop, or with the error that ended
    /// it.
    fn run_connection(&mut self, stop: &Stop) -> Result<(), Error> {
        let registration = Arc::clone(&self.registration);
        let mut connection = self.connect_and_join()?;
        self.logged_error = None;
        info!(
            "tracker {}: joined group {}",
            self.tracker, registration.member.group
        );
        loop {
            match registration.beat(&mut connection) {
                // A restarting tracker would close the connection. Here another storage took this
                // one's place, or an administrator removed it.
                Err(Error::Fault { source, .. }) => {
                    registration.globals.metrics.forgotten.inc();
                    if let Some(more) = self.forgotten_log.due(()) {
                        let tracker = &self.tracker;
                        warn!("tracker {tracker} has forgotten this storage: {source}{more}");
                    }
                    registration.join(&mut connection)?;
                    registration.beat(&mut connection)?;
                }
                beaten => beaten?,
            }
            registration
                .globals
                .tracker_statuses
                .set_joined(&self.tracker);
            self.learn_cluster(&mut connection)?;
            let mut reported = self.report(&mut connection)?;
            let beaten = Instant::now();
            loop {
                // A reload may change it during the wait.
                let interval = *registration.beat_interval.lock();
                let left = interval.saturating_sub(beaten.elapsed());
                if left.is_zero() {
                    break;
                }
                // No request is open, so readable means closed.
                if connection.is_readable() {
                    info!("tracker {}: closed the connection", self.tracker);
                    return Ok(());
                }
                // The tracker may support them by now.
                if self.unsupported_since.is_some() && !self.is_unsupported() {
                    return Ok(());
                }
                if reported != Some(registration.service_state()) {
                    reported = self.report(&mut connection)?;
                }
                if stop.wait(CHECK_INTERVAL.min(left)) {
                    registration.leave(&mut connection);
                    return Ok(());
                }
            }
        }
    }

    /// Connects and joins, after HELLO if the tracker supports it.
    fn connect_and_join(&mut self) -> Result<Connection, Error> {
        let registration = Arc::clone(&self.registration);
        if self.is_unsupported() {
            let mut connection = registration.connect(&self.tracker)?;
            registration.join(&mut connection)?;
            return Ok(connection);
        }
        let greeted = match registration.connect_and_greet(&self.tracker) {
            // A restarting tracker also closes the connection once; a tracker without the command
            // closes it every time.
            Err(Error::Io { .. }) => registration.connect_and_greet(&self.tracker),
            greeted => greeted,
        };
        let is_unknown = matches!(&greeted, Err(e) if may_be_unknown(e));
        let mut connection = match greeted {
            Err(_) if is_unknown => registration.connect(&self.tracker)?,
            greeted => greeted?,
        };
        registration.join(&mut connection)?;
        if is_unknown {
            self.note_unsupported();
        } else {
            self.unsupported_since = None;
        }
        Ok(connection)
    }

    /// True while HELLO and REPORT are not sent.
    fn is_unsupported(&self) -> bool {
        self.unsupported_since
            .is_some_and(|at| at.elapsed() < UNSUPPORTED_FOR)
    }

    /// The tracker accepted a join and does not know HELLO or REPORT.
    fn note_unsupported(&mut self) {
        let advertise = self.registration.globals.config.advertise.as_ref();
        if let (Some(advertise), None) = (advertise, self.unsupported_since) {
            let tracker = &self.tracker;
            warn!("tracker {tracker} sends no clients to {advertise}: it is of the C++ system");
        }
        self.unsupported_since = Some(Instant::now());
    }

    /// Asks for the cluster again if the tracker named none: its database was away, or it was not
    /// sure of it.
    fn learn_cluster(&mut self, connection: &mut Connection) -> Result<(), Error> {
        if self.unsupported_since.is_some()
            || self.registration.globals.identity.cluster().is_some()
        {
            return Ok(());
        }
        match self.registration.greet(connection) {
            Err(e @ (Error::Fault { .. } | Error::Resolve { .. })) => {
                debug!("the cluster is not known: {:#}", anyhow::Error::from(e));
                Ok(())
            }
            greeted => greeted,
        }
    }

    /// Sends a report. Returns the state that the tracker has received. C++ trackers get none.
    fn report(&mut self, connection: &mut Connection) -> Result<Option<ServiceState>, Error> {
        let report = self.registration.report();
        let service_state = service_state(&report);
        if self.unsupported_since.is_some() {
            return Ok(Some(service_state));
        }
        let request = TrackerRequest::Report(self.registration.member.clone(), Box::new(report));
        match self.registration.send(connection, request) {
            Ok(()) => Ok(Some(service_state)),
            Err(e @ Error::Fault { .. }) if !may_be_unknown(&e) => {
                debug!("not reported: {:#}", anyhow::Error::from(e));
                Ok(None)
            }
            Err(e) => {
                if matches!(e, Error::Fault { .. }) {
                    self.note_unsupported();
                }
                Err(e)
            }
        }
    }
}
