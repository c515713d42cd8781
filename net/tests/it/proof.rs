//! The proof of a key at the start of a connection.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::units::Period;
use net::access_control::{AccessControl, AccessSettings};
use net::wire::Wire;
use net::{Server, ServerConfig};
use proto::peer_proof::ClientProof;
use proto::shared_key::KeyRing;
use proto::storage::StorageRequest;
use proto::{ErrorCode, HEAD_LEN, Head, ServerKind};

use super::support::*;

const KEY: &str = "key-of-the-nodes-1";

/// A server with the key of the nodes and one of the application `other`.
fn with_key() -> Server {
    with_key_and(&config())
}

fn with_key_and(config: &ServerConfig) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    fs::write(&file, format!("{KEY}\nother {KEY}-of-other\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let settings = AccessSettings {
        cluster_key_file: Some(file),
        ..AccessSettings::default()
    };
    let access = AccessControl::new(ServerKind::Storage, &settings).unwrap();
    let wire = Wire::new(Toy(Probe::new()), "toy", Arc::new(()));
    let wire = wire.allowing(Arc::new(access));
    Server::start("toy", ([127, 0, 0, 1], 0).into(), config, wire).unwrap()
}

/// Sends AUTHENTICATE, takes the reply and sends PROVE and a request at once.
fn prove_and_ask(stream: &mut TcpStream, secret: &str) {
    assert!(is_proved(stream, secret));
}

/// The same; false if the server is at its limit of connections.
fn is_proved(stream: &mut TcpStream, secret: &str) -> bool {
    let ring = KeyRing::parse(secret).unwrap();
    let address = stream.peer_addr().unwrap();
    let proof = ClientProof::begin(ServerKind::Storage, ring.signing(), address, [7; 16]);
    stream.write_all(&proof.authenticate()).unwrap();
    let (head, body) = receive(stream);
    if !head.is_ok() {
        return false;
    }
    let mut frames = proof.prove(&body).unwrap().expect("the server has the key");
    frames.extend(StorageRequest::FileSize(key("f")).encode());
    stream.write_all(&frames).unwrap();
    true
}

#[test]
fn a_connection_is_served_after_its_proof() {
    let server = with_key();
    let mut stream = connect(server.addr());
    prove_and_ask(&mut stream, KEY);
    assert_eq!(number(&mut stream), 1);
    assert_eq!(ask_size(&mut stream), 2);
    server.shutdown();
}

#[test]
fn a_connection_without_a_proof_is_told_what_is_missing() {
    let server = with_key();
    let mut stream = connect(server.addr());
    for _ in 0..2 {
        let request = StorageRequest::FileSize(key("f")).encode();
        stream.write_all(&request).unwrap();
        let fault = fault(&mut stream);
        assert_eq!(fault.code, ErrorCode::Forbidden);
        assert!(fault.message.contains("legacy_hosts"), "{fault}");
    }
    // It may still prove the key.
    prove_and_ask(&mut stream, KEY);
    assert_eq!(number(&mut stream), 1);
    server.shutdown();
}

#[test]
fn a_key_of_an_application_does_not_open_another_one() {
    let server = with_key();
    let mut stream = connect(server.addr());
    prove_and_ask(&mut stream, &format!("{KEY}-of-other"));
    let fault = fault(&mut stream);
    assert_eq!(fault.code, ErrorCode::Forbidden);
    assert!(fault.message.contains("other") && fault.message.contains("app"));
    server.shutdown();
}

