//! The requests that a storage sends to a tracker.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Connection, ConnectionConfig, Error};
use log::{debug, warn};
use net::Connections;
use parking_lot::{Mutex, RwLock};
use proto::hello::{Hello, WELCOME_MAX, Welcome};
use proto::report::{Drain, Report};
use proto::tracker::{Join, Member, REPLY, TrackerRequest};
use proto::{Address, ClusterId, Version};

use crate::clock::epoch_secs;
use crate::globals::Globals;
use crate::tracker::ability::Ability;
use crate::tracker::report::report;

/// The data of these requests, shared by all tracker threads.
pub(super) struct Registration {
    pub(super) globals: Arc<Globals>,
    pub(super) member: Member,
    pub(super) port: u16,
    pub(super) start_time: i64,
    pub(super) connection: RwLock<ConnectionConfig>,
    pub(super) connections: Connections,
    pub(super) beat_interval: Mutex<Duration>,
}

/// The part of a report that trackers act on. It is sent when it changes, the rest with each beat.
pub(super) type ServiceState = (bool, bool, Drain);

pub(super) fn service_state(report: &Report) -> ServiceState {
    (report.uploads, report.downloads, report.drain)
}

impl Registration {
    pub(super) fn join(&self, connection: &mut Connection) -> Result<(), Error> {
        let join = Join {
            version: version(),
            member: self.member.clone(),
            port: self.port,
            start_time: self.start_time,
            join_time: epoch_secs(),
        };
        self.send(connection, TrackerRequest::Join(join))
    }

    pub(super) fn connect(&self, tracker: &Address) -> Result<Connection, Error> {
        let config = self.connection.read().clone();
        Connection::connect(tracker, &config)
    }

    /// Connects and sends HELLO. Without an address for `advertise` it fails: the tracker would
    /// send clients to the address that the connection comes from.
    pub(super) fn connect_and_greet(&self, tracker: &Address) -> Result<Connection, Error> {
        let mut connection = self.connect(tracker)?;
        self.greet(&mut connection)?;
        Ok(connection)
    }

    /// Sends HELLO. Without a known cluster, the storage remembers the one that the tracker names,
    /// and confirms it.
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

    /// Resolves the advertised name; IPv4 addresses come first, for C++ clients. It takes at most
    /// the connect time-out.
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
        let deadline = Instant::now() + self.connection.read().connect_timeout;
        let addrs = base::resolve::resolve(advertise.as_str(), deadline).map_err(failed)?;
        let ipv4 = addrs.iter().find(|addr| addr.is_ipv4());
        let first = ipv4.or(addrs.first()).copied();
        let nothing = || failed(io::ErrorKind::NotFound.into());
        first.map(Some).ok_or_else(nothing)
    }

    pub(super) fn report(&self) -> Report {
        report(&self.globals, &self.connections, self.start_time)
    }

    pub(super) fn service_state(&self) -> ServiceState {
        let Ability { uploads, downloads } = Ability::of(&self.globals);
        (
            uploads.is_ok(),
            downloads.is_ok(),
            self.globals.identity.drain(),
        )
    }

    pub(super) fn beat(&self, connection: &mut Connection) -> Result<(), Error> {
        self.send(connection, TrackerRequest::Beat(self.member.clone()))
    }

    /// A C++ tracker does not know LEAVE; it notices missing beats.
    pub(super) fn leave(&self, connection: &mut Connection) {
        if let Err(e) = self.send(connection, TrackerRequest::Leave(self.member.clone())) {
            debug!("not left in order: {:#}", anyhow::Error::from(e));
        }
    }

    pub(super) fn send(
        &self,
        connection: &mut Connection,
        request: TrackerRequest,
    ) -> Result<(), Error> {
        connection.call(&request.encode(), REPLY, 0).map(drop)
    }
}

/// The build's version, cut to the six bytes of the field.
fn version() -> Version {
    let text = env!("CARGO_PKG_VERSION");
    Version::new(&text[..text.len().min(6)]).expect("a version number is a version")
}
