//! Each kind of response lets pages of the listed origins read it, and no others.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};

use base::units::Period;
use serde_json::json;
use test_support::http::Answer;
use test_support::until;

use super::support::{Front, MP4, Storage, key_file};

const PAGE: &str = "https://video.example";
const EXPOSED: &str = "Content-Length, Content-Range, Accept-Ranges, ETag";

/// An httpd for these origins. `z` is protected.
struct Shared {
    front: Front,
    _folder: tempfile::TempDir,
}

impl Shared {
    fn with(origins: &[&str]) -> Shared {
        let (_folder, keys) = key_file("a-key-of-signed-urls");
        let storage = Storage {
            files: HashMap::from([("x", MP4.to_vec()), ("z", MP4.to_vec())]),
            ..Storage::default()
        };
        let front = Front::configured(None, vec![storage], |settings| {
            settings.url_key_file = Some(keys);
            settings.protect = serde_json::from_value(json!(["tnvideo/tnv001/z"])).unwrap();
            settings.cors = serde_json::from_value(json!({ "origins": origins })).unwrap();
        });
        Shared { front, _folder }
    }

    /// An answer of each kind, by its status.
    fn answers(&self, origin: Option<&str>) -> Vec<(u16, Answer)> {
        let tag = self.front.get("/files/x", &[]);
        let tag = tag.field("etag").unwrap();
        let requests: [(u16, &str, &str, (&str, &str)); 13] = [
            (200, "GET", "/files/x", ("Accept", "*/*")),
            (200, "HEAD", "/files/x", ("Accept", "*/*")),
            (206, "GET", "/files/x", ("Range", "bytes=1-3")),
            (206, "GET", "/files/x", ("Range", "bytes=1-3,7-8")),
            (304, "GET", "/files/x", ("If-None-Match", tag)),
            (400, "GET", "/files/x", ("Host", "twice")),
            (403, "GET", "/files/z", ("Accept", "*/*")),
            (403, "GET", "/s/1.x/files/x", ("Accept", "*/*")),
            (404, "GET", "/files/y", ("Accept", "*/*")),
            (404, "GET", "/nothing", ("Accept", "*/*")),
            (405, "POST", "/files/x", ("Accept", "*/*")),
            (412, "GET", "/files/x", ("If-Match", "\"other\"")),
            (416, "GET", "/files/x", ("Range", "bytes=999-")),
        ];
        let ask = |(status, method, path, field): (u16, &str, &str, (&str, &str))| {
            let mut fields = vec![field];
            fields.extend(origin.map(|origin| ("Origin", origin)));
            let answer = self.front.connect().ask(method, path, &fields);
            assert_eq!(answer.status, status, "{method} {path} {field:?}");
            (status, answer)
        };
        requests.into_iter().map(ask).collect()
    }

    fn preflight(&self, path: &str, origin: Option<&str>) -> Answer {
        let mut fields = vec![
            ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", "range"),
        ];
        fields.extend(origin.map(|origin| ("Origin", origin)));
        self.front.connect().ask("OPTIONS", path, &fields)
    }
}

/// The fields Access-Control-Allow-Origin, Access-Control-Expose-Headers and Vary.
fn cors_fields(answer: &Answer) -> [Option<&str>; 3] {
    let names = [
        "access-control-allow-origin",
        "access-control-expose-headers",
        "vary",
    ];
    names.map(|name| answer.field(name))
}

#[test]
fn a_listed_origin_may_read_every_answer_and_no_other_may() {
    let shared = Shared::with(&["https://other.example", PAGE]);
    for (status, answer) in shared.answers(Some(PAGE)) {
        let expected = [Some(PAGE), Some(EXPOSED), Some("Origin")];
        assert_eq!(cors_fields(&answer), expected, "{status}");
    }
    for origin in [None, Some("https://evil.example"), Some("null")] {
        for (status, answer) in shared.answers(origin) {
            let expected = [None, None, Some("Origin")];
            assert_eq!(cors_fields(&answer), expected, "{status} {origin:?}");
        }
    }
}

