//! Round trips of every message, and every truncation and mutation of it.

use std::fmt::Debug;
use std::str::FromStr;

use proptest::prelude::*;
use proto::admin::{
    self, FileLocation, Nonce, Signed, StorageOrder, TrackerOrder, UploadsBlocked, UserFile,
    UserGroup,
};
use proto::cluster::Cluster;
use proto::file_list::{FileList, ListRequest, ListedFile, UsagePart};
use proto::group_list::{self, Group, Storage};
use proto::hello::Hello;
use proto::idserver::{IDS_MAX, IdRequest};
use proto::report::Drain;
use proto::storage::{
    Attributes, ByteRange, Download, FileStat, LocalSocket, Open, PassedFile, RangeSpec, Read,
    StorageRequest, Store, Upload,
};
use proto::tracker::{Join, Member, Saddrs, SaddrsReply, TrackerRequest};
use proto::{Address, FIXED_MAX, Fault, FileId, FileKey, HEAD_LEN, Head, NodeId, Request};
use serde::{Serialize, de::DeserializeOwned};

use crate::reports::{cluster, report};

fn parsed<T>(pattern: &'static str) -> impl Strategy<Value = T>
where
    T: FromStr + Debug,
    T::Err: Debug,
{
    pattern.prop_map(|text: String| text.parse().unwrap())
}

fn key() -> impl Strategy<Value = FileKey> {
    let app = parsed("[a-zA-Z0-9]{1,15}");
    let user = parsed("[a-zA-Z0-9@ü用]{1,60}");
    (app, user, parsed("[ -~]{1,127}")).prop_map(|(app, user, file)| FileKey { app, user, file })
}

fn member() -> impl Strategy<Value = Member> {
    (parsed("[a-z0-9]{1,16}"), parsed("[a-z0-9.-]{1,128}"))
        .prop_map(|(group, hostname)| Member { group, hostname })
}

fn size() -> impl Strategy<Value = u64> {
    0..(i64::MAX as u64 - 1000)
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let name = proptest::option::of(parsed("[a-zäé .-]{1,80}"));
    (proptest::option::of(1..i64::MAX), name)
        .prop_map(|(expires, name)| Attributes { expires, name })
}

fn storage_request() -> impl Strategy<Value = StorageRequest> {
    prop_oneof![
        (key(), size()).prop_map(|(key, size)| StorageRequest::Upload(Upload { key, size })),
        key().prop_map(StorageRequest::FileSize),
        (key(), size(), size()).prop_map(|(key, offset, size)| {
            StorageRequest::Download(Download { key, offset, size })
        }),
        (key(), any::<i64>(), size()).prop_map(|(key, offset, size)| {
            let range = RangeSpec { offset, size };
            StorageRequest::Read(Read { key, range })
        }),
        key().prop_map(StorageRequest::Delete),
        key().prop_map(StorageRequest::Stat),
        key().prop_map(StorageRequest::Attributes),
        (key(), size(), attributes()).prop_map(|(key, size, attributes)| {
            let upload = Upload { key, size };
            StorageRequest::Store(Box::new(Store { upload, attributes }))
        }),
        list_request().prop_map(|list| StorageRequest::List(Box::new(list))),
        list_request().prop_map(|list| StorageRequest::Usage(Box::new(list))),
        Just(StorageRequest::Challenge),
        Just(StorageRequest::LocalSocket),
        (key(), any::<[u8; 16]>())
            .prop_map(|(key, socket)| StorageRequest::Open(Open { key, socket })),
        any::<[u8; 16]>().prop_map(|nonce| {
            let level = Drain::Uploads;
            let signed = Signed::new(&StorageOrder::Drain { level }, &node(), b"key", &nonce);
            StorageRequest::Admin(Box::new(signed))
        }),
    ]
}

fn list_request() -> impl Strategy<Value = ListRequest> {
    (key(), any::<bool>(), any::<i64>(), "\\PC{0,60}").prop_map(
        |(key, has_prefix, since, after)| ListRequest {
            app: key.app,
            user: key.user,
            prefix: has_prefix.then_some(key.file),
            since,
            after,
        },
    )
}

fn listed_file() -> impl Strategy<Value = ListedFile> {
    (key(), size(), any::<i64>()).prop_map(|(key, size, modified)| ListedFile {
        id: key.file,
        size,
        modified,
    })
}

fn node() -> NodeId {
    "a1".parse().expect("it is a node id")
}

fn join() -> impl Strategy<Value = TrackerRequest> {
    let times = (any::<i64>(), any::<i64>());
    (parsed("[0-9.]{1,6}"), member(), any::<u16>(), times).prop_map(
        |(version, member, port, (start_time, join_time))| {
            TrackerRequest::Join(Join {
                version,
                member,
                port,
                start_time,
                join_time,
            })
        },
    )
}

fn tracker_request() -> impl Strategy<Value = TrackerRequest> {
    prop_oneof![
        join(),
        member().prop_map(TrackerRequest::Beat),
        member().prop_map(TrackerRequest::Leave),
        (member(), report())
            .prop_map(|(member, report)| TrackerRequest::Report(member, Box::new(report))),
        saddrs().prop_map(TrackerRequest::Saddrs),
        saddrs().prop_map(TrackerRequest::Lookup),
        Just(TrackerRequest::Groups),
        Just(TrackerRequest::Cluster),
        hello(),
        Just(TrackerRequest::Challenge),
        (any::<[u8; 16]>(), parsed("[a-z0-9]{1,16}")).prop_map(|(nonce, group)| {
            let order = TrackerOrder::CloseGroup { group };
            TrackerRequest::Admin(Box::new(Signed::new(
                &order,
                &([10, 0, 0, 1], 21000).into(),
                b"key",
                &nonce,
            )))
        }),
    ]
}

fn saddrs() -> impl Strategy<Value = Saddrs> {
    (key(), any::<bool>()).prop_map(|(key, with_file)| Saddrs {
        app: key.app,
        user: key.user,
        file: with_file.then_some(key.file),
    })
}

fn hello() -> impl Strategy<Value = TrackerRequest> {
    let advertise = proptest::option::of(parsed("[a-z0-9.-]{1,200}:[1-9][0-9]{0,3}"));
    let address = proptest::option::of(any::<std::net::SocketAddr>());
    let local = proptest::option::of(any::<std::net::IpAddr>());
    let cluster = proptest::option::of(parsed("[0-9a-f]{32}"));
    let addresses = (advertise, address, local);
    (parsed("[0-9a-f]{32}"), addresses, any::<bool>(), cluster).prop_map(
        |(node, (advertise, address, local), remembers, cluster)| {
            TrackerRequest::Hello(Box::new(Hello {
                node,
                advertise,
                address: address.map(plain),
                local,
                remembers,
                cluster,
            }))
        },
    )
}

/// Without a scope and a flow, which have no text.
fn plain(addr: std::net::SocketAddr) -> std::net::SocketAddr {
    std::net::SocketAddr::new(addr.ip(), addr.port())
}

fn id_request() -> impl Strategy<Value = IdRequest> {
    prop_oneof![
        parsed("[ -~]{1,64}").prop_map(IdRequest::GetId),
        (parsed("[ -~]{1,64}"), 1..=IDS_MAX).prop_map(|(key, n)| IdRequest::GetIds(key, n)),
        Just(IdRequest::Probe),
    ]
}

fn decode<R: Request>(bytes: &[u8]) -> Option<R> {
    let (head, body) = bytes.split_at_checked(HEAD_LEN)?;
    let head = Head::decode(head.try_into().ok()?);
    let fixed = R::fixed_len(&head).ok()?;
    R::decode(&head, body.get(..fixed)?).ok()
}

/// Round trip, then every truncation, then a change of one byte: an error or another request, never
/// a panic, and never a fixed part of more than [`FIXED_MAX`].
fn check<R: Request + PartialEq + Debug>(request: &R, bytes: &[u8], at: usize, with: u8) {
    assert_eq!(decode::<R>(bytes).as_ref(), Some(request));
    for len in 0..bytes.len() {
        assert_eq!(decode::<R>(&bytes[..len]), None);
    }
    let mut damaged = bytes.to_vec();
    let at = at % damaged.len();
    damaged[at] = with;
    decode::<R>(&damaged);
}

fn user_place() -> impl Strategy<Value = UserGroup> {
    (proptest::option::of(parsed("[a-z0-9]{1,16}")), any::<u64>()).prop_map(
        |(group, believed_secs)| UserGroup {
            group,
            believed_secs,
        },
    )
}

fn order_file() -> impl Strategy<Value = Option<FileId>> {
    proptest::option::of(parsed("[ -~]{1,127}"))
}

fn file_place() -> impl Strategy<Value = FileLocation> {
    let texts = ("t_file_0[123]", "[ -~]{1,200}");
    let checksum = proptest::option::of("[0-9a-f]{32}");
    let numbers = (any::<u64>(), any::<Option<u64>>(), any::<i64>());
    (texts, checksum, numbers).prop_map(
        |((table, path), checksum, (size, size_on_disk, created))| FileLocation {
            table,
            path,
            size,
            size_on_disk,
            created,
            checksum,
        },
    )
}

/// Round trip, and every truncation is refused.
fn check_reply<T: Serialize + DeserializeOwned + PartialEq + Debug>(reply: &T) {
    let body = admin::encode_reply(reply);
    assert_eq!(&admin::decode_reply::<T>(&body).unwrap(), reply);
    for len in 0..body.len() {
        assert!(admin::decode_reply::<T>(&body[..len]).is_err());
    }
}

proptest! {
    #[test]
    fn storage_requests(request in storage_request(), at: usize, with: u8) {
        check(&request, &request.encode(), at, with);
    }

    #[test]
    fn tracker_requests(request in tracker_request(), at: usize, with: u8) {
        check(&request, &request.encode(), at, with);
    }

    #[test]
    fn id_requests(request in id_request(), at: usize, with: u8) {
        check(&request, &request.encode(), at, with);
    }

    #[test]
    fn any_bytes_behind_any_command(command: u8, body in proptest::collection::vec(any::<u8>(), 0..500)) {
        let mut bytes = Head::request(command, body.len() as u64).encode().to_vec();
        bytes.extend_from_slice(&body);
        decode::<StorageRequest>(&bytes);
        decode::<TrackerRequest>(&bytes);
        decode::<IdRequest>(&bytes);
    }

    #[test]
    fn any_head_asks_for_a_small_buffer(body_len: i64, command: u8) {
        let head = Head { body_len, command, status: 0 };
        for fixed in [
            StorageRequest::fixed_len(&head),
            TrackerRequest::fixed_len(&head),
            IdRequest::fixed_len(&head),
        ] {
            prop_assert!(fixed.unwrap_or(0) <= FIXED_MAX);
        }
    }

    #[test]
    fn any_bytes_as_a_reply(body in proptest::collection::vec(any::<u8>(), 0..1100)) {
        let _ = Fault::decode(&body);
        let _ = FileStat::decode(&body);
        let _ = LocalSocket::decode(&body);
        let _ = PassedFile::decode(&body);
        let _ = FileList::decode(&body);
        let _ = UsagePart::decode(&body);
        let _ = SaddrsReply::decode(&body);
        let _ = group_list::decode(&body);
        let _ = Cluster::decode(&body);
    }

    #[test]
    fn clusters(cluster in cluster(), at: usize, with: u8) {
        let mut body = cluster.encode();
        prop_assert_eq!(Cluster::decode(&body).unwrap(), cluster);
        prop_assert!(Cluster::decode(&body[..body.len() - 1]).is_err());
        let at = at % body.len();
        body[at] = with;
        let _ = Cluster::decode(&body);
    }

    #[test]
    fn saddrs_replies(group in parsed("[a-z0-9]{1,16}"), ports in proptest::collection::vec(1u16.., 0..4)) {
        let addresses = ports.iter().map(|port| format!("10.0.0.1:{port}").parse::<Address>().unwrap());
        let reply = SaddrsReply { group, addresses: addresses.collect() };
        prop_assert_eq!(SaddrsReply::decode(&reply.encode()).unwrap(), reply);
    }

    #[test]
    fn socket_replies(id: [u8; 16], path in proptest::collection::vec(1u8.., 1..108)) {
        let socket = LocalSocket { id, path };
        let body = socket.encode();
        prop_assert!(body.len() <= LocalSocket::LEN_MAX);
        prop_assert!(LocalSocket::decode(&body[..16]).is_err());
        prop_assert_eq!(LocalSocket::decode(&body).unwrap(), Some(socket));
    }

    #[test]
    fn attribute_replies(attributes in attributes()) {
        let body = attributes.encode();
        prop_assert_eq!(Attributes::decode(&body).unwrap(), attributes);
        prop_assert!(Attributes::decode(&body[1..]).is_err());
    }

    #[test]
    fn stat_replies(size in size(), modified: i64, checksum: Option<u128>, expires: bool, links: u32) {
        let stat = FileStat { size, modified, checksum, expires };
        let passed = PassedFile { stat, links };
        prop_assert_eq!(PassedFile::decode(&passed.encode()).unwrap(), passed);
        prop_assert!(PassedFile::decode(&stat.encode()).is_err());
        let body = stat.encode();
        prop_assert_eq!(body.len(), FileStat::LEN);
        prop_assert_eq!(FileStat::decode(&body).unwrap(), stat);
        for len in 0..body.len() {
            prop_assert!(FileStat::decode(&body[..len]).is_err());
        }
    }

    #[test]
    fn lists(files in proptest::collection::vec(listed_file(), 0..5), next in "\\PC{0,60}") {
        let list = FileList { files, next };
        let body = list.encode();
        prop_assert_eq!(FileList::decode(&body).unwrap(), list.clone());
        // A body may end behind any file.
        for len in 0..body.len() {
            if let Ok(shorter) = FileList::decode(&body[..len]) {
                prop_assert!(list.files.starts_with(&shorter.files));
                prop_assert!(shorter.files.len() < list.files.len());
            }
        }
    }

    #[test]
    fn usages(files in size(), bytes in size(), next in "\\PC{0,60}") {
        let usage = UsagePart { files, bytes, next };
        let body = usage.encode();
        prop_assert_eq!(UsagePart::decode(&body).unwrap(), usage);
        for len in 0..body.len() {
            prop_assert!(UsagePart::decode(&body[..len]).is_err());
        }
    }

    #[test]
    fn a_requested_range_lies_within_the_file(offset: i64, size in size(), file_size in size()) {
        let ByteRange { offset: start, len } = RangeSpec { offset, size }.within(file_size);
        let wanted = i128::from(offset) + if offset < 0 { i128::from(file_size) } else { 0 };
        let wanted = wanted.clamp(0, i128::from(file_size));
        prop_assert_eq!(i128::from(start), wanted);
        let rest = file_size - start;
        prop_assert_eq!(len, if size == 0 { rest } else { rest.min(size) });
    }

    #[test]
    fn replies_to_orders(user_place in user_place(), file_place in file_place(), renewed: bool, file in order_file()) {
        check_reply(&user_place);
        check_reply(&file_place);
        check_reply(&UploadsBlocked { renewed });
        check_reply(&UserFile { file });
    }

    #[test]
    fn any_bytes_as_the_reply_to_an_order(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = admin::decode_reply::<UserGroup>(&body);
        let _ = admin::decode_reply::<FileLocation>(&body);
        let nonce = admin::decode_nonce(&body);
        prop_assert_eq!(nonce.is_ok(), body.len() == size_of::<Nonce>());
    }

    #[test]
    fn group_lists(names in proptest::collection::vec("[a-z0-9]{1,16}", 0..4), per_group in 0usize..4) {
        let storage = Storage {
            version: "1.0".into(),
            hostname: "a host".into(),
            address: "[::1]:23000".into(),
            startup_time: "Sat Nov 21 20:41:42 2026".into(),
            join_time: "Sat Nov 21 20:41:42 2026".into(),
            beat_time: "Sat Nov 21 20:41:48 2026".into(),
            status: Storage::ACTIVE.into(),
        };
        let storages = vec![storage; per_group];
        let groups: Vec<_> = names.into_iter().map(|name| Group { name, storages: storages.clone() }).collect();
        prop_assert_eq!(group_list::decode(&group_list::encode(&groups)).unwrap(), groups);
    }
}
