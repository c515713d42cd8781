//! Connections: reuse, breaking, time-outs, many threads.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use client::{Client, Connection, ConnectionConfig, ConnectionPool, ErrorKind, PoolConfig};
use proto::storage::{self, StorageRequest, decode_file_size, encode_file_size};
use proto::{ErrorCode, Fault};
use test_peers::fake::{DEADLINE, Fake, dead_address, drain, read_request, reply};
use test_peers::storage::memory_with;
use test_peers::storage::{Act, FakeStorage};
use test_peers::support::{cluster, config, content, key};
use test_support::until;

fn pools(idle_max: usize) -> ConnectionPool {
    let config = PoolConfig {
        idle_max,
        ..PoolConfig::default()
    };
    ConnectionPool::new(ConnectionConfig::default(), config)
}

fn size_at(pools: &ConnectionPool, fake: &Fake) -> Result<u64, client::Error> {
    let request = StorageRequest::FileSize(key("f")).encode();
    pools.call(&fake.address, &request, storage::REPLY, 8, decode_file_size)
}

#[test]
fn connections_are_used_again_also_after_a_refusal() {
    let fake = Fake::start(|_, stream| {
        while let Some(StorageRequest::FileSize(_)) = read_request(stream) {
            let fault = Fault::new(ErrorCode::NotFound, "no such file");
            let _ = std::io::Write::write_all(&mut &*stream, &fault.encode(storage::REPLY, "h"));
            let Some(StorageRequest::FileSize(_)) = read_request(stream) else {
                return;
            };
            reply(stream, storage::REPLY, &encode_file_size(3));
        }
    });
    let pools = pools(4);
    for _ in 0..5 {
        assert_eq!(
            size_at(&pools, &fake).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(size_at(&pools, &fake).unwrap(), 3);
    }
    assert_eq!(fake.n_connections(), 1);
}

#[test]
fn a_reused_connection_that_breaks_is_replaced_once() {
    // Each connection answers once, and closes when it is asked again.
    let fake = Fake::start(|_, stream| {
        let _: Option<StorageRequest> = read_request(stream);
        reply(stream, storage::REPLY, &encode_file_size(3));
        let _: Option<StorageRequest> = read_request(stream);
    });
    let pools = pools(4);
    for _ in 0..4 {
        assert_eq!(size_at(&pools, &fake).unwrap(), 3);
    }
    assert_eq!(fake.n_connections(), 4);
}

#[test]
fn a_fresh_connection_that_breaks_is_an_error() {
    let fake = Fake::start(|_, stream| {
        let _: Option<StorageRequest> = read_request(stream);
    });
    let error = size_at(&pools(4), &fake).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_eq!(fake.n_connections(), 1);
}

#[test]
fn a_connection_out_of_step_is_of_no_further_use() {
    let fake = Fake::start(|_, stream| {
        let _: Option<StorageRequest> = read_request(stream);
        reply(stream, storage::REPLY, &[0; 9]);
        assert!(read_request::<StorageRequest>(stream).is_none());
    });
    let mut connection = Connection::connect(&fake.address, &ConnectionConfig::default()).unwrap();
    let request = StorageRequest::FileSize(key("f")).encode();
    assert!(connection.is_usable());
    let error = connection.call(&request, storage::REPLY, 8).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(!connection.is_usable());
    let error = connection.call(&request, storage::REPLY, 8).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
}

#[test]
fn a_restarted_server_is_not_noticed() {
    let storage = FakeStorage::good(&memory_with(&key("f"), &content(10)));
    let (tracker, client) = cluster(&[&storage]);
    for _ in 0..3 {
        assert_eq!(client.file_size(&key("f")).unwrap(), 10);
        storage.fake.close_connections();
        tracker.fake.close_connections();
    }
}

#[test]
fn a_silent_server_times_out_and_the_next_one_answers() {
    let memory = memory_with(&key("f"), &content(10));
    let silent = FakeStorage::start(&memory, |_, _| Act::FallSilent);
    let (_tracker, client) = cluster(&[&silent]);
    let started = Instant::now();
    let error = client.file_size(&key("f")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(started.elapsed() < DEADLINE);
    let good = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&silent, &good]);
    assert_eq!(client.file_size(&key("f")).unwrap(), 10);
}

#[test]
fn addresses_that_failed_lately_are_tried_last() {
    let pools = pools(4);
    let fake = Fake::start(|_, _| {});
    let dead = dead_address();
    let both = [dead.clone(), fake.address.clone()];
    assert_eq!(pools.order(&both), both);
    assert!(pools.get(&dead).is_err());
    assert_eq!(pools.order(&both), [fake.address.clone(), dead]);
}

