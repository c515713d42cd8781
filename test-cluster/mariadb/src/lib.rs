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
