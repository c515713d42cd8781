//! `tnv-idserver`: hands out the numbers of a cluster, none of them twice.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::run::<idserver::App>()
}
