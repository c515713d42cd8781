use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use proto::HEAD_LEN;
use proto::peer_proof::ClientProof;

use super::*;

const NODE: &str = "key-of-the-nodes-1";
const APP: &str = "key-of-the-app-001";

struct Server {
    access: AccessControl,
    settings: AccessSettings,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Server {
    fn new(kind: ServerKind, keys: &str, change: impl FnOnce(&mut AccessSettings)) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        write(&file, keys);
        let mut settings = AccessSettings {
            cluster_key_file: Some(file.clone()),
            ..AccessSettings::default()
        };
        change(&mut settings);
        Server {
            access: AccessControl::new(kind, &settings).unwrap(),
            settings,
            file,
            _folder: folder,
        }
    }

    /// The proof of a client with this key.
    fn proof(&self, key: &str) -> Result<Proof, Fault> {
        let ring = KeyRing::parse(key).unwrap();
        let client = ClientProof::begin(self.access.server, ring.signing(), LOCAL, [1; 16]);
        let request = Authenticate::decode(&client.authenticate()[HEAD_LEN..]).unwrap();
        let mut proof = Proof::default();
        let reply = self.access.authenticate(&mut proof, &request, ends(PEER))?;
        let prove = client
            .prove(&reply)
            .unwrap()
            .expect("a server with the key");
        self.access
            .prove(&mut proof, &prove[HEAD_LEN..], ends(PEER))?;
        Ok(proof)
    }

    fn serves(&self, proof: &Proof, permission: Permission<'_>, peer: &str) -> bool {
        let check = |permission| self.access.check_request(proof, permission, ends(peer));
        if matches!(proof, Proof::None) {
            let is_refused = check(Permission::AnyKey).is_err();
            assert_eq!(
                self.access.refuses_unproved(ends(peer)),
                is_refused,
                "{peer}"
            );
        }
        let checked = check(permission);
        if let Err(fault) = &checked {
            assert_eq!(fault.code, ErrorCode::Forbidden);
        }
        checked.is_ok()
    }
}

const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 23000);
const PEER: &str = "10.0.0.2";

fn ends(peer: &str) -> Ends {
    Ends {
        peer: SocketAddr::new(peer.parse().unwrap(), 40000),
        local: LOCAL,
    }
}

