//! Cache-Control on each kind of response, and responses that a browser saves as a file.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use proto::shared_key::KeyRing;
use proto::url_signature::Grant;
use serde_json::json;

use super::support::{Front, MP4, Storage, key_file};

const MADE: &str = "65f0a1b2000001a1b2c3d4e5f60718000142";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const KEY: &str = "a-key-of-signed-urls";

fn front(change: impl FnOnce(&mut httpd::Config)) -> Front {
    let files = [MADE, "film.mp4"].map(|id| (id, MP4.to_vec()));
    let storage = Storage {
        files: HashMap::from(files),
        ..Storage::default()
    };
    Front::configured(None, vec![storage], change)
}

fn cache_control(front: &Front, path: &str, fields: &[(&str, &str)]) -> (u16, Option<String>) {
    let answer = front.get(path, fields);
    (
        answer.status,
        answer.field("cache-control").map(str::to_owned),
    )
}

#[test]
fn every_answer_tells_caches_how_long_it_lasts() {
    let front = front(|_| ());
    let made = format!("/files/{MADE}");
    let tag = front.get(&made, &[]).field("etag").unwrap().to_owned();
    let named = format!("{made}/film.mp4");
    for (path, value) in [
        (made.as_str(), IMMUTABLE),
        (named.as_str(), IMMUTABLE),
        ("/files/film.mp4", "no-cache"),
    ] {
        for (status, field) in [
            (200, ("Accept", "*/*")),
            (206, ("Range", "bytes=1-3")),
            (206, ("Range", "bytes=1-3,7-8")),
            (304, ("If-None-Match", tag.as_str())),
            (400, ("Host", "twice")),
            (412, ("If-Match", "\"other\"")),
            (416, ("Range", "bytes=999-")),
        ] {
            let expected = if status < 400 { value } else { "no-store" };
            let found = cache_control(&front, path, &[field]);
            assert_eq!(
                found,
                (status, Some(expected.to_owned())),
                "{path} {field:?}"
            );
        }
    }
    for path in [
        "/",
        "/files/y",
        "/files/65f0a1b2000001a1b2c3d4e5f60718000143",
    ] {
        let expected = (404, Some("no-store".to_owned()));
        assert_eq!(cache_control(&front, path, &[]), expected, "{path}");
    }
}

#[test]
fn settings_choose_the_values() {
    let front = front(|settings| {
        let values = json!({ "made_ids": "public, max-age=60", "names": "" });
        settings.cache_control = serde_json::from_value(values).unwrap();
    });
    let made = format!("/files/{MADE}");
    let expected = (200, Some("public, max-age=60".to_owned()));
    assert_eq!(cache_control(&front, &made, &[]), expected);
    assert_eq!(cache_control(&front, "/files/film.mp4", &[]), (200, None));
}

/// Seconds since the epoch.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

#[test]
fn shared_caches_keep_no_signed_url_and_browsers_none_beyond_its_end() {
    let (_folder, file) = key_file(KEY);
    let front = front(|settings| {
        settings.url_key_file = Some(file);
        settings.protect = serde_json::from_value(json!(["tnvideo"])).unwrap();
    });
    let sign = |path: &str, seconds: u64| {
        let ring = KeyRing::parse(KEY).unwrap();
        let grant = Grant::read(now() + seconds);
        grant.sign(ring.signing(), path).unwrap()
    };
    let made = format!("/files/{MADE}");
    let url = sign(&made, 600);
    let tag = front.get(&url, &[]).field("etag").unwrap().to_owned();
    for field in [
        ("Accept", "*/*"),
        ("Range", "bytes=1-3"),
        ("If-None-Match", tag.as_str()),
    ] {
        let (status, value) = cache_control(&front, &url, &[field]);
        let value = value.unwrap();
        let seconds = value.strip_prefix("private, max-age=").unwrap();
        let seconds = seconds.strip_suffix(", immutable").unwrap();
        let seconds: u64 = seconds.parse().unwrap();
        assert!((500..=600).contains(&seconds), "{status} {value}");
    }
    let far = cache_control(&front, &sign(&made, 1 << 40), &[]);
    let expected = "private, max-age=31536000, immutable".to_owned();
    assert_eq!(far, (200, Some(expected)));
    let named = cache_control(&front, &sign("/files/film.mp4", 600), &[]);
    assert_eq!(named, (200, Some("private, no-cache".to_owned())));
    let missing = cache_control(&front, &made, &[]);
    assert_eq!(missing, (403, Some("no-store".to_owned())));
}

#[test]
fn a_query_makes_an_attachment_with_a_name() {
    let front = front(|_| ());
    let made = format!("/files/{MADE}");
    let named = "attachment; filename=\"Der Film.mp4\"; filename*=UTF-8''Der%20Film.mp4";
    for (path, disposition) in [
        (made.clone(), None),
        (format!("{made}?t=1"), None),
        (format!("{made}?download=1"), Some("attachment")),
        (format!("{made}/Der%20Film.mp4?download"), Some(named)),
        (format!("{made}/Der%20Film.mp4?download=1"), Some(named)),
        (format!("{made}?download=Der+Film.mp4"), Some(named)),
        (format!("{made}/a.mp4?download=Der%20Film.mp4"), Some(named)),
    ] {
        let answer = front.get(&path, &[]);
        assert_eq!((answer.status, &answer.body[..]), (200, MP4), "{path}");
        assert_eq!(answer.field("content-disposition"), disposition, "{path}");
        assert_eq!(answer.field("content-type"), Some("video/mp4"), "{path}");
    }
    // The same rule as for a name in the path.
    let other = front.get(&format!("{made}?download=a.vtt"), &[]);
    assert_eq!(other.status, 404);
}