#[test]
fn a_silent_address_is_tried_last_until_it_answers() {
    // It accepts all the same, as the system does for a process that hangs.
    let fake = Fake::start(|number, stream| {
        let _: Option<StorageRequest> = read_request(stream);
        match number {
            0 => _ = drain(stream),
            _ => reply(stream, storage::REPLY, &encode_file_size(3)),
        }
    });
    let other = dead_address();
    let connection = ConnectionConfig {
        io_timeout: Duration::from_millis(200),
        ..ConnectionConfig::default()
    };
    let pools = ConnectionPool::new(connection, PoolConfig::default());
    let both = [fake.address.clone(), other.clone()];
    let error = size_at(&pools, &fake).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let last = [other, fake.address.clone()];
    assert_eq!(pools.order(&both), last);
    drop(pools.connect(&fake.address));
    assert_eq!(
        pools.order(&both),
        last,
        "it accepted, but it did not answer"
    );
    assert_eq!(size_at(&pools, &fake).unwrap(), 3);
    assert_eq!(pools.order(&both), both);
}

#[test]
fn a_download_remembers_that_its_storage_fell_silent() {
    let memory = memory_with(&key("f"), &content(1000));
    let head = proto::Head::reply(storage::REPLY, 1000).encode();
    let silent = FakeStorage::start(&memory, move |_, _| Act::Raw(head.to_vec()));
    let good = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&silent, &good]);
    for _ in 0..3 {
        let mut bytes = Vec::new();
        let mut download = client.download(&key("f")).unwrap();
        std::io::Read::read_to_end(&mut download, &mut bytes).unwrap();
        assert_eq!(bytes, content(1000));
    }
    assert_eq!((silent.requests().len(), good.requests().len()), (1, 3));
}

#[test]
fn idle_connections_are_bounded() {
    let fake = Fake::start(|_, stream| while read_request::<StorageRequest>(stream).is_some() {});
    let pools = pools(1);
    let pair = [pools.get(&fake.address), pools.get(&fake.address)];
    for connection in pair {
        pools.put(connection.unwrap());
    }
    let again = [pools.get(&fake.address), pools.get(&fake.address)];
    assert!(again.iter().all(Result::is_ok));
    // A connect returns before the server has accepted.
    drop(again);
    drop(pools);
    until("three connections", || fake.n_connections() >= 3);
    assert_eq!(fake.n_connections(), 3);
}

#[test]
fn the_local_address_can_be_chosen() {
    let peers = Arc::new(Mutex::new(Vec::new()));
    let fake = Fake::start({
        let peers = peers.clone();
        move |_, stream| {
            peers.lock().unwrap().push(stream.peer_addr().unwrap().ip());
            let _: Option<StorageRequest> = read_request(stream);
            reply(stream, storage::REPLY, &encode_file_size(3));
        }
    });
    let ip: IpAddr = "127.0.0.77".parse().unwrap();
    let mut config = ConnectionConfig {
        bind: Some(ip),
        ..ConnectionConfig::default()
    };
    let mut connection = Connection::connect(&fake.address, &config).unwrap();
    assert_eq!(connection.local_addr().unwrap().ip(), ip);
    let request = StorageRequest::FileSize(key("f")).encode();
    assert_eq!(
        connection.call(&request, storage::REPLY, 8).unwrap().len(),
        8
    );
    assert_eq!(*peers.lock().unwrap(), [ip]);
    config.bind = Some("::1".parse().unwrap());
    let error = Connection::connect(&fake.address, &config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
}

#[test]
fn host_names_are_resolved() {
    let fake = Fake::start(|_, stream| {
        let _: Option<StorageRequest> = read_request(stream);
        reply(stream, storage::REPLY, &encode_file_size(3));
    });
    let port = fake.address.as_str().rsplit_once(':').unwrap().1;
    // `localhost` may mean ::1 first, where nobody listens.
    let address = format!("localhost:{port}").parse().unwrap();
    assert!(pools(1).get(&address).is_ok());
}

#[test]
fn eight_threads_share_a_client() {
    let memory = memory_with(&key("f"), &content(100_000));
    let (one, two) = (FakeStorage::good(&memory), FakeStorage::good(&memory));
    let (tracker, _) = cluster(&[&one, &two]);
    let mut config = config(&tracker);
    config.connection.io_timeout = Duration::from_secs(10);
    let client = Client::new(config);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let client = &client;
            scope.spawn(move || {
                for round in 0..10 {
                    let key = key(&format!("f{thread}-{round}"));
                    let bytes = content(1000 * thread + round);
                    let size = bytes.len() as u64;
                    let mut source = std::io::Cursor::new(&bytes);
                    client.upload(&key, &mut source, size, &mut |_| ()).unwrap();
                    let mut read = Vec::new();
                    let mut download = client.download(&key).unwrap();
                    std::io::Read::read_to_end(&mut download, &mut read).unwrap();
                    assert_eq!(read, bytes);
                    client.delete(&key).unwrap();
                }
            });
        }
    });
    assert_eq!(memory.n_stored(), 80);
    assert_eq!(memory.files.lock().unwrap().len(), 1);
    assert!(one.fake.n_connections() <= 16, "connections are shared");
}
