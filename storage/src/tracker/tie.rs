//! The membership at one tracker: joining, beating, reporting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{LogThrottle, Stop};
use client::{Connection, Error, may_be_unknown};
use log::{debug, info, warn};
use proto::Address;
use proto::tracker::TrackerRequest;

use super::card::{Card, Standing, standing};

/// How soon a lost tracker is tried again (docs/protocol.md, Frame).
const RECONNECT: Duration = Duration::from_secs(2);
/// How often it is looked whether there is something to tell.
const LOOK: Duration = Duration::from_secs(1);
/// A tracker that does not know hellos and reports, a C++ one, is not sent any for this long.
const SPARE: Duration = Duration::from_secs(600);

/// The membership at one tracker.
pub(super) struct Tie {
    pub(super) card: Arc<Card>,
    pub(super) tracker: Address,
    /// What was last told of why this storage is not a member.
    complaint: Option<String>,
    /// Since when the tracker is known not to know hellos and reports.
    refused: Option<Instant>,
    /// Says that the tracker forgot this storage.
    forgotten: LogThrottle<()>,
}

impl Tie {
    pub(super) fn new(card: Arc<Card>, tracker: Address) -> Tie {
        Tie {
            card,
            tracker,
            complaint: None,
            refused: None,
            forgotten: LogThrottle::default(),
        }
    }

    /// Stays a member until the stop. What keeps it from that is told of once.
    pub(super) fn keep(&mut self, stop: &Stop) {
        while !stop.is_tripped() {
            let globals = Arc::clone(&self.card.globals);
            match self.be_member(stop) {
                Ok(()) => globals
                    .ties
                    .broke(&self.tracker, "closed the connection".to_owned()),
                Err(e) => {
                    let text = format!("{:#}", anyhow::Error::from(e));
                    let address = format!("{}: ", self.tracker);
                    let why = text.strip_prefix(&address).unwrap_or(&text).to_owned();
                    globals.ties.broke(&self.tracker, why.clone());
                    if self.complaint.as_ref() != Some(&why) {
                        warn!("tracker {}: {why}", self.tracker);
                        self.complaint = Some(why);
                    }
                }
            }
            if stop.wait(RECONNECT) {
                return;
            }
        }
    }

    /// One connection's worth of membership: ends in order at the stop, else with what broke it.
    fn be_member(&mut self, stop: &Stop) -> Result<(), Error> {
        let card = Arc::clone(&self.card);
        let mut connection = self.enter()?;
        self.complaint = None;
        info!(
            "tracker {}: joined group {}",
            self.tracker, card.member.group
        );
        loop {
            match card.beat(&mut connection) {
                // A tracker that restarts breaks the connection. This one goes on, so another storage
                // took the place of this one there, or an administrator struck it off.
                Err(Error::Fault { source, .. }) => {
                    card.globals.metrics.forgotten.inc();
                    if let Some(more) = self.forgotten.due(()) {
                        let tracker = &self.tracker;
                        warn!("tracker {tracker} has forgotten this storage: {source}{more}");
                    }
                    card.join(&mut connection)?;
                    card.beat(&mut connection)?;
                }
                beaten => beaten?,
            }
            card.globals.ties.beat(&self.tracker);
            self.learn_cluster(&mut connection)?;
            let mut told = self.report(&mut connection)?;
            let beaten = Instant::now();
            loop {
                // It may be changed while it is waited for.
                let interval = *card.beat_interval.lock();
                let left = interval.saturating_sub(beaten.elapsed());
                if left.is_zero() {
                    break;
                }
                // Nothing was asked: what can be read is the end of the connection.
                if connection.is_readable() {
                    info!("tracker {}: closed the connection", self.tracker);
                    return Ok(());
                }
                // Perhaps it knows more by now.
                if self.refused.is_some_and(|at| at.elapsed() >= SPARE) {
                    return Ok(());
                }
                if told != Some(card.standing()) {
                    told = self.report(&mut connection)?;
                }
                if stop.wait(LOOK.min(left)) {
                    card.say_goodbye(&mut connection);
                    return Ok(());
                }
            }
        }
    }

    /// A connection on which this storage joined; the tracker was told before who that is, if it
    /// listens to that.
    fn enter(&mut self) -> Result<Connection, Error> {
        let card = Arc::clone(&self.card);
        if self.refused.is_some_and(|at| at.elapsed() < SPARE) {
            let mut connection = card.connect(&self.tracker)?;
            card.join(&mut connection)?;
            return Ok(connection);
        }
        let introduced = match card.introduce(&self.tracker) {
            // One that restarts breaks a connection, too; one that does not know the command each.
            Err(Error::Io { .. }) => card.introduce(&self.tracker),
            introduced => introduced,
        };
        let is_unknown = matches!(&introduced, Err(e) if may_be_unknown(e));
        let mut connection = match introduced {
            Err(_) if is_unknown => card.connect(&self.tracker)?,
            introduced => introduced?,
        };
        card.join(&mut connection)?;
        if is_unknown {
            self.spare();
        } else {
            self.refused = None;
        }
        Ok(connection)
    }

    /// It is well, it took a join, and yet it does not know commands of ours.
    fn spare(&mut self) {
        let advertise = self.card.globals.config.advertise.as_ref();
        if let (Some(advertise), None) = (advertise, self.refused) {
            let tracker = &self.tracker;
            warn!("tracker {tracker} sends no clients to {advertise}: it is of the C++ system");
        }
        self.refused = Some(Instant::now());
    }

    /// Asks for the cluster again if the tracker did not name one: its database was away, or it does
    /// not know whether that is the right one.
    fn learn_cluster(&mut self, connection: &mut Connection) -> Result<(), Error> {
        if self.refused.is_some() || self.card.globals.identity.cluster().is_some() {
            return Ok(());
        }
        match self.card.greet(connection) {
            Err(e @ (Error::Fault { .. } | Error::Resolve { .. })) => {
                debug!("the cluster is not known: {:#}", anyhow::Error::from(e));
                Ok(())
            }
            greeted => greeted,
        }
    }

    /// Tells how this storage is; tells what of that trackers act on, if it was heard. A C++
    /// tracker is told nothing.
    fn report(&mut self, connection: &mut Connection) -> Result<Option<Standing>, Error> {
        let report = self.card.report();
        let standing = standing(&report);
        if self.refused.is_some() {
            return Ok(Some(standing));
        }
        let request = TrackerRequest::Report(self.card.member.clone(), Box::new(report));
        match self.card.tell(connection, request) {
            Ok(()) => Ok(Some(standing)),
            Err(e @ Error::Fault { .. }) if !may_be_unknown(&e) => {
                debug!("not reported: {:#}", anyhow::Error::from(e));
                Ok(None)
            }
            Err(e) => {
                if matches!(e, Error::Fault { .. }) {
                    self.spare();
                }
                Err(e)
            }
        }
    }
}
