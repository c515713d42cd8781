//! MariaDB servers for tests: real ones, started on free ports of the loopback address with
//! folders of their own, and gone when the test process is, however it ends.

mod client;
mod galera;
mod process;
pub mod recipe;
mod server;

use std::sync::OnceLock;

pub use client::first_row;
pub use galera::Galera;
pub use server::{Mariadb, PASSWORD, USER};

/// Whether tests may start servers. If the environment says `TNV_TEST_ENGINES=embedded` the test
/// has to return at once; this prints that it was left out.
#[must_use]
pub fn is_wanted() -> bool {
    let is_embedded = std::env::var_os("TNV_TEST_ENGINES").is_some_and(|v| v == "embedded");
    if is_embedded {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        let line = format!("{test}: left out, TNV_TEST_ENGINES=embedded\n");
        drop(std::io::Write::write_all(
            &mut std::io::stderr(),
            line.as_bytes(),
        ));
    }
    !is_embedded
}

/// One server for all tests of a process that neither stop it nor change its settings.
///
/// # Panics
/// It cannot be started.
pub fn shared() -> &'static Mariadb {
    static SHARED: OnceLock<Mariadb> = OnceLock::new();
    SHARED.get_or_init(Mariadb::start)
}

/// One cluster of three nodes for all tests of a process that stop none of them.
///
/// # Panics
/// It cannot be started.
pub fn shared_galera() -> &'static Galera {
    static SHARED: OnceLock<Galera> = OnceLock::new();
    SHARED.get_or_init(|| Galera::start(3))
}
