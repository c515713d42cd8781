//! Connects to one of the servers and checks whether it serves.

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
/// Longest wait for a reply while the tables are made: an index of ten million rows takes minutes.
const INIT_TIMEOUT: Duration = Duration::from_secs(3600);
/// Longest wait for a lock. While a change of a table waits for one, all statements on the table wait.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(30);
/// The system refuses a time-out of zero.
const CONNECT_TIME_MIN: Duration = Duration::from_millis(1);
/// The longest packet sent. Fixed, so that a connect need not ask the server; rows are small.
const PACKET_MAX: usize = 1 << 20;

const CUT_OFF: &str = "the Galera node is outside of the primary component";

/// Connects to the servers of one database.
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

    /// A connection that checks whether a server serves. Its read time-out is short, so that a silent server
    /// does not delay the search. It does not wait for other nodes: while a Galera cluster detects a dead
    /// node, causal reads block, and all nodes would seem to be away.
    pub(super) fn probe(&self, host: usize) -> Result<(Session, Service), Failure> {
        let connect_timeout = self.config.connect_timeout.duration();
        let mut session = self.open(host, Some(&self.url.database), connect_timeout)?;
        let service = service(&mut session)?;
        Ok((session, service))
    }

    /// A connection with a long time-out, to a server whose database may be missing.
    pub(super) fn connect_without_database(&self, host: usize) -> Result<Session, Failure> {
        let mut session = self.open(host, None, INIT_TIMEOUT)?;
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
            // The driver tries the addresses in turn.
            let opts = opts
                .ip_or_hostname(Some(host.host.as_str()))
                .tcp_connect_timeout(Some(share(deadline, addresses.len())));
            dial_name(opts, deadline + read_timeout)
        } else {
            dial_addresses(&addresses, opts, deadline)
        };
        let mut session = Session::new(conn.map_err(NotConnected::into_failure)?);
        set_up(&mut session, read_timeout)?;
        Ok(session)
    }

    /// True if the certificate of the server must be valid for a name. The driver checks it against the
    /// name that it connects to.
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

/// Connects to the first address that answers as a server.
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

/// The share of the remaining time for one of `count` addresses: a silent one leaves time for the others.
fn share(deadline: Instant, count: usize) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    let share = left / u32::try_from(count).unwrap_or(u32::MAX).max(1);
    share.max(CONNECT_TIME_MIN)
}

/// READ COMMITTED locks rows but not the gaps between them, so that two inserts do not wait for each
/// other. A wait for a lock ends before the read time-out, after which the connection counts as lost.
fn set_up(session: &mut Session, read_timeout: Duration) -> Result<(), Failure> {
    let lock_wait = (read_timeout / 2).min(LOCK_WAIT_MAX).as_secs().max(1);
    session.plain(&format!(
        "SET NAMES utf8mb4, time_zone = '+00:00', autocommit = 1, \
         sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
         innodb_lock_wait_timeout = {lock_wait}, lock_wait_timeout = {lock_wait}"
    ))?;
    session.plain("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
}

/// On Galera, makes reads (1) and updates and deletes (2) see the commits of other nodes, since daemons
/// may use different nodes for a moment. A node outside of the primary component has none to wait for.
pub(super) fn follow_cluster(session: &mut Session) -> Result<(), Failure> {
    if session.shown("SHOW SESSION VARIABLES LIKE 'wsrep_on'")? == Some("ON".to_owned())
        && !is_cut_off(session)?
    {
        session.plain("SET SESSION wsrep_sync_wait = 3")?;
    }
    Ok(())
}

/// True for a Galera node outside of the primary component.
fn is_cut_off(session: &mut Session) -> Result<bool, Failure> {
    let status = session.shown("SHOW STATUS LIKE 'wsrep_cluster_status'")?;
    Ok(status.is_some_and(|status| status == "non-Primary"))
}

/// How well a server serves.
#[derive(Debug, Clone)]
pub(super) enum Service {
    Full,
    /// It may block at any time: a Galera node that copies its data to another one.
    Poor,
    /// It takes no writes, for this reason.
    ReadsOnly(DbError),
}

impl Service {
    /// Why the server takes no writes, if it takes none.
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

/// Checks whether the server takes reads and writes. A Galera node outside of the primary component
/// refuses the first query, unless `wsrep_dirty_reads` is set. A read-only server counts as such even if
/// the account may write: the rows would be missing on its primary.
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