#[test]
fn a_wrong_proof_closes_the_connection() {
    let server = with_key();
    let prove = |body: &[u8]| {
        let head = Head {
            body_len: body.len() as i64,
            command: ServerKind::Storage.prove(),
            status: 0,
        };
        [&head.encode()[..], body].concat()
    };
    for bytes in [prove(&[0; 32]), prove(&[0; 31]), prove(&[])] {
        let mut stream = connect(server.addr());
        stream.write_all(&bytes).unwrap();
        assert!(!fault(&mut stream).message.is_empty());
        assert_closed(&mut stream);
    }
    let mut stream = connect(server.addr());
    let ring = KeyRing::parse(KEY).unwrap();
    let address = stream.peer_addr().unwrap();
    let proof = ClientProof::begin(ServerKind::Storage, ring.signing(), address, [7; 16]);
    let mut frame = proof.authenticate();
    frame[HEAD_LEN + 16] ^= 1;
    stream.write_all(&frame).unwrap();
    assert_eq!(fault(&mut stream).code, ErrorCode::Forbidden);
    server.shutdown();
}

/// A connection from this address that has proved the key.
fn prove_from(ip: [u8; 4], server: &Server) -> TcpStream {
    let mut stream = connect_from(ip, server.addr());
    prove_and_ask(&mut stream, KEY);
    assert_eq!(number(&mut stream), 1);
    stream
}

fn authenticate(stream: &mut TcpStream) {
    let ring = KeyRing::parse(KEY).unwrap();
    let address = stream.peer_addr().unwrap();
    let proof = ClientProof::begin(ServerKind::Storage, ring.signing(), address, [7; 16]);
    stream.write_all(&proof.authenticate()).unwrap();
    assert!(receive(stream).0.is_ok());
}

#[test]
fn a_connection_that_proves_no_key_ends_at_a_deadline() {
    let timeout = Duration::from_millis(1500);
    let server = with_key_and(&ServerConfig {
        head_timeout: Period::from_millis(1500),
        ..config()
    });
    let mut proved = prove_from([127, 0, 0, 1], &server);
    let began = Instant::now();
    let mut silent = connect(server.addr());
    let mut half = connect(server.addr());
    authenticate(&mut half);
    let mut refused = connect(server.addr());
    let request = StorageRequest::FileSize(key("f")).encode();
    refused.write_all(&request).unwrap();
    assert_eq!(fault(&mut refused).code, ErrorCode::Forbidden);
    // Its content is read and discarded, and never comes.
    let mut upload = connect(server.addr());
    upload.write_all(&super::support::upload("f", 100)).unwrap();
    for stream in [&mut silent, &mut half, &mut refused, &mut upload] {
        assert_closed(stream);
    }
    assert!(began.elapsed() >= timeout, "{:?}", began.elapsed());
    assert_eq!(ask_size(&mut proved), 2);
    server.shutdown();
}

#[test]
fn a_stranger_that_asks_all_the_time_ends_at_the_deadline() {
    let server = with_key_and(&ServerConfig {
        head_timeout: Period::from_millis(300),
        ..config()
    });
    let mut stream = connect(server.addr());
    let request = StorageRequest::FileSize(key("f")).encode();
    let began = Instant::now();
    let mut head = [0; HEAD_LEN];
    while stream.write_all(&request).is_ok() && stream.read_exact(&mut head).is_ok() {
        let mut body = vec![0; Head::decode(&head).body_len as usize];
        if stream.read_exact(&mut body).is_err() {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    server.shutdown();
}

#[test]
fn strangers_make_room_before_connections_that_have_proved_a_key() {
    let server = with_key_and(&ServerConfig {
        connections_max: 6,
        ..config()
    });
    let mut proved: Vec<_> = (0..4)
        .map(|_| prove_from([127, 0, 0, 2], &server))
        .collect();
    // Each from an address of its own, so the address with the most connections is not theirs.
    let strangers = (10..50).map(|host| connect_from([127, 0, 0, host], server.addr()));
    let _strangers: Vec<_> = strangers.collect();
    for stream in &mut proved {
        assert_eq!(ask_size(stream), 2);
    }
    // The server pauses between two searches for connections to close.
    wait_until(|| {
        let mut another = connect_from([127, 0, 0, 3], server.addr());
        is_proved(&mut another, KEY) && number(&mut another) == 1
    });
    for stream in &mut proved {
        assert_eq!(ask_size(stream), 3);
    }
    server.shutdown();
}
