//! Arguments of the programs of MariaDB.

use std::fs;
use std::io;

/// The library that replicates between nodes.
pub const PROVIDER: &str = "/usr/lib/galera/libgalera_smm.so";

/// Arguments of every mariadbd. Small and fast, but a commit waits for the disk.
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
    // The system has few contexts for native I/O, and other servers may use them up.
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

/// Short time after which the nodes of Galera drop a silent node.
pub const LOST_SOON: &str = "evs.suspect_timeout=PT2S;evs.inactive_timeout=PT5S";
/// The default time. A node that is dropped while it joins does not come back by itself, and on a loaded
/// machine it may be silent for seconds.
pub const LOST_LATE: &str = "evs.suspect_timeout=PT5S;evs.inactive_timeout=PT15S";

/// The ports of a Galera node, on 127.0.0.1, beside the one that speaks SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WsrepPorts {
    /// Replication.
    pub cluster: u16,
    /// Missed transactions.
    pub ist: u16,
    /// A copy of everything.
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

/// Name and number of the account for servers that root starts; None without root. Not root itself:
/// Galera copies with rsync, which changes from root to nobody, and nobody may not write the files.
///
/// # Errors
/// The account is missing.
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