#[test]
fn every_origin_may_read_every_answer() {
    let shared = Shared::with(&["*"]);
    for origin in [None, Some(PAGE)] {
        for (status, answer) in shared.answers(origin) {
            let expected = [Some("*"), Some(EXPOSED), None];
            assert_eq!(cors_fields(&answer), expected, "{status} {origin:?}");
        }
    }
}

#[test]
fn without_origins_no_answer_has_a_field_of_cors() {
    let shared = Shared::with(&[]);
    for (status, answer) in shared.answers(Some(PAGE)) {
        assert_eq!(cors_fields(&answer), [None; 3], "{status}");
    }
    let answer = shared.preflight("/files/x", Some(PAGE));
    assert_eq!((answer.status, cors_fields(&answer)), (405, [None; 3]));
}

#[test]
fn a_page_may_read_that_a_file_is_unavailable() {
    let storage = Storage {
        files: HashMap::from([("x", MP4.to_vec())]),
        ..Storage::default()
    };
    let mut front = Front::configured(None, vec![storage], |settings| {
        settings.cors = serde_json::from_value(json!({ "origins": [PAGE] })).unwrap();
    });
    front.servers.remove(1).shutdown();
    let answer = front.get("/files/x", &[("Origin", PAGE)]);
    assert_eq!(answer.status, 503);
    assert_eq!(
        cors_fields(&answer),
        [Some(PAGE), Some(EXPOSED), Some("Origin")]
    );
    assert_eq!(answer.field("cache-control"), Some("no-store"));
}

/// A storage that says nothing holds the first request of a client behind a proxy.
#[test]
fn a_page_may_read_that_its_client_is_at_a_limit() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = silent.local_addr().unwrap();
    let front = Front::configured(Some(silent), Vec::new(), |config| {
        config.server.connections_per_address = Some(1);
        config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.storage_timeout = Period::from_secs(60);
        config.cors = serde_json::from_value(json!({ "origins": [PAGE] })).unwrap();
    });
    let fields = [("Origin", PAGE), ("X-Forwarded-For", "192.0.2.1")];
    let mut held = front.connect();
    held.send("GET", "/files/x", &fields);
    until("the request to be held", || {
        front.get("/nothing", &fields).status == 429
    });
    let answer = front.get("/files/x", &fields);
    assert_eq!(answer.status, 429);
    let expected = [Some(PAGE), Some(EXPOSED), Some("Origin")];
    assert_eq!(cors_fields(&answer), expected);
    assert_eq!(answer.field("cache-control"), Some("no-store"));
}

#[test]
fn a_preflight_needs_neither_a_file_nor_a_signature() {
    let shared = Shared::with(&[PAGE]);
    for path in [
        "/files/x",
        "/files/y",
        "/files/z",
        "/s/1.x/files/x",
        "/",
        "*",
    ] {
        let answer = shared.preflight(path, Some(PAGE));
        let fields = [
            "access-control-allow-origin",
            "access-control-allow-methods",
            "access-control-allow-headers",
            "access-control-max-age",
            "vary",
            "content-length",
        ];
        let headers = "Range, If-Range, If-Match, If-None-Match, If-Modified-Since, \
                       If-Unmodified-Since";
        let expected = [PAGE, "GET, HEAD", headers, "86400", "Origin", "0"].map(Some);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(fields.map(|name| answer.field(name)), expected, "{path}");
    }
    let answer = shared.preflight("/files/x", Some("https://evil.example"));
    assert_eq!(answer.status, 200);
    assert_eq!(cors_fields(&answer), [None, None, Some("Origin")]);
    assert_eq!(answer.field("access-control-allow-methods"), None);
}

#[test]
fn an_options_request_without_an_origin_is_no_preflight() {
    let shared = Shared::with(&["*"]);
    let answer = shared.preflight("/files/x", None);
    assert_eq!(answer.status, 405);
    let fields = [("Origin", PAGE)];
    let answer = shared.front.connect().ask("OPTIONS", "/files/x", &fields);
    assert_eq!(
        (answer.status, answer.field("allow")),
        (405, Some("GET, HEAD"))
    );
}
