//! How servers are run here, whoever runs them.

use std::fs;
use std::io;

/// What the clusters are copied with.
pub const PROVIDER: &str = "/usr/lib/galera/libgalera_smm.so";

/// Arguments of every mariadbd: small and quick; a commit waits for the disk as in real life.
pub const SERVER: [&str; 14] = [
    "--no-defaults",
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--innodb-log-file-size=8M",
    "--innodb-buffer-pool-size=24M",
    "--innodb-autoinc-lock-mode=2",
    "--binlog-format=ROW",
    "--key-buffer-size=1M",
    "--aria-pagecache-buffer-size=1M",
    "--performance-schema=OFF",
    "--max-connections=300",
    "--thread-handling=one-thread-per-connection",
    "--skip-log-bin",
    // The system has few contexts for it, and other servers may use them up.
    "--innodb-use-native-aio=0",
];

/// Arguments of every mariadb-install-db.
pub const INSTALL: [&str; 5] = [
    "--no-defaults",
    "--skip-test-db",
    "--skip-name-resolve",
    "--innodb-log-file-size=8M",
    "--innodb-use-native-aio=0",
];

/// How long a Galera node may be silent until the others take it for lost: sooner than by default.
pub const LOST_SOON: &str = "evs.suspect_timeout=PT2S;evs.inactive_timeout=PT5S";
/// The same by default. A node that the others give up while it joins does not come back by itself,
/// and on a loaded machine it may be silent for seconds.
pub const LOST_LATE: &str = "evs.suspect_timeout=PT5S;evs.inactive_timeout=PT15S";

/// The ports of a Galera node, on 127.0.0.1, beside the one that speaks SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WsrepPorts {
    /// The cluster.
    pub cluster: u16,
    /// Transactions that a node missed.
    pub ist: u16,
    /// All that a node has.
    pub sst: u16,
}

/// More arguments of the mariadbd that is node `name` among those whose cluster ports are `all`;
/// `lost` is [`LOST_SOON`] or [`LOST_LATE`].
pub fn wsrep(name: &str, ports: WsrepPorts, all: &[u16], lost: &str) -> Vec<String> {
    let WsrepPorts { cluster, ist, sst } = ports;
    let all: Vec<_> = all.iter().map(|p| format!("127.0.0.1:{p}")).collect();
    vec![
        "--wsrep-on=ON".to_owned(),
        format!("--wsrep-provider={PROVIDER}"),
        "--wsrep-cluster-name=tnv-test".to_owned(),
        format!("--wsrep-cluster-address=gcomm://{}", all.join(",")),
        format!("--wsrep-node-name={name}"),
        format!("--wsrep-node-address=127.0.0.1:{cluster}"),
        "--wsrep-sst-method=rsync".to_owned(),
        format!("--wsrep-sst-receive-address=127.0.0.1:{sst}"),
        "--wsrep-slave-threads=2".to_owned(),
        format!(
            "--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:{cluster};\
             ist.recv_addr=127.0.0.1:{ist};gcache.size=16M;{lost};\
             evs.keepalive_period=PT0.5S"
        ),
    ]
}

/// The account, by name and number, that servers started by root run under. Not root: rsync, which
/// Galera copies with, would change to nobody, who may not write the files.
///
/// # Errors
/// There is none.
pub fn account() -> io::Result<Option<(&'static str, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd")?;
    let fields = |line: &str| -> Option<u32> {
        let mut fields = line.strip_prefix("mysql:")?.split(':');
        fields.nth(1)?.parse().ok()
    };
    let uid = accounts.lines().find_map(fields);
    let uid =
        uid.ok_or_else(|| io::Error::other("no account mysql, of the package mariadb-server"))?;
    Ok(Some(("mysql", uid)))
}
