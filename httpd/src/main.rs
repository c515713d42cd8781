//! `tnv-httpd`: streams files over HTTP.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::run("tnv-httpd", httpd::ABOUT, httpd::run)
}
