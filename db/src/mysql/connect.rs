//! Making a connection to one of the servers, and finding out whether that server serves.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql::{Conn, OptsBuilder, SslOpts};

use super::dial::{NotConnected, dial, dial_name};
use super::failure::Failure;
use super::session::Session;
use super::settings::{MysqlConfig, Tls};
use crate::{DbError, MysqlHost, MysqlUrl};

/// Statements kept prepared by each connection.
const STATEMENTS_MAX: usize = 64;
/// The system refuses a time-out of zero.
const CONNECT_TIME_MIN: Duration = Duration::from_millis(1);
/// The longest packet sent. Known beforehand, it costs no question at each connect; rows are small.
const PACKET_MAX: usize = 1 << 20;

const CUT_OFF: &str = "the Galera node is outside of the primary component";

/// What is needed to connect.
pub(super) struct Connector {
    url: MysqlUrl,
    config: MysqlConfig,
}

impl Connector {
    pub(super) fn new(url: &MysqlUrl, config: &MysqlConfig) -> Connector {
        Connector {
            url: url.clone(),
            config: config.clone(),
        }
    }

    /// The servers in the order in which they are tried.
    pub(super) fn hosts(&self) -> &[MysqlHost] {
        &self.url.hosts
    }

    pub(super) fn database(&self) -> &str {
        &self.url.database
    }

    pub(super) fn connections_max(&self) -> usize {
        self.config.connections_max as usize
    }

    /// A connection for rows.
    pub(super) fn connect(&self, host: usize) -> Result<Session, Failure> {
        let read_timeout = self.config.read_timeout.duration();
        let mut session = self.open(host, Some(&self.url.database), read_timeout)?;
        follow_cluster(&mut session)?;
        Ok(session)
    }

    /// A connection that finds out whether a server serves, and how well: one that says nothing
    /// must not hold up the search for another. It does not wait for other nodes either: for the
    /// seconds in which a Galera cluster finds out that a node is dead every causal read stands
    /// still, and all nodes would seem to be away.
    pub(super) fn probe(&self, host: usize) -> Result<(Session, Service), Failure> {
        let connect_timeout = self.config.connect_timeout.duration();
        let mut session = self.open(host, Some(&self.url.database), connect_timeout)?;
        let service = service(&mut session)?;
        Ok((session, service))
    }

    /// A connection that may take long, to a server on which the database may be missing.
    pub(super) fn connect_without_database(&self, host: usize) -> Result<Session, Failure> {
        let mut session = self.open(host, None, Duration::from_secs(60))?;
        follow_cluster(&mut session)?;
        Ok(session)
    }

    fn open(
        &self,
        host: usize,
        database: Option<&str>,
        read_timeout: Duration,
    ) -> Result<Session, Failure> {
        let host = &self.url.hosts[host];
        let deadline = Instant::now() + self.config.connect_timeout.duration();
        let addresses = base::resolve::resolve(&host.to_string(), deadline).map_err(unresolved)?;
        let opts = self.opts(host.port, database, read_timeout)?;
        let conn = if self.is_certified_by_name(host) {
            // The driver tries the addresses one after the other.
            let opts = opts
                .ip_or_hostname(Some(host.host.as_str()))
                .tcp_connect_timeout(Some(share(deadline, addresses.len())));
            dial_name(opts, deadline + read_timeout)
        } else {
            dial_addresses(&addresses, opts, deadline)
        };
        let mut session = Session(conn.map_err(NotConnected::into_failure)?);
        set_up(&mut session, read_timeout)?;
        Ok(session)
    }

    /// Whether the server's certificate has to be valid for a name. The driver compares it with
    /// what it connects to.
    fn is_certified_by_name(&self, host: &MysqlHost) -> bool {
        self.config.tls == Tls::Required && host.host.parse::<IpAddr>().is_err()
    }

    fn opts(
        &self,
        port: u16,
        database: Option<&str>,
        read_timeout: Duration,
    ) -> Result<OptsBuilder, Failure> {
        let config = &self.config;
        let password = config.password().map_err(|e| DbError::Unavailable {
            what: "read the password",
            source: Arc::new(e),
        })?;
        let tls = (config.tls == Tls::Required)
            .then(|| SslOpts::default().with_root_cert_path(config.tls_ca.clone()));
        Ok(OptsBuilder::new()
            .tcp_port(port)
            .user(Some(self.url.user.as_str()))
            .pass(password.as_ref().map(|secret| secret.expose()))
            .db_name(database)
            .ssl_opts(tls)
            .prefer_socket(false)
            .tcp_nodelay(true)
            .read_timeout(Some(read_timeout))
            .write_timeout(Some(config.write_timeout.duration()))
            .max_allowed_packet(Some(PACKET_MAX))
            .stmt_cache_size(STATEMENTS_MAX))
    }
}