fn write(file: &std::path::Path, keys: &str) {
    fs::write(file, keys).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn networks(list: &[&str]) -> Vec<Network> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn with_a_key_nobody_is_served_without_a_proof() {
    let server = Server::new(ServerKind::Storage, &format!("{NODE}\nvideo {APP}"), |_| {});
    let (video, other) = ("video".parse().unwrap(), "other".parse().unwrap());
    for peer in [PEER, "127.0.0.1"] {
        assert!(!server.serves(&Proof::None, Permission::AnyKey, peer));
    }
    let node = server.proof(NODE).unwrap();
    for permission in [
        Permission::Node,
        Permission::App(&other),
        Permission::AnyKey,
    ] {
        assert!(server.serves(&node, permission, PEER));
    }
    let app = server.proof(APP).unwrap();
    assert!(server.serves(&app, Permission::App(&video), PEER));
    assert!(server.serves(&app, Permission::AnyKey, PEER));
    assert!(!server.serves(&app, Permission::App(&other), PEER));
    assert!(!server.serves(&app, Permission::Node, PEER));
    assert!(server.proof("another-key-0001").is_err());
}

#[test]
fn without_a_key_and_a_list_this_machine_alone_is_served() {
    let open = |change: fn(&mut AccessSettings)| {
        Server::new(ServerKind::Storage, NODE, |settings| {
            settings.cluster_key_file = None;
            change(settings);
        })
    };
    let server = open(|_| {});
    assert!(server.serves(&Proof::None, Permission::Node, "127.0.0.1"));
    assert!(server.serves(&Proof::None, Permission::Node, "::ffff:127.0.0.1"));
    assert!(server.serves(&Proof::None, Permission::Node, "10.0.0.1"));
    let refused = server
        .access
        .check_request(&Proof::None, Permission::Node, ends(PEER));
    let message = refused.unwrap_err().message;
    for setting in ["cluster_key_file", "allow_hosts"] {
        assert!(message.contains(setting), "{message}");
    }
    let told = server.proof(NODE).unwrap_err();
    assert!(told.message.contains("cluster_key_file"), "{told}");
    let server = open(|settings| settings.allow_hosts = Some(networks(&["10.0.0.0/24"])));
    assert!(server.serves(&Proof::None, Permission::Node, PEER));
    assert!(!server.serves(&Proof::None, Permission::Node, "10.0.1.2"));
    let allow = |settings: &mut AccessSettings| {
        settings.cluster_key_file = None;
        settings.allow_hosts = Some(networks(&["10.0.0.3"]));
    };
    let server = Server::new(ServerKind::Tracker, NODE, allow);
    assert!(server.serves(&Proof::None, Permission::AnyKey, PEER));
    let server = open(|settings| settings.legacy_hosts = networks(&["10.0.0.2"]));
    assert!(server.serves(&Proof::None, Permission::Node, PEER));
    assert!(!server.serves(&Proof::None, Permission::Node, "10.0.0.3"));
}

#[test]
fn allow_hosts_of_a_tracker_are_for_storages() {
    let allow = |settings: &mut AccessSettings| {
        settings.allow_hosts = Some(networks(&["10.0.0.3"]));
    };
    let app = "video".parse().unwrap();
    for (kind, is_served) in [(ServerKind::Tracker, true), (ServerKind::Storage, false)] {
        let server = Server::new(kind, NODE, allow);
        let proof = server.proof(NODE).unwrap();
        let permission = Permission::App(&app);
        assert_eq!(server.serves(&proof, permission, PEER), is_served);
        assert!(!server.serves(&proof, Permission::Node, PEER));
        assert!(server.serves(&proof, Permission::Node, "10.0.0.3"));
    }
}

#[test]
fn legacy_hosts_need_no_proof() {
    let server = Server::new(ServerKind::Idserver, NODE, |settings| {
        settings.legacy_hosts = networks(&["10.0.0.2"]);
    });
    assert!(server.serves(&Proof::None, Permission::Node, PEER));
    assert!(!server.serves(&Proof::None, Permission::Node, "10.0.0.3"));
}

#[test]
fn a_proof_for_another_server_is_refused() {
    let server = Server::new(ServerKind::Storage, NODE, |settings| {
        settings.known_as = vec!["203.0.113.7:4000".parse().unwrap()];
    });
    let ring = KeyRing::parse(NODE).unwrap();
    let at = |address: &str| {
        let address = address.parse().unwrap();
        let client = ClientProof::begin(ServerKind::Storage, ring.signing(), address, [1; 16]);
        let request = Authenticate::decode(&client.authenticate()[HEAD_LEN..]).unwrap();
        let mut proof = Proof::default();
        server.access.authenticate(&mut proof, &request, ends(PEER))
    };
    assert!(at("10.0.0.1:23000").is_ok() && at("203.0.113.7:4000").is_ok());
    let fault = at("10.0.0.9:23000").unwrap_err();
    assert!(fault.message.contains("known_as"), "{fault}");
}

#[test]
fn a_proof_is_taken_once_and_only_after_its_beginning() {
    let server = Server::new(ServerKind::Storage, NODE, |_| {});
    let mut proof = Proof::default();
    assert!(
        server
            .access
            .prove(&mut proof, &[0; 32], ends(PEER))
            .is_err()
    );
    let ring = KeyRing::parse(NODE).unwrap();
    let client = ClientProof::begin(ServerKind::Storage, ring.signing(), LOCAL, [1; 16]);
    let request = Authenticate::decode(&client.authenticate()[HEAD_LEN..]).unwrap();
    let reply = server.access.authenticate(&mut proof, &request, ends(PEER));
    let prove = client.prove(&reply.unwrap()).unwrap().unwrap();
    assert!(
        server
            .access
            .prove(&mut proof, &[0; 32], ends(PEER))
            .is_err()
    );
    assert!(
        server
            .access
            .prove(&mut proof, &prove[HEAD_LEN..], ends(PEER))
            .is_err()
    );
    assert!(!server.serves(&proof, Permission::AnyKey, PEER));
}

#[test]
fn keys_change_without_a_stop() {
    let server = Server::new(ServerKind::Storage, NODE, |_| {});
    let old = server.proof(NODE).unwrap();
    write(&server.file, &format!("{APP}\n{NODE}"));
    server.access.reload(&server.settings).unwrap();
    let new = server.proof(APP).unwrap();
    assert!(server.serves(&old, Permission::Node, PEER));
    assert!(server.serves(&new, Permission::Node, PEER));
    write(&server.file, APP);
    server.access.reload(&server.settings).unwrap();
    let refused = server
        .access
        .check_request(&old, Permission::Node, ends(PEER));
    assert!(refused.unwrap_err().message.contains("any more"));
    assert!(server.serves(&new, Permission::Node, PEER));
    // An invalid file changes nothing.
    write(&server.file, "short");
    assert!(server.access.reload(&server.settings).is_err());
    assert!(server.serves(&new, Permission::Node, PEER));
}

#[test]
fn the_first_key_of_a_node_is_one_of_nodes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let settings = AccessSettings {
        cluster_key_file: Some(file.clone()),
        ..AccessSettings::default()
    };
    for (keys, word) in [
        (format!("video {APP}\n{NODE}"), "video"),
        ("short".to_owned(), "line 1"),
        (String::new(), "no key"),
    ] {
        write(&file, &keys);
        let error = AccessControl::new(ServerKind::Tracker, &settings).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
    fs::remove_file(&file).unwrap();
    assert!(AccessControl::new(ServerKind::Tracker, &settings).is_err());
    let nobody = AccessSettings {
        allow_hosts: Some(Vec::new()),
        ..AccessSettings::default()
    };
    assert!(nobody.check().is_err());
}

#[test]
fn the_summary_tells_who_is_served() {
    let settings = |key: bool, allow: Option<&[&str]>, legacy: &[&str]| AccessSettings {
        cluster_key_file: key.then(|| "/etc/tnv/cluster-key".into()),
        allow_hosts: allow.map(networks),
        legacy_hosts: networks(legacy),
        known_as: Vec::new(),
    };
    let allowed: Option<&[&str]> = Some(&["10.0.0.0/8"]);
    for (server, settings, expected) in [
        (
            ServerKind::Storage,
            settings(false, None, &[]),
            &["serves every program on this machine, and no other"][..],
        ),
        (
            ServerKind::Storage,
            settings(true, None, &[]),
            &["serves every program that proves a key, on every host"],
        ),
        (
            ServerKind::Idserver,
            settings(true, allowed, &[]),
            &["serves every program that proves a key on 10.0.0.0/8"],
        ),
        (
            ServerKind::Storage,
            settings(false, allowed, &[]),
            &["serves every program on 10.0.0.0/8"],
        ),
        (
            ServerKind::Tracker,
            settings(false, allowed, &[]),
            &["serves every program: storages on 10.0.0.0/8 only, clients on every host"],
        ),
        (
            ServerKind::Storage,
            settings(true, None, &["10.0.0.9"]),
            &[
                "serves every program that proves a key, on every host",
                "serves every program without a key on 10.0.0.9 (legacy_hosts)",
            ],
        ),
    ] {
        assert_eq!(settings.summary(server), expected);
    }
}
