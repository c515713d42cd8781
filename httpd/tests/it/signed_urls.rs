//! Signed URLs, and files that need them.

use std::time::{SystemTime, UNIX_EPOCH};

use proto::shared_key::KeyRing;
use proto::url_signature::Grant;
use tempfile::TempDir;

use super::support::{Front, Storage, key_file};

const OLD: &str = "an-old-key-of-urls";
const NEW: &str = "the-new-key-of-urls";
const FILE: &str = "/files/tnvideo/tnv001/x";

/// An httpd whose files are protected as named.
struct Signing {
    front: Front,
    _folder: TempDir,
}

impl Signing {
    fn protecting(protect: &str) -> Signing {
        let (_folder, file) = key_file(&format!("{NEW}\n{OLD}\n"));
        let storage = Storage {
            files: [("x", b"content".to_vec())].into(),
            ..Storage::default()
        };
        let front = Front::configured(None, vec![storage], |settings| {
            settings.url_key_file = Some(file.clone());
            settings.protect = serde_json::from_value(serde_json::json!([protect])).unwrap();
        });
        Signing { front, _folder }
    }

    fn assert_refused(&self, path: &str, reason: &str) {
        let answer = self.front.get(path, &[]);
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(
            answer.text().trim_end(),
            format!("signature {reason}"),
            "{path}"
        );
        assert_eq!(answer.field("cache-control"), Some("no-store"));
    }

    fn assert_served(&self, path: &str) {
        let answer = self.front.get(path, &[]);
        assert_eq!(
            (answer.status, &answer.body[..]),
            (200, &b"content"[..]),
            "{path}"
        );
    }
}

fn in_an_hour() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() + 3600
}

fn sign(key: &str, grant: &Grant, path: &str) -> String {
    let ring = KeyRing::parse(key).unwrap();
    grant.sign(ring.signing(), path).unwrap()
}

#[test]
fn a_protected_file_is_served_with_a_signature_only() {
    let signing = Signing::protecting("tnvideo/tnv001");
    for path in [
        FILE,
        "/files/x",
        "/files/x/film.mp4",
        "/files/tnvideo/tnv001/x/film.mp4",
    ] {
        signing.assert_refused(path, "missing");
        signing.assert_served(&sign(NEW, &Grant::read(in_an_hour()), path));
    }
    let url = sign(OLD, &Grant::read(in_an_hour()), FILE);
    signing.assert_served(&url);
    let range = signing.front.get(&url, &[("Range", "bytes=1-2")]);
    assert_eq!((range.status, &range.body[..]), (206, &b"on"[..]));
    assert_eq!(signing.front.connect().ask("HEAD", &url, &[]).status, 200);
    signing.assert_refused(&sign(NEW, &Grant::read(1), FILE), "expired");
    signing.assert_refused(
        &sign("another-key-of-urls", &Grant::read(in_an_hour()), FILE),
        "wrong",
    );
    signing.assert_refused(&url.replace("/x", "/y"), "wrong");
    signing.assert_refused("/s/1.x/files/x", "wrong");
}

#[test]
fn a_signature_is_for_its_client_its_method_and_its_folder() {
    let signing = Signing::protecting("*");
    let grant = |client: Option<&str>, folder_depth, method: &str| Grant {
        client: client.map(|ip| ip.parse().unwrap()),
        folder_depth,
        method: method.to_owned(),
        ..Grant::read(in_an_hour())
    };
    signing.assert_served(&sign(NEW, &grant(Some("127.0.0.1"), None, "GET"), FILE));
    signing.assert_refused(
        &sign(NEW, &grant(Some("127.0.0.2"), None, "GET"), FILE),
        "wrong",
    );
    signing.assert_refused(&sign(NEW, &grant(None, None, "PUT"), FILE), "wrong");
    let folder = sign(NEW, &grant(None, Some(3), "GET"), "/files/tnvideo/tnv001/");
    signing.assert_served(&format!("{folder}x"));
    let of_another_user = sign(NEW, &grant(None, Some(3), "GET"), "/files/tnvideo/tnv002/");
    signing.assert_refused(
        &format!("{of_another_user}x").replace("tnv002", "tnv001"),
        "wrong",
    );
}

#[test]
fn files_without_protection_need_no_signature_and_a_wrong_one_is_refused() {
    let signing = Signing::protecting("tnvideo/bob");
    signing.assert_served(FILE);
    signing.assert_served(&sign(NEW, &Grant::read(in_an_hour()), FILE));
    signing.assert_refused(&sign(NEW, &Grant::read(1), FILE), "expired");
}