/// Connects to the first of the addresses that answers as a server does.
fn dial_addresses(
    addresses: &[SocketAddr],
    opts: OptsBuilder,
    deadline: Instant,
) -> Result<Conn, NotConnected> {
    let mut unreached = NotConnected::Unreached(unresolved(io::ErrorKind::NotFound.into()));
    for (idx, address) in addresses.iter().enumerate() {
        let opts = opts
            .clone()
            .ip_or_hostname(Some(address.ip().to_string()))
            .tcp_connect_timeout(Some(share(deadline, addresses.len() - idx)));
        match dial(opts) {
            Err(error @ NotConnected::Unreached(_)) => unreached = error,
            answered => return answered,
        }
    }
    Err(unreached)
}

/// The part of the time left that one of `count` addresses gets: a silent one leaves time for the
/// others.
fn share(deadline: Instant, count: usize) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    let share = left / u32::try_from(count).unwrap_or(u32::MAX).max(1);
    share.max(CONNECT_TIME_MIN)
}

/// Statements lock the rows they name and no gaps between them (READ COMMITTED): two that insert
/// beside each other must not wait for each other. A wait for a lock, of a row or of a table that
/// is being altered, ends before we would take the server for lost.
fn set_up(session: &mut Session, read_timeout: Duration) -> Result<(), Failure> {
    let lock_wait = (read_timeout / 2).as_secs().max(1);
    session.plain(&format!(
        "SET NAMES utf8mb4, time_zone = '+00:00', autocommit = 1, \
         sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
         innodb_lock_wait_timeout = {lock_wait}, lock_wait_timeout = {lock_wait}"
    ))?;
    session.plain("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
}

/// On Galera, lets reads (1) and updates and deletes (2) see what another node has committed, also
/// in the moments in which daemons use different nodes. A node outside of the primary component
/// has nobody to follow.
pub(super) fn follow_cluster(session: &mut Session) -> Result<(), Failure> {
    if session.shown("SHOW SESSION VARIABLES LIKE 'wsrep_on'")? == Some("ON".to_owned())
        && !is_cut_off(session)?
    {
        session.plain("SET SESSION wsrep_sync_wait = 3")?;
    }
    Ok(())
}

/// Whether this is a Galera node outside of the primary component.
fn is_cut_off(session: &mut Session) -> Result<bool, Failure> {
    let status = session.shown("SHOW STATUS LIKE 'wsrep_cluster_status'")?;
    Ok(status.is_some_and(|status| status == "non-Primary"))
}

/// How well a server serves.
#[derive(Debug, Clone)]
pub(super) enum Service {
    Full,
    /// It may stand still at any moment: a Galera node that copies its data to another one.
    Poor,
    /// It takes no writes, and why.
    ReadsOnly(DbError),
}

impl Service {
    /// Why the server takes no writes; none when it does.
    pub(super) fn reads_only(self) -> Option<DbError> {
        match self {
            Service::ReadsOnly(why) => Some(why),
            Service::Full | Service::Poor => None,
        }
    }

    pub(super) fn of_reads_only(why: impl Into<Cause>) -> Service {
        let source = Arc::from(why.into());
        Service::ReadsOnly(DbError::ReadsOnly { source })
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Whether the server takes reads and writes. A Galera node outside of the primary component
/// refuses the first question itself, unless it is set to serve what it has (`wsrep_dirty_reads`).
/// What an account with more rights could write to a server that is read-only would be missing on
/// its primary.
fn service(session: &mut Session) -> Result<Service, Failure> {
    let is_read_only: Option<bool> = session.first("SELECT @@global.read_only", ())?;
    if is_read_only == Some(true) {
        return Ok(Service::of_reads_only("the server is read-only"));
    }
    if is_cut_off(session)? {
        let dirty_reads = session.shown("SHOW SESSION VARIABLES LIKE 'wsrep_dirty_reads'")?;
        return match dirty_reads.as_deref() {
            Some("ON") => Ok(Service::of_reads_only(CUT_OFF)),
            _ => Err(not_serving(CUT_OFF)),
        };
    }
    match session
        .shown("SHOW STATUS LIKE 'wsrep_local_state'")?
        .as_deref()
    {
        None | Some("4") => Ok(Service::Full),
        Some("2") => Ok(Service::Poor),
        Some(_) => Err(not_serving("the Galera node is not synced")),
    }
}

fn unresolved(error: io::Error) -> Failure {
    let text = format!("the name has no address: {error}");
    mysql::Error::IoError(io::Error::new(error.kind(), text)).into()
}

fn not_serving(why: &'static str) -> Failure {
    DbError::Unavailable {
        what: "use the server",
        source: Arc::new(io::Error::other(why)),
    }
    .into()
}

impl fmt::Display for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}
