//! One valid request of each command.

use std::net::SocketAddr;

use proto::admin::{Signed, StorageOrder, TrackerOrder};
use proto::file_list::ListRequest;
use proto::hello::Hello;
use proto::idserver::IdRequest;
use proto::peer_proof::{ClientProof, PROVE_LEN};
use proto::report::Report;
use proto::shared_key::KeyRing;
use proto::storage::{Attributes, Download, Open, RangeSpec, Read, StorageRequest, Store, Upload};
use proto::tracker::{Join, Member, Saddrs, TrackerRequest};
use proto::{FileKey, Head, IdKey, NodeId, Request, ServerKind};

/// Content of the upload, in bytes.
pub const CONTENT: usize = 100;

/// The requests of an application to a server of this kind about the file, and those of nodes and administrators,
/// by the names of their commands.
pub fn all(server: ServerKind, key: &FileKey) -> Vec<(&'static str, Vec<u8>)> {
    let (names, frames) = match server {
        ServerKind::Tracker => (TrackerRequest::COMMANDS, tracker(key)),
        ServerKind::Idserver => (IdRequest::COMMANDS, idserver()),
        ServerKind::Storage => (StorageRequest::COMMANDS, storage(key)),
    };
    let frame_of = |(command, name): &(u8, &'static str)| {
        let command_of = |frame: &&Vec<u8>| Head::decode(frame.first_chunk().unwrap()).command;
        let frame = frames.iter().find(|frame| command_of(frame) == *command);
        (*name, frame.expect(name).clone())
    };
    names.iter().map(frame_of).collect()
}

/// A member of the first group.
pub fn member() -> Member {
    Member {
        group: "group001".parse().unwrap(),
        hostname: "stranger".parse().unwrap(),
    }
}

/// JOIN with this port.
pub fn join(port: u16) -> TrackerRequest {
    TrackerRequest::Join(Join {
        version: "9.9".parse().unwrap(),
        member: member(),
        port,
        start_time: 0,
        join_time: 0,
    })
}

/// AUTHENTICATE with a key that a server does not have, and PROVE with a wrong proof.
pub fn proof(server: ServerKind, address: SocketAddr) -> [Vec<u8>; 2] {
    let ring = KeyRing::parse("a-key-of-another-cluster").unwrap();
    let proof = ClientProof::begin(server, ring.signing(), address, [7; 16]);
    let head = Head::request(server.prove(), PROVE_LEN as u64).encode();
    [proof.authenticate(), [&head[..], &[0; PROVE_LEN]].concat()]
}

fn node() -> NodeId {
    "5ec7e75ec7e7".parse().unwrap()
}

fn tracker(key: &FileKey) -> Vec<Vec<u8>> {
    let saddrs = Saddrs {
        app: key.app.clone(),
        user: key.user.clone(),
        file: Some(key.file.clone()),
    };
    let hello = Hello {
        node: node(),
        advertise: None,
        address: None,
        local: None,
        remembers: true,
        cluster: None,
    };
    let close = TrackerOrder::CloseGroup {
        group: member().group,
    };
    let address = ([127, 0, 0, 1], 1).into();
    let order = Signed::new(&close, &address, b"a-key-of-others!", &[0; 16]);
    let requests = [
        TrackerRequest::Hello(Box::new(hello)),
        join(9),
        TrackerRequest::Beat(member()),
        TrackerRequest::Report(member(), Box::<Report>::default()),
        TrackerRequest::Leave(member()),
        TrackerRequest::Saddrs(saddrs.clone()),
        TrackerRequest::Lookup(saddrs),
        TrackerRequest::Groups,
        TrackerRequest::Cluster,
        TrackerRequest::Challenge,
        TrackerRequest::Admin(Box::new(order)),
    ];
    requests.iter().map(TrackerRequest::encode).collect()
}

fn idserver() -> Vec<Vec<u8>> {
    let key = IdKey::new("a-key-of-strangers").unwrap();
    let requests = [
        IdRequest::GetId(key.clone()),
        IdRequest::GetIds(key, 10_000),
        IdRequest::Probe,
    ];
    requests.iter().map(IdRequest::encode).collect()
}

fn storage(key: &FileKey) -> Vec<Vec<u8>> {
    let upload = StorageRequest::Upload(Upload {
        key: key.clone(),
        size: CONTENT as u64,
    });
    let store = StorageRequest::Store(Box::new(Store {
        upload: Upload {
            key: key.clone(),
            size: CONTENT as u64,
        },
        attributes: Attributes {
            expires: Some(i64::MAX),
            name: None,
        },
    }));
    let drain = StorageOrder::FindUserFile {
        app: key.app.clone(),
        user: key.user.clone(),
    };
    let order = Signed::new(&drain, &node(), b"a-key-of-others!", &[0; 16]);
    let list = ListRequest {
        app: key.app.clone(),
        user: key.user.clone(),
        prefix: None,
        since: 0,
        after: String::new(),
    };
    let requests = [
        StorageRequest::FileSize(key.clone()),
        StorageRequest::Download(Download {
            key: key.clone(),
            offset: 0,
            size: 0,
        }),
        StorageRequest::Delete(key.clone()),
        StorageRequest::Stat(key.clone()),
        StorageRequest::Attributes(key.clone()),
        StorageRequest::Read(Read {
            key: key.clone(),
            range: RangeSpec::WHOLE,
        }),
        StorageRequest::Challenge,
        StorageRequest::LocalSocket,
        StorageRequest::Open(Open {
            key: key.clone(),
            socket: [0; 16],
        }),
        StorageRequest::Admin(Box::new(order)),
        StorageRequest::List(Box::new(list.clone())),
        StorageRequest::Usage(Box::new(list)),
    ];
    let uploads = [upload, store].map(|upload| [upload.encode(), vec![b'x'; CONTENT]].concat());
    let frames = requests.iter().map(StorageRequest::encode);
    frames.chain(uploads).collect()
}
