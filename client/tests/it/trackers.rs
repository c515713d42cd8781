//! Finding storages, and the numbers of the idservers.

use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::{
    Client, ClientConfig, ConnectionConfig, ConnectionPool, ErrorKind, IdClient, PoolConfig,
};
use proto::idserver::{self, IdRequest, encode_id};
use proto::storage::RangeSpec;
use proto::tracker::{self, TrackerRequest};
use proto::{ErrorCode, Fault, IdKey, Request};
use test_peers::fake::{Fake, dead_address, read_request, reply};
use test_peers::storage::memory_with;
use test_peers::storage::{Act, FakeStorage, Memory};
use test_peers::support::{cluster, config, content, key};
use test_peers::tracker::{FakeTracker, refuse};

#[test]
fn a_dead_tracker_costs_nothing_but_a_try() {
    let storage = FakeStorage::good(&memory_with(&key("f"), b"x"));
    let tracker = FakeTracker::start(&[&storage.fake.address]);
    for trackers in [
        [dead_address(), tracker.fake.address.clone()],
        [tracker.fake.address.clone(), dead_address()],
    ] {
        let client = Client::new(ClientConfig::new(trackers.to_vec()));
        assert_eq!(client.file_size(&key("f")).unwrap(), 1);
    }
}

#[test]
fn all_trackers_dead_is_an_error_that_lists_them() {
    let (one, two) = (dead_address(), dead_address());
    let client = Client::new(ClientConfig::new(vec![one.clone(), two.clone()]));
    let error = client.file_size(&key("f")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    let text = error.to_string();
    assert!(
        text.contains(one.as_str()) && text.contains(two.as_str()),
        "{text}"
    );
    assert!(text.contains("refused"), "{text}");
    let nobody = Client::new(ClientConfig::new(Vec::new()));
    assert_eq!(nobody.cluster().unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn a_tracker_without_members_is_passed_over() {
    let storage = FakeStorage::good(&memory_with(&key("f"), b"x"));
    let fresh = FakeTracker::start(&[]);
    let old = FakeTracker::start(&[&storage.fake.address]);
    for trackers in [[&fresh, &old], [&old, &fresh]] {
        let trackers = trackers.map(|tracker| tracker.fake.address.clone());
        let client = Client::new(ClientConfig::new(trackers.to_vec()));
        assert_eq!(client.file_size(&key("f")).unwrap(), 1);
    }
    let client = Client::new(config(&fresh));
    let error = client.file_size(&key("f")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

/// A tracker that knows LOOKUP, or treats it as one that does not: `lookup` answers it.
fn tracker_with(
    storage: &FakeStorage,
    lookup: impl Fn(&TcpStream) -> bool + Send + Sync + 'static,
) -> (Fake, Arc<Mutex<Vec<&'static str>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let storages = FakeTracker::start(&[&storage.fake.address]);
    let fake = Fake::start({
        let asked = Arc::clone(&asked);
        move |_, stream| {
            while let Some(request) = read_request::<TrackerRequest>(stream) {
                asked.lock().unwrap().push(request.access_fields().command);
                match request {
                    TrackerRequest::Lookup(_) if !lookup(stream) => return,
                    TrackerRequest::Lookup(_) => {}
                    request => reply(stream, tracker::REPLY, &storages.answer(&request)),
                }
            }
        }
    });
    (fake, asked)
}

#[test]
fn only_an_upload_asks_for_a_group_to_be_chosen() {
    let storage = FakeStorage::good(&Arc::new(Memory::default()));
    let (tracker, asked) = tracker_with(&storage, |stream| {
        refuse(stream, &Fault::new(ErrorCode::NotFound, "no group"));
        true
    });
    let client = Client::new(ClientConfig::new(vec![tracker.address.clone()]));
    let file = key("f");
    let failures = [
        client.file_size(&file).unwrap_err(),
        client.stat(&file).unwrap_err(),
        client.delete(&file).unwrap_err(),
        client.open(&file, RangeSpec::WHOLE).map(drop).unwrap_err(),
        client.download(&file).map(drop).unwrap_err(),
    ];
    for failure in failures {
        assert_eq!(failure.kind(), ErrorKind::NotFound, "{failure}");
    }
    assert!(asked.lock().unwrap().iter().all(|&name| name == "lookup"));
    // Right behind: that nobody was found is not remembered.
    let mut content = std::io::Cursor::new(b"x");
    client.upload(&file, &mut content, 1, &mut |_| {}).unwrap();
    assert_eq!(asked.lock().unwrap().last(), Some(&"saddrs"));
}

#[test]
fn a_tracker_that_does_not_know_lookups_is_asked_for_addresses() {
    let storage = FakeStorage::good(&memory_with(&key("f"), b"x"));
    let closes = |_: &TcpStream| false;
    // An earlier version of ours says so, and closes.
    let refuses = |stream: &TcpStream| {
        refuse(
            stream,
            &Fault::new(ErrorCode::BadRequest, "unknown command: 20"),
        );
        false
    };
    let trackers = [
        tracker_with(&storage, closes),
        tracker_with(&storage, refuses),
    ];
    for (tracker, asked) in trackers {
        let mut config = ClientConfig::new(vec![tracker.address.clone()]);
        config.storage_cache = Duration::ZERO;
        let client = Client::new(config);
        assert_eq!(client.file_size(&key("f")).unwrap(), 1);
        asked.lock().unwrap().clear();
        assert_eq!(client.file_size(&key("f")).unwrap(), 1);
        assert_eq!(*asked.lock().unwrap(), ["saddrs"]);
    }
}

#[test]
fn groups_are_decoded() {
    let storage = FakeStorage::good(&Arc::new(Memory::default()));
    let (_tracker, client) = cluster(&[&storage]);
    let groups = client.cluster().unwrap().groups;
    assert_eq!(groups[0].name, "group001");
    assert_eq!(
        groups[0].storages[0].address,
        storage.fake.address.to_string()
    );
}

#[test]
fn storages_are_remembered_for_their_time_and_forgotten_when_dead() {
    let memory = memory_with(&key("f"), &content(10));
    let (one, two) = (FakeStorage::good(&memory), FakeStorage::good(&memory));
    let tracker = FakeTracker::start(&[&one.fake.address]);
    let mut config = config(&tracker);
    config.storage_cache = Duration::from_secs(3600);
    let client = Client::new(config.clone());
    for _ in 0..3 {
        client.file_size(&key("f")).unwrap();
    }
    assert_eq!(tracker.n_asked(), 1);
    tracker.set_storages(&[&two.fake.address]);
    one.stop();
    assert_eq!(client.file_size(&key("f")).unwrap(), 10);
    assert_eq!((tracker.n_asked(), two.requests().len()), (2, 1));

    config.storage_cache = Duration::ZERO;
    let client = Client::new(config);
    client.file_size(&key("f")).unwrap();
    client.file_size(&key("f")).unwrap();
    assert_eq!(tracker.n_asked(), 4);
}

#[test]
fn reasons_of_one_kind_keep_it_and_mixed_ones_do_not() {
    let memory = Arc::new(Memory::default());
    let refusing = |code| FakeStorage::start(&memory, move |_, _| Act::Refuse(code));
    for (one, two, kind) in [
        (ErrorCode::Busy, ErrorCode::Busy, ErrorKind::Busy),
        (ErrorCode::Damaged, ErrorCode::Damaged, ErrorKind::Damaged),
        (ErrorCode::Damaged, ErrorCode::Busy, ErrorKind::Unavailable),
        (ErrorCode::NoSpace, ErrorCode::ReadOnly, ErrorKind::NoSpace),
        (ErrorCode::Unknown, ErrorCode::Unknown, ErrorKind::Unknown),
        (ErrorCode::NotFound, ErrorCode::Busy, ErrorKind::NotFound),
    ] {
        let storages = [refusing(one), refusing(two)];
        let (_tracker, client) = cluster(&[&storages[0], &storages[1]]);
        let error = client.file_size(&key("f")).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

/// Every server has an `allow_hosts` of its own.
#[test]
fn a_server_that_forbids_is_passed_over_and_all_of_them_are_an_answer() {
    let memory = memory_with(&key("f"), b"x");
    let closed_tracker = Fake::start(|_, stream| {
        while read_request::<TrackerRequest>(stream).is_some() {
            refuse(
                stream,
                &Fault::new(ErrorCode::Forbidden, "not in allow_hosts"),
            );
        }
    });
    let closed = FakeStorage::start(&memory, |_, _| Act::Refuse(ErrorCode::Forbidden));
    let open = FakeStorage::good(&memory);
    let tracker = FakeTracker::start(&[&closed.fake.address, &open.fake.address]);
    let config = |trackers: &[&Fake]| {
        let trackers = trackers.iter().map(|tracker| tracker.address.clone());
        ClientConfig::new(trackers.collect())
    };
    // The first tracker and the first storage are chosen by chance. The fake serves nothing more on a
    // connection on which it has refused: each question has a client of its own.
    for n in 0..8 {
        let client = || Client::new(config(&[&closed_tracker, &tracker.fake]));
        assert_eq!(client().file_size(&key("f")).unwrap(), 1);
        let mut content = std::io::Cursor::new(b"y");
        let new = key(&format!("new{n}"));
        client().upload(&new, &mut content, 1, &mut |_| {}).unwrap();
    }
    let client = Client::new(config(&[&closed_tracker]));
    assert_eq!(client.cluster().unwrap_err().kind(), ErrorKind::Forbidden);
    tracker.set_storages(&[&closed.fake.address]);
    let mut content = std::io::Cursor::new(b"y");
    let refused = [
        Client::new(config(&[&tracker.fake]))
            .file_size(&key("f"))
            .unwrap_err(),
        Client::new(config(&[&tracker.fake]))
            .upload(&key("g"), &mut content, 1, &mut |_| {})
            .unwrap_err(),
    ];
    for refused in refused {
        assert_eq!(refused.kind(), ErrorKind::Forbidden, "{refused}");
    }
}

#[test]
fn numbers_come_from_the_first_idserver_that_answers() {
    let refusing = |code| {
        Fake::start(move |_, stream| {
            while let Some(IdRequest::GetId(_)) = read_request(stream) {
                let fault = Fault::new(code, "not now").encode(idserver::REPLY, "h");
                let _ = std::io::Write::write_all(&mut &*stream, &fault);
            }
        })
    };
    let without_database = refusing(ErrorCode::Unavailable);
    let for_others = refusing(ErrorCode::Forbidden);
    let good = Fake::start(|_, stream| {
        let mut next = 7;
        while let Some(IdRequest::GetId(key)) = read_request(stream) {
            assert_eq!(key.as_str(), "../data");
            reply(stream, idserver::REPLY, &encode_id(next));
            next += 1;
        }
    });
    let ids = vec![
        dead_address(),
        without_database.address.clone(),
        for_others.address.clone(),
        good.address.clone(),
    ];
    let pools = ConnectionPool::new(ConnectionConfig::default(), PoolConfig::default());
    let client = IdClient::new(ids, Arc::new(pools));
    let key = IdKey::new("../data").unwrap();
    let numbers: Vec<u64> = (0..3).map(|_| client.next_id(&key).unwrap()).collect();
    assert_eq!(numbers, [7, 8, 9]);
    // It closes on what it does not know, and is asked for one number at a time from then on.
    assert_eq!(client.next_ids(&key, 50).unwrap(), 7..8);
    let n_connections = good.n_connections();
    assert_eq!(client.next_ids(&key, 50).unwrap(), 8..9);
    assert_eq!(good.n_connections(), n_connections);
    for refusing in [&without_database, &for_others] {
        assert!(
            refusing.n_connections() <= 1,
            "the last good one is asked first"
        );
    }
}
