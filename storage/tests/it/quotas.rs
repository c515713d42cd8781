//! Quotas over a real socket.

use base::units::ByteSize;
use proto::{ErrorCode, Fault};
use storage::Quota;
use test_support::until;

use super::support::{Client, Node};

fn quota(bytes: Option<u64>, files: Option<u64>) -> Quota {
    Quota {
        app: "tnvideo".parse().unwrap(),
        user: Some("tnv001".parse().unwrap()),
        bytes: bytes.map(ByteSize::new),
        files,
    }
}

/// The refusal of another file. Files are counted in the background: until then they are accepted.
fn refusal_of_another(client: &mut Client) -> Fault {
    let mut refusal = None;
    until("a file is refused", || {
        refusal = client.upload("another", b"content").err();
        if refusal.is_none() {
            client.delete("another").unwrap();
        }
        refusal.is_some()
    });
    refusal.unwrap()
}

#[test]
fn a_file_beyond_the_quota_is_refused_and_one_within_is_stored() {
    for (quota, expected) in [
        (quota(None, Some(2)), "is 2 files, and 2 are stored"),
        (
            quota(Some(20), None),
            "is 20 bytes, 14 are used, and the file has 7",
        ),
    ] {
        let node = Node::start_with(|config| config.quotas = vec![quota]);
        let mut client = node.client();
        for file in ["a", "b"] {
            client.upload(file, b"content").unwrap();
        }
        let refusal = refusal_of_another(&mut client);
        assert_eq!(refusal.code, ErrorCode::NoSpace);
        assert!(refusal.message.contains("user tnv001"), "{refusal}");
        assert!(refusal.message.contains(expected), "{refusal}");
        assert_eq!(node.files().len(), 2);
        client.delete("a").unwrap();
        client.upload("another", b"content").unwrap();
        client.upload("more", b"content").unwrap_err();
    }
}

#[test]
fn files_of_an_earlier_run_and_of_other_storages_count() {
    let mut node = Node::start_with(|config| config.quotas = vec![quota(None, Some(2))]);
    node.client().upload("a", b"content").unwrap();
    node.restart();
    node.peer().client().upload("b", b"content").unwrap();
    let refusal = refusal_of_another(&mut node.client());
    assert!(refusal.message.contains("2 are stored"), "{refusal}");
}
