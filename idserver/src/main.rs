//! `tnv-idserver`: hands out the numbers of a cluster, none of them twice.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::run(
        "tnv-idserver",
        "Hands out the numbers of a tnv cluster, none of them twice",
        idserver::run,
    )
}
