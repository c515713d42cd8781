//! Another host: a network namespace with a link to this one.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use test_support::process::run;

/// The first address of the links: a network for tests of devices (RFC 2544).
const FIRST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
/// Number of links with four addresses each.
const LINKS: u32 = 1 << 15;

/// Another host, until it is dropped.
pub struct OtherHost {
    name: String,
    /// The address of this host on the link.
    pub here: Ipv4Addr,
    /// The address of the other host.
    pub there: Ipv4Addr,
}

impl OtherHost {
    pub fn new() -> OtherHost {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(
            geteuid().is_root(),
            "a network namespace needs root; TNV_TEST_ENGINES=embedded leaves this test out"
        );
        let (pid, count) = (process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let link = (pid * 8 + count) % LINKS;
        let [here, there] = [1, 2].map(|idx| Ipv4Addr::from_bits(FIRST.to_bits() + link * 4 + idx));
        let name = format!("tnv{pid}-{count}");
        let other = OtherHost { name, here, there };
        let name = &other.name;
        for command in [
            format!("netns add {name}"),
            format!("link add {name} type veth peer name far netns {name}"),
            format!("address add {here}/30 dev {name}"),
            format!("link set {name} up"),
            format!("-n {name} address add {there}/30 dev far"),
            format!("-n {name} link set far up"),
        ] {
            run(Command::new("ip").args(command.split(' '))).unwrap();
        }
        other
    }

    /// Runs `work` on a thread whose sockets are those of the other host.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name)).unwrap();
        let work = || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(work).join().unwrap())
    }
}

impl Drop for OtherHost {
    fn drop(&mut self) {
        // The end of the namespace removes both ends of the link.
        let _ = run(Command::new("ip").args(["netns", "delete", &self.name]));
    }
}
