//! A process with few file descriptors. It is one of its own: the limit is the process's.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, dead_code)]

#[path = "../it/support.rs"]
mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use daemon::config::ServerConfig;
use daemon::metrics::{Metrics, Page};
use daemon::net::Server;
use daemon::status::{Health, StatusConfig, StatusPort, Subject};
use daemon::wire::{Caller, Content, Reply, Service, Wire};
use proto::storage::{StorageRequest, Upload};
use proto::{ErrorCode, Fault};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use support::{assert_closed, config, connect, key, read_to_end, wait_until};

const N_FILES: u64 = 256;
/// More than there are descriptors.
const N_UPLOADS: usize = 220;

/// Opens two files for each upload.
struct Opening;

struct Opened {
    _files: [File; 2],
}

impl Service for Opening {
    type Request = StorageRequest;
    type Session = ();

    const DESCRIPTORS: usize = 2;

    fn call(&self, _request: StorageRequest, _: &mut Caller<'_, ()>) -> Result<Reply, Fault> {
        let open = || File::open("/").map_err(|e| Fault::new(ErrorCode::Damaged, e.to_string()));
        Ok(Reply::Content(Box::new(Opened {
            _files: [open()?, open()?],
        })))
    }
}

impl Content for Opened {
    fn write(&mut self, _bytes: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }
}

struct Sound;

impl Subject for Sound {
    fn health(&self, _health: &mut Health) {}

    fn measure(&self, _page: &mut Page) {}

    fn describe(&self) -> serde_json::Value {
        serde_json::json!({})
    }
}

/// The clients' ends need descriptors, too: they are of another process.
fn clients(addr: std::net::SocketAddr) -> std::process::Child {
    let script = format!(
        "for i in $(seq {N_UPLOADS}); do exec {{fd}}<>/dev/tcp/{}/{}; printf '%b' \"$0\" >&$fd; done; \
         echo ready; read",
        addr.ip(),
        addr.port()
    );
    let mut request = StorageRequest::Upload(Upload {
        key: key("f"),
        size: 10_000,
    })
    .encode();
    request.extend(b"x");
    let request: String = request
        .iter()
        .map(|byte| format!("\\x{byte:02x}"))
        .collect();
    std::process::Command::new("bash")
        .args(["-c", &script, &request])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap()
}

fn livez(port: &StatusPort) -> String {
    let mut stream = connect(port.addr().unwrap());
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    read_to_end(&mut stream)
}

fn start(metrics: &Arc<Metrics>) -> Server {
    let wire = Wire::new(Opening, "toy", Arc::clone(metrics));
    let config = ServerConfig {
        connections_max: 200,
        ..config()
    };
    Server::start("toy", ([127, 0, 0, 1], 0).into(), &config, wire).unwrap()
}

#[test]
fn uploads_leave_descriptors_for_everything_else() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let mut children = {
        let metrics = Arc::new(Metrics::of_wire::<StorageRequest>());
        let current = Some(N_FILES);
        setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
        let server = start(&metrics);
        let status = StatusConfig::<1>::at(([127, 0, 0, 1], 0).into());
        let port = StatusPort::start("toy", status.bind().unwrap(), &metrics, Sound).unwrap();
        let mut child = clients(server.addr());
        let mut ready = [0; 6];
        child.stdout.take().unwrap().read_exact(&mut ready).unwrap();
        // Some are served, some are refused, and nothing runs out.
        wait_until(|| metrics.net.accepted.get() as usize >= N_UPLOADS);
        wait_until(|| metrics.net.refused.get() > 0);
        assert!(livez(&port).starts_with("HTTP/1.1 200 "));
        let spare: Vec<_> = (0..N_FILES / 8).map(|_| File::open("/")).collect();
        assert!(spare.iter().all(Result::is_ok), "the probe finds none");
        drop(spare);
        child.stdin.take();
        wait_until(|| server.connections().now() == 0);
        // What was refused then is served now.
        let mut stream = connect(server.addr());
        upload_whole(&mut stream);
        drop(stream);
        // When something else has taken many, the last ones are not given to connections.
        let others = open_all_but_the_last();
        let refused = metrics.net.refused.get();
        let stream = connect(server.addr());
        wait_until(|| metrics.net.refused.get() > refused);
        assert!(livez(&port).starts_with("HTTP/1.1 200 "));
        drop((stream, others));
        upload_whole(&mut connect(server.addr()));
        server.shutdown();
        port.shutdown();
        vec![child]
    };
    for child in &mut children {
        child.wait().unwrap();
    }
}

/// The kernel gives the lowest number that is free.
fn open_all_but_the_last() -> Vec<File> {
    let last = i32::try_from(N_FILES - N_FILES / 8).unwrap();
    let mut files = vec![File::open("/").unwrap()];
    while files.last().unwrap().as_raw_fd() < last {
        files.push(File::open("/").unwrap());
    }
    files
}

fn upload_whole(stream: &mut TcpStream) {
    let upload = Upload {
        key: key("f"),
        size: 3,
    };
    let mut request = StorageRequest::Upload(upload).encode();
    request.extend(b"abc");
    stream.write_all(&request).unwrap();
    assert!(support::receive(stream).0.is_ok());
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_closed(stream);
}
