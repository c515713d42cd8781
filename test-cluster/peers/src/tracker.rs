//! A scripted tracker with a list of storages.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proto::group_list::{self, Group, Storage};
use proto::tracker::{REPLY, SaddrsReply, TrackerRequest};
use proto::{Address, ErrorCode, Fault, GroupName};

use crate::fake::{Fake, read_request, reply};

pub struct FakeTracker {
    pub fake: Fake,
    storages: Arc<Mutex<Vec<Address>>>,
    n_asked: Arc<AtomicUsize>,
}

impl FakeTracker {
    pub fn start(storages: &[&Address]) -> FakeTracker {
        let storages: Vec<Address> = storages.iter().map(|&address| address.clone()).collect();
        let storages = Arc::new(Mutex::new(storages));
        let n_asked = Arc::new(AtomicUsize::new(0));
        let fake = Fake::start({
            let (storages, n_asked) = (storages.clone(), n_asked.clone());
            move |_, stream| {
                while let Some(request) = read_request(stream) {
                    n_asked.fetch_add(1, Ordering::SeqCst);
                    if request == TrackerRequest::Cluster {
                        return refuse_cluster(stream);
                    }
                    reply(stream, REPLY, &answer(&request, &storages.lock().unwrap()));
                }
            }
        });
        FakeTracker {
            fake,
            storages,
            n_asked,
        }
    }

    pub fn set_storages(&self, storages: &[&Address]) {
        let storages: Vec<Address> = storages.iter().map(|&address| address.clone()).collect();
        *self.storages.lock().unwrap() = storages;
    }

    /// The body of the reply.
    pub fn answer(&self, request: &TrackerRequest) -> Vec<u8> {
        answer(request, &self.storages.lock().unwrap())
    }

    /// Number of requests.
    pub fn n_asked(&self) -> usize {
        self.n_asked.load(Ordering::SeqCst)
    }
}

/// The refusal of a C++ tracker, which then closes the connection.
pub fn refuse_cluster(stream: &TcpStream) {
    refuse(
        stream,
        &Fault::new(ErrorCode::Unknown, "unknown command: 16"),
    );
}

/// Sends a failure.
pub fn refuse(mut stream: &TcpStream, fault: &Fault) {
    let _ = stream.write_all(&fault.encode(REPLY, "vm"));
}

fn answer(request: &TrackerRequest, storages: &[Address]) -> Vec<u8> {
    match request {
        TrackerRequest::Saddrs(_) | TrackerRequest::Lookup(_) => SaddrsReply {
            group: GroupName::new("group001").unwrap(),
            addresses: storages.to_vec(),
        }
        .encode(),
        TrackerRequest::Groups => group_list::encode(&[Group {
            name: "group001".to_owned(),
            storages: storages.iter().map(member).collect(),
        }]),
        other => panic!("{other:?}"),
    }
}

fn member(address: &Address) -> Storage {
    let time = || "Sat Nov 21 23:36:52 2026".to_owned();
    Storage {
        version: "0.1".to_owned(),
        hostname: "host1".to_owned(),
        address: address.to_string(),
        startup_time: time(),
        join_time: time(),
        beat_time: time(),
        status: Storage::ACTIVE.to_owned(),
    }
}
