//! `tnv-tracker`: knows the storages of a cluster and sends users to theirs.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::run::<tracker::App>()
}
