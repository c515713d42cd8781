//! The proof of a key at the start of a connection, with servers that prove it, cannot, or lie.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use client::{
    Client, ClientConfig, Connection, ConnectionConfig, Error, ErrorKind, KeyRing, Network,
    PeerKeys,
};
use proto::peer_proof::{Authenticate, PROVE_LEN, ServerProof};
use proto::tracker::{REPLY, TrackerRequest};
use proto::{Address, ErrorCode, Fault, HEAD_LEN, Head, ServerKind, group_list};

const KEY: &str = "key-of-the-nodes-1";

/// A server that answers AUTHENTICATE and then GROUPS with an empty list.
#[derive(Clone, Copy)]
enum Server {
    /// It has this key.
    Keyed(&'static str),
    /// A server of this system without a key.
    Keyless,
    /// It closes the connection after a command that it does not know.
    Cpp,
}

/// Starts it; it ends with its `n_connections`th connection.
fn start(server: Server, n_connections: usize) -> (Address, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().into();
    let serving = thread::spawn(move || {
        for stream in listener.incoming().take(n_connections) {
            serve(server, &mut stream.unwrap());
        }
    });
    (address, serving)
}

fn serve(server: Server, stream: &mut TcpStream) {
    let mut begun: Option<ServerProof> = None;
    while let Some((head, body)) = receive(stream) {
        let reply = match (server, head.command) {
            (Server::Keyed(key), 21) => {
                let ring = KeyRing::parse(key).unwrap();
                let request = Authenticate::decode(&body).unwrap();
                let proof =
                    ServerProof::begin(ServerKind::Tracker, &request, ring.signing(), [9; 16]);
                let reply = proof.reply();
                begun = Some(proof);
                reply
            }
            (Server::Keyed(_), 22) => {
                assert_eq!(body.len(), PROVE_LEN);
                assert!(begun.take().unwrap().verify(&body).is_some());
                continue;
            }
            (Server::Keyless, 21) => {
                let fault = Fault::new(ErrorCode::Forbidden, "no cluster_key_file is set here");
                stream.write_all(&fault.encode(REPLY, "t")).unwrap();
                continue;
            }
            (Server::Cpp, 21) => return,
            (_, 13) => group_list::encode(&[]),
            (_, command) => panic!("command {command}"),
        };
        let head = Head::reply(REPLY, reply.len() as u64).encode();
        stream.write_all(&[&head[..], &reply].concat()).unwrap();
    }
}

fn receive(stream: &mut TcpStream) -> Option<(Head, Vec<u8>)> {
    let mut head = [0; HEAD_LEN];
    stream.read_exact(&mut head).ok()?;
    let head = Head::decode(&head);
    let mut body = vec![0; head.body_len as usize];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn config(key: &str, legacy: &[&str]) -> ConnectionConfig {
    let legacy: Vec<Network> = legacy.iter().map(|text| text.parse().unwrap()).collect();
    let keys = PeerKeys::new(KeyRing::parse(key).unwrap(), legacy);
    ConnectionConfig {
        keys: Some(Arc::new(keys)),
        ..ConnectionConfig::default()
    }
}

fn ask(connection: &mut Connection) -> Result<Vec<u8>, Error> {
    connection.call(&TrackerRequest::Groups.encode(), REPLY, 100)
}

#[test]
fn a_server_with_the_key_is_asked_after_one_proof() {
    let (address, serving) = start(Server::Keyed(KEY), 1);
    let mut connection = Connection::connect(&address, &config(KEY, &[])).unwrap();
    for _ in 0..2 {
        assert_eq!(ask(&mut connection).unwrap(), group_list::encode(&[]));
    }
    drop(connection);
    serving.join().unwrap();
}

#[test]
fn a_server_without_the_key_gets_no_request() {
    for server in [Server::Keyed("another-key-00001"), Server::Cpp] {
        let (address, serving) = start(server, 1);
        let mut connection = Connection::connect(&address, &config(KEY, &[])).unwrap();
        let error = ask(&mut connection).unwrap_err();
        assert!(matches!(error, Error::Untrusted { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Forbidden);
        assert!(!connection.is_usable());
        drop(connection);
        serving.join().unwrap();
    }
    let (address, serving) = start(Server::Keyless, 1);
    let mut connection = Connection::connect(&address, &config(KEY, &[])).unwrap();
    let error = ask(&mut connection).unwrap_err();
    assert!(
        error.chain().contains("cluster_key_file"),
        "{}",
        error.chain()
    );
    drop(connection);
    serving.join().unwrap();
}

#[test]
fn a_legacy_server_needs_no_proof() {
    let (address, serving) = start(Server::Keyless, 1);
    let mut connection = Connection::connect(&address, &config(KEY, &["127.0.0.0/8"])).unwrap();
    assert_eq!(ask(&mut connection).unwrap(), group_list::encode(&[]));
    drop(connection);
    serving.join().unwrap();
}

#[test]
fn a_cpp_server_is_asked_for_a_proof_once() {
    // Two connections for the proof, which it closes, one for the request; then one for each.
    let (address, serving) = start(Server::Cpp, 4);
    let config = config(KEY, &["127.0.0.1"]);
    for _ in 0..2 {
        let mut connection = Connection::connect(&address, &config).unwrap();
        assert_eq!(ask(&mut connection).unwrap(), group_list::encode(&[]));
    }
    serving.join().unwrap();
}

#[test]
fn a_legacy_server_with_a_wrong_proof_is_not_trusted() {
    let (address, serving) = start(Server::Keyed("another-key-00001"), 1);
    let mut connection = Connection::connect(&address, &config(KEY, &["127.0.0.1"])).unwrap();
    let error = ask(&mut connection).unwrap_err();
    assert!(matches!(error, Error::Untrusted { .. }), "{error}");
    drop(connection);
    serving.join().unwrap();
}

/// A tracker refuses CLUSTER to an application.
#[test]
fn an_application_asks_for_the_list_of_groups() {
    const KEY_OF_APP: &str = "video key-of-the-app-001";
    let (address, serving) = start(Server::Keyed(KEY_OF_APP), 1);
    let mut settings = ClientConfig::new(vec![address]);
    settings.connection = config(KEY_OF_APP, &[]);
    let client = Client::new(settings);
    assert!(client.cluster().unwrap().groups.is_empty());
    drop(client);
    serving.join().unwrap();
}
