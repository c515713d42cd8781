//! The command line `tnv`: see `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
