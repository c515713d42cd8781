//! A process with few file descriptors. It is one of its own: the limit is the process's.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, dead_code)]

#[path = "../it/support.rs"]
mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use net::http::{Handler, Http, Request, Response, status};
use net::wire::{Caller, Content, Reply, Service, Wire};
use net::{Answer, Full, NetEvent, Server, ServerConfig};
use proto::storage::{StorageRequest, Upload};
use proto::{ErrorCode, Fault};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use support::{Counts, assert_closed, config, connect, key, read_to_end, wait_until};

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

/// Answers while hardly a descriptor is left, as a status port does.
struct Last;

impl Handler for Last {
    const USES_LAST_DESCRIPTORS: bool = true;

    fn handle(&self, _request: Request) -> Answer<Response> {
        Answer::Now(Response::text(status::OK, "alive"))
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

fn livez(port: &Server) -> String {
    let mut stream = connect(port.addr());
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    read_to_end(&mut stream)
}

fn start(counts: &Arc<Counts>) -> Server {
    let wire = Wire::new(Opening, "toy", Arc::clone(counts));
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
        let counts = Arc::new(Counts::default());
        let current = Some(N_FILES);
        setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
        let server = start(&counts);
        let addr = ([127, 0, 0, 1], 0).into();
        let http = Http::new(Last, Arc::new(()));
        let port = Server::start("last", addr, &config(), http).unwrap();
        let mut child = clients(server.addr());
        let mut ready = [0; 6];
        child.stdout.take().unwrap().read_exact(&mut ready).unwrap();
        // Some are served, some are refused, and nothing runs out.
        wait_until(|| counts.of(NetEvent::Accepted) >= N_UPLOADS);
        wait_until(|| counts.of(NetEvent::Refused(Full::Server)) > 0);
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
        let refused = counts.of(NetEvent::Refused(Full::Server));
        let stream = connect(server.addr());
        wait_until(|| counts.of(NetEvent::Refused(Full::Server)) > refused);
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
