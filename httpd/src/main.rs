//! `tnv-httpd`: streams files over HTTP.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::run(
        "tnv-httpd",
        "Streams the files of a tnv cluster over HTTP",
        httpd::run,
    )
}
