//! What this storage tells each tracker.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Connection, ConnectionConfig, Error};
use log::{debug, warn};
use net::Connections;
use parking_lot::Mutex;
use proto::hello::{Hello, WELCOME_MAX, Welcome};
use proto::report::{Drain, Report};
use proto::tracker::{Join, Member, REPLY, TrackerRequest};
use proto::{Address, ClusterId, Version};

use crate::ability::Ability;
use crate::clock::epoch_secs;
use crate::globals::Globals;
use crate::report::report;

/// What this storage tells each tracker.
pub(super) struct Card {
    pub(super) globals: Arc<Globals>,
    pub(super) member: Member,
    pub(super) port: u16,
    pub(super) start_time: i64,
    pub(super) connection: ConnectionConfig,
    pub(super) connections: Connections,
    pub(super) beat_interval: Mutex<Duration>,
}

/// What of a report trackers act on: told when it changes, the rest with each beat.
pub(super) type Standing = (bool, bool, Drain);

pub(super) fn standing(report: &Report) -> Standing {
    (report.uploads, report.downloads, report.drain)
}

impl Card {
    pub(super) fn join(&self, connection: &mut Connection) -> Result<(), Error> {
        let join = Join {
            version: version(),
            member: self.member.clone(),
            port: self.port,
            start_time: self.start_time,
            join_time: epoch_secs(),
        };
        self.tell(connection, TrackerRequest::Join(join))
    }

    pub(super) fn connect(&self, tracker: &Address) -> Result<Connection, Error> {
        Connection::connect(tracker, &self.connection)
    }

    /// A connection on which the tracker was told who this storage is, and where clients reach it.
    /// Where nobody knows what is advertised it is told nothing: clients would be sent to where the
    /// connection comes from.
    pub(super) fn introduce(&self, tracker: &Address) -> Result<Connection, Error> {
        let mut connection = self.connect(tracker)?;
        self.greet(&mut connection)?;
        Ok(connection)
    }

    /// Tells a tracker who this storage is. If the storage does not know its cluster yet it remembers
    /// the one that the tracker names, and says so.
    pub(super) fn greet(&self, connection: &mut Connection) -> Result<(), Error> {
        let identity = &self.globals.identity;
        let known = identity.cluster();
        let welcome = self.hello(connection, known.clone())?;
        if let (None, Some(cluster)) = (known, welcome.cluster) {
            match identity.join_cluster(&cluster) {
                Ok(()) => drop(self.hello(connection, Some(cluster))?),
                Err(e) => warn!("cannot remember the cluster {cluster}: {e}"),
            }
        }
        Ok(())
    }

    fn hello(
        &self,
        connection: &mut Connection,
        cluster: Option<ClusterId>,
    ) -> Result<Welcome, Error> {
        let advertise = self.globals.config.advertise.clone();
        let hello = Hello {
            node: self.globals.identity.node.clone(),
            address: self.resolve(advertise.as_ref())?,
            advertise,
            local: connection.local_addr().ok().map(|addr| addr.ip()),
            remembers: true,
            cluster,
        };
        let request = TrackerRequest::Hello(Box::new(hello));
        let body = connection.call(&request.encode(), REPLY, WELCOME_MAX)?;
        Ok(Welcome::decode(&body).unwrap_or_else(|e| {
            debug!("the reply to a hello is not understood: {e}");
            Welcome::default()
        }))
    }

    /// The first address of the advertised name, an IPv4 one if there is any: what a C++ client
    /// can use. The system's resolver has as long as a connection has to be made.
    ///
    /// # Errors
    /// The name has no address, or the resolver does not answer in time.
    fn resolve(&self, advertise: Option<&Address>) -> Result<Option<SocketAddr>, Error> {
        let Some(advertise) = advertise else {
            return Ok(None);
        };
        let failed = |source| Error::Resolve {
            address: advertise.clone(),
            source,
        };
        let deadline = Instant::now() + self.connection.connect_timeout;
        let addrs = base::resolve::resolve(advertise.as_str(), deadline).map_err(failed)?;
        let ipv4 = addrs.iter().find(|addr| addr.is_ipv4());
        let first = ipv4.or(addrs.first()).copied();
        let nothing = || failed(io::ErrorKind::NotFound.into());
        first.map(Some).ok_or_else(nothing)
    }

    pub(super) fn report(&self) -> Report {
        report(&self.globals, &self.connections, self.start_time)
    }

    pub(super) fn standing(&self) -> Standing {
        let Ability { uploads, downloads } = Ability::of(&self.globals);
        (
            uploads.is_ok(),
            downloads.is_ok(),
            self.globals.identity.drain(),
        )
    }

    pub(super) fn beat(&self, connection: &mut Connection) -> Result<(), Error> {
        self.tell(connection, TrackerRequest::Beat(self.member.clone()))
    }

    /// A C++ tracker does not know the command; it finds out by our silence.
    pub(super) fn say_goodbye(&self, connection: &mut Connection) {
        if let Err(e) = self.tell(connection, TrackerRequest::Leave(self.member.clone())) {
            debug!("not left in order: {:#}", anyhow::Error::from(e));
        }
    }

    pub(super) fn tell(
        &self,
        connection: &mut Connection,
        request: TrackerRequest,
    ) -> Result<(), Error> {
        connection.call(&request.encode(), REPLY, 0).map(drop)
    }
}

/// What fits of this build's version in the six bytes of the field.
fn version() -> Version {
    let text = env!("CARGO_PKG_VERSION");
    Version::new(&text[..text.len().min(6)]).expect("a version number is a version")
}
