//! nginx with common settings for media: sendfile, and as many processes as processors. Without
//! `tcp_nopush`: with it the end of a range waits 40 ms for an acknowledgement on the loopback.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use super::super::server_process::ServerProcess;
use crate::ports;

const PORT: u16 = 18_080;
/// The folder in the URLs of the files.
pub(in crate::bench) const FOLDER: &str = "/media";

/// A running nginx.
pub(in crate::bench) struct Nginx {
    process: ServerProcess,
    addr: SocketAddr,
}

impl Nginx {
    /// Starts a server for the files of `root`.
    pub(in crate::bench) fn start(scratch: &Path, root: &Path) -> anyhow::Result<Nginx> {
        let addr = ports::free_from(PORT)?;
        let (config, log) = (scratch.join("nginx.conf"), scratch.join("nginx.log"));
        fs::write(&config, text(addr, root, scratch))?;
        let config = config.to_string_lossy();
        let args = [
            "-c",
            &config,
            "-p",
            &scratch.to_string_lossy(),
            "-e",
            "stderr",
        ];
        let process = ServerProcess::start(Path::new("nginx"), args, &log)?;
        process.wait_listening(addr)?;
        Ok(Nginx { process, addr })
    }

    pub(in crate::bench) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(in crate::bench) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(in crate::bench) fn url(&self) -> String {
        format!("http://{}{FOLDER}", self.addr)
    }
}

fn text(addr: SocketAddr, root: &Path, scratch: &Path) -> String {
    let (root, scratch) = (root.display(), scratch.display());
    // By default the workers of root run under another account, which may not read the folder.
    let user = if rustix::process::geteuid().is_root() {
        "user root;\n"
    } else {
        ""
    };
    format!(
        "{user}daemon off;
worker_processes auto;
pid {scratch}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log {scratch}/nginx-access.log;
    sendfile on;
    keepalive_requests 1000000000;
    client_body_temp_path {scratch}/nginx-body;
    proxy_temp_path {scratch}/nginx-proxy;
    fastcgi_temp_path {scratch}/nginx-fastcgi;
    uwsgi_temp_path {scratch}/nginx-uwsgi;
    scgi_temp_path {scratch}/nginx-scgi;
    server {{
        listen {addr};
        location {FOLDER}/ {{ alias {root}/; }}
    }}
}}
"
    )
}
