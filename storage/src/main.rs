//! `tnv-storage`: keeps the files of one group.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::run(
        "tnv-storage",
        "Keeps the files of one group of a tnv cluster",
        storage::run,
    )
}
