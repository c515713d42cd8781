//! The host this process runs on.

use proto::Hostname;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The name of the host (`uname -n`), or `localhost` if that is no valid name.
pub fn hostname() -> Hostname {
    let system = rustix::system::uname();
    Hostname::new(system.nodename().to_string_lossy())
        .unwrap_or_else(|_| Hostname::new("localhost").expect("a host name"))
}

/// Raises the limit of open files to `wanted`, or to the hard limit: the usual soft limit of 1024 is for
/// programs that use `select`. Only root may exceed the hard limit. Returns a warning if the limit is
/// lower than `wanted`.
pub(crate) fn raise_open_files(wanted: Option<u64>) -> Option<String> {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum;
    let current = wanted.or(most);
    let raise = |maximum| setrlimit(Resource::Nofile, Rlimit { current, maximum });
    // `None` is no limit.
    let within = most.is_none_or(|most| current.is_some_and(|current| current <= most));
    let raised = raise(if within { most } else { current });
    let error = raised.err()?;
    let kept = Rlimit {
        current: most,
        maximum: most,
    };
    let now = setrlimit(Resource::Nofile, kept).map_or(limit.current, |()| most);
    let [now, current] = [now, current].map(|n| n.unwrap_or(u64::MAX));
    Some(format!("{now} files may be open, not {current}: {error}"))
}
