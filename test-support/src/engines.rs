//! Whether tests may use MariaDB, Galera, GlusterFS and other programs of the system.

use std::io::Write;

/// Whether tests may start servers. If the environment says `TNV_TEST_ENGINES=embedded` the test
/// has to return at once; this prints that it was left out.
#[must_use]
pub fn is_wanted() -> bool {
    let is_embedded = std::env::var_os("TNV_TEST_ENGINES").is_some_and(|v| v == "embedded");
    if is_embedded {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        let line = format!("{test}: left out, TNV_TEST_ENGINES=embedded\n");
        drop(std::io::stderr().write_all(line.as_bytes()));
    }
    !is_embedded
}
