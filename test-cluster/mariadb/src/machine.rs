//! Free ports and installed programs.

use std::net::TcpListener;
use std::path::Path;

/// Ports without a listener at this moment, all different.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|l| l.local_addr().expect("its address").port())
}

/// Panics with the names of the packages if a program is missing.
pub(crate) fn require(programs: &[&str]) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    for program in programs {
        let is_there = Path::new(program).is_file()
            || folders.iter().any(|folder| folder.join(program).is_file());
        assert!(
            is_there,
            "{program} is missing: install the Debian packages mariadb-server, galera-4 and \
             rsync, or set TNV_TEST_ENGINES=embedded to leave these tests out"
        );
    }
}
