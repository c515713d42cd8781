//! `tnv-httpd`: streams files over HTTP.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::run::<httpd::App>()
}
