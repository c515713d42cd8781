//! The host this process runs on.

use log::warn;
use proto::Hostname;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The name of the host, as `uname -n` tells it, or what can stand in for one.
pub fn hostname() -> Hostname {
    let system = rustix::system::uname();
    Hostname::new(system.nodename().to_string_lossy())
        .unwrap_or_else(|_| Hostname::new("localhost").expect("a host name"))
}

/// How many files this process may have open at a time.
pub(crate) fn open_files_max() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the limit of open files to the most this process may have: the usual soft limit of 1024
/// is for programs that use `select`.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(e) = setrlimit(Resource::Nofile, raised) {
        warn!("limit of open files stays at {:?}: {e}", limit.current);
    }
}
