//! What connections that do nothing cost the clients that do something.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bench::Content;
use client::{Client, ClientConfig, new_file_id};
use proto::idserver::IdRequest;
use proto::storage::StorageRequest;
use proto::tracker::{Saddrs, TrackerRequest};
use proto::{FileKey, HEAD_LEN, Head, IdKey, UserId};

use super::{connect_many, scratch, wait_accepted};
use crate::binaries::Binaries;
use crate::cluster::Cluster;
use crate::layout::Layout;
use crate::plan::{APP, Role, USER};
use crate::proc;
use crate::terminal::tell;

/// Connections that send nothing, and as many that send half a head.
const SILENT: usize = 300;
/// Idle connections while threads are counted.
const MANY: usize = 3000;
/// Requests measured.
const REQUESTS: usize = 200;
/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(20);
/// Added to ten times the latency before: small figures vary.
const P99_FLOOR: Duration = Duration::from_millis(50);

/// What one server is asked, and how its answer is known.
struct Probe {
    role: Role,
    addr: SocketAddr,
    request: Vec<u8>,
    half_head: Vec<u8>,
}

/// Times of many requests.
#[derive(Debug, Clone, Copy)]
struct Latency {
    median: Duration,
    p99: Duration,
}

/// Measures every kind of server, with a cluster in a folder below `folder`.
///
/// # Errors
/// A server keeps others waiting, makes threads for idle connections, or does not answer.
pub fn measure(folder: &Path) -> anyhow::Result<()> {
    let scratch = scratch(folder, "idle-")?;
    let binaries = Binaries::beside_this_program()?;
    let mut cluster = Cluster::start(&Layout::small(1), scratch.path(), binaries)?;
    tell(format_args!(
        "{REQUESTS} requests, each on its own connection; then beside {SILENT} silent connections \
         and {SILENT} with half a head; threads with {MANY} idle connections"
    ));
    tell("server     median before   p99 before   median meanwhile   p99 meanwhile   threads");
    let mut broken = Vec::new();
    for probe in probes(&cluster)? {
        if let Some(complaint) = measure_one(&mut cluster, &probe)? {
            broken.push(complaint);
        }
    }
    cluster.stop()?;
    ensure!(broken.is_empty(), "{}", broken.join("; "));
    Ok(())
}

fn measure_one(cluster: &mut Cluster, probe: &Probe) -> anyhow::Result<Option<String>> {
    let role = probe.role.as_str();
    let node = cluster.plan().of(probe.role).next().cloned();
    let pid = cluster.process(&node.context("one of each")?)?.pid();
    let threads_before = proc::figures(pid)?.threads;
    let before = latency(probe)?;
    let held = hold_connections(probe)?;
    wait_accepted(role, pid, held.len())?;
    let meanwhile = latency(probe)?;
    drop(held);
    let many = connect_many(probe.addr, MANY)?;
    wait_accepted(role, pid, MANY)?;
    ask(probe)?;
    let threads = proc::figures(pid)?.threads;
    drop(many);
    tell(format_args!(
        "{role:<9} {:>14.3?} {:>12.3?} {:>18.3?} {:>15.3?}   {threads_before} -> {threads}",
        before.median, before.p99, meanwhile.median, meanwhile.p99
    ));
    let allowed = P99_FLOOR + before.p99 * 10;
    Ok(if meanwhile.p99 > allowed {
        Some(format!(
            "{role}: p99 {:?} is over {allowed:?}",
            meanwhile.p99
        ))
    } else if threads > threads_before {
        Some(format!("{role}: {threads_before} threads became {threads}"))
    } else {
        None
    })
}

fn probes(cluster: &Cluster) -> anyhow::Result<[Probe; 4]> {
    let key = upload_one(cluster)?;
    let saddrs = TrackerRequest::Saddrs(Saddrs {
        app: key.app.clone(),
        user: key.user.clone(),
        file: None,
    });
    let http = format!(
        "GET /files/{} HTTP/1.1\r\nHost: limits\r\nRange: bytes=0-0\r\nConnection: close\r\n\r\n",
        key.file
    );
    let requests = [
        (Role::Tracker, saddrs.encode()),
        (
            Role::Idserver,
            IdRequest::GetId(IdKey::new("limits")?).encode(),
        ),
        (Role::Storage, StorageRequest::FileSize(key).encode()),
        (Role::Httpd, http.into_bytes()),
    ];
    Ok(requests.map(|(role, request)| Probe {
        role,
        addr: cluster.addresses(role)[0],
        half_head: request[..HEAD_LEN / 2].to_vec(),
        request,
    }))
}

fn upload_one(cluster: &Cluster) -> anyhow::Result<FileKey> {
    let trackers = cluster.addresses(Role::Tracker);
    let trackers = trackers.into_iter().map(Into::into).collect();
    let client = Client::new(ClientConfig::new(trackers));
    let user = UserId::new(USER)?;
    let key = FileKey {
        app: APP.parse()?,
        file: new_file_id(&user),
        user,
    };
    let mut content = Content::new(1, 100_000);
    let size = content.size();
    client.upload(&key, &mut content, size, &mut |_| ())?;
    Ok(key)
}

/// Connections that keep a server waiting, in both ways.
fn hold_connections(probe: &Probe) -> anyhow::Result<Vec<TcpStream>> {
    let mut held = connect_many(probe.addr, 2 * SILENT)?;
    for stream in &mut held[SILENT..] {
        stream.write_all(&probe.half_head)?;
    }
    Ok(held)
}

fn latency(probe: &Probe) -> anyhow::Result<Latency> {
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let begun = Instant::now();
        ask(probe)?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(Latency {
        median: times[REQUESTS / 2],
        p99: times[REQUESTS * 99 / 100],
    })
}

/// One request on a connection of its own, and its whole answer.
fn ask(probe: &Probe) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect_timeout(&probe.addr, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_nodelay(true)?;
    stream.write_all(&probe.request)?;
    if probe.role == Role::Httpd {
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply)?;
        ensure!(
            reply.starts_with(b"HTTP/1.1 206"),
            "httpd answers {:?}",
            String::from_utf8_lossy(&reply)
        );
        return Ok(());
    }
    let mut head = [0; HEAD_LEN];
    stream.read_exact(&mut head)?;
    let head = Head::decode(&head);
    let mut body = vec![0; usize::try_from(head.body_len)?];
    stream.read_exact(&mut body)?;
    if !head.is_ok() {
        let role = probe.role.as_str();
        bail!("{role} refuses: {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}
