//! `tnv-storage`: keeps the files of one group.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::run::<storage::App>()
}
