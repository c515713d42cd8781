//! MariaDB servers for tests, on free ports of the loopback address, each with a folder of its own.
//! They end with the process of the test, in whatever way it ends.

mod client;
mod galera;
mod machine;
pub mod recipe;
mod server;

use std::sync::OnceLock;

pub use client::first_row;
pub use galera::Galera;
pub use server::{Mariadb, PASSWORD, USER};

/// The server of all tests of a process that neither stop it nor change its settings.
///
/// # Panics
/// It cannot be started.
pub fn shared() -> &'static Mariadb {
    static SHARED: OnceLock<Mariadb> = OnceLock::new();
    SHARED.get_or_init(Mariadb::start)
}

/// The cluster of three nodes of all tests of a process that stop none of them.
///
/// # Panics
/// It cannot be started.
pub fn shared_galera() -> &'static Galera {
    static SHARED: OnceLock<Galera> = OnceLock::new();
    SHARED.get_or_init(|| Galera::start(3))
}
