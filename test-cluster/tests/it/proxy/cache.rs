//! nginx with the recipe of docs/web.md: a cache of pieces.

use std::fs;
use std::path::Path;
use std::process::Output;

use bench::Content;
use test_cluster::{APP, USER};
use test_support::http::Answer;
use test_support::process::OwnedProcess;

use super::{HttpdSettings, Proxied, Recipe, nginx};

const CLIENT: &str = "127.0.0.5";
/// Bytes of a piece in these tests.
const PIECE: u64 = 64 << 10;
const SITE: &str = "https://a.example";
const OTHER_SITE: &str = "https://b.example";

fn start(recipe: &Recipe) -> OwnedProcess {
    let cache = recipe.folder.join("cache");
    let mut changes = nginx::changes(recipe).to_vec();
    changes.push(("/var/cache/nginx/tnv", cache.display().to_string()));
    changes.push(("slice 4m", "slice 64k".to_owned()));
    nginx::start(recipe, &recipe.text("web.md", "nginx", &changes))
}

/// A cluster behind the cache. The file `secret` is protected.
fn cached() -> Proxied {
    let sections = format!("\n[cors]\norigins = [{SITE:?}, {OTHER_SITE:?}]\n");
    let settings = HttpdSettings {
        protect: &format!("{APP}/{USER}/secret"),
        sections: &sections,
    };
    Proxied::start(1, &settings, start)
}

/// Stores generated content as a file with a made id, or with `id`. Returns its path and its bytes.
fn store(proxied: &Proxied, content: (u64, u64), id: Option<&str>) -> (String, Vec<u8>) {
    let (seed, size) = content;
    let file = proxied
        .fixture
        .local_file("film.mp4", &Content::new(seed, size));
    let bytes = fs::read(&file).unwrap();
    let id = match id {
        None => proxied.fixture.tnv_upload(&file),
        Some(id) => {
            let args = [Path::new("upload"), Path::new("--id"), Path::new(id), &file];
            proxied.fixture.tnv().say(args).unwrap()
        }
    };
    let id = id.replace('/', "%2F");
    (format!("/files/{APP}/{USER}/{id}"), bytes)
}

fn delete(proxied: &Proxied, path: &str) {
    let id = path.rsplit('/').next().unwrap().replace("%2F", "/");
    proxied.fixture.tnv().say(["delete", &id]).unwrap();
}

/// A request through the cache.
fn ask(proxied: &Proxied, path: &str, args: &[&str]) -> Answer {
    parse(&try_ask(proxied, path, args))
}

fn try_ask(proxied: &Proxied, path: &str, args: &[&str]) -> Output {
    let url = match path.starts_with("https:") {
        true => path.to_owned(),
        false => proxied.url(path),
    };
    proxied.try_curl(CLIENT, &[args, &["-i", &url]].concat())
}

fn parse(output: &Output) -> Answer {
    Answer::parse(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn assert_is(answer: &Answer, status: u16, cache: &str, bytes: &[u8]) {
    let found = (answer.status, answer.field("x-cache"));
    assert_eq!(found, (status, Some(cache)), "{:?}", answer.fields);
    assert!(answer.body == bytes, "{} bytes", answer.body.len());
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out nginx")]
fn a_cache_of_pieces_serves_every_byte_and_no_old_one() {
    let proxied = cached();
    check_whole(&proxied);
    check_seek(&proxied);
    check_empty(&proxied);
    check_named(&proxied);
    check_deleted(&proxied);
    check_signed(&proxied);
    check_origins(&proxied);
    check_download(&proxied);
}

fn check_whole(proxied: &Proxied) {
    let (path, bytes) = store(proxied, (50, 5 * PIECE + 7), None);
    assert_is(&ask(proxied, &path, &[]), 200, "MISS", &bytes);
    let whole = ask(proxied, &path, &[]);
    assert_is(&whole, 200, "HIT", &bytes);
    let part = ask(proxied, &path, &["-r", "60000-200000"]);
    assert_is(&part, 206, "HIT", &bytes[60_000..=200_000]);
    let range = format!("bytes 60000-200000/{}", bytes.len());
    assert_eq!(part.field("content-range"), Some(range.as_str()));
    let last = ask(proxied, &path, &["-r", "-10"]);
    assert_is(&last, 206, "HIT", &bytes[bytes.len() - 10..]);
    let head = ask(proxied, &path, &["-I"]);
    let length = bytes.len().to_string();
    assert_is(&head, 200, "HIT", b"");
    assert_eq!(head.field("content-length"), Some(length.as_str()));
    let known = format!("If-None-Match: {}", whole.field("etag").unwrap());
    assert_is(&ask(proxied, &path, &["-H", &known]), 304, "HIT", b"");
}

/// The first request is for a range in the middle.
fn check_seek(proxied: &Proxied) {
    let (path, bytes) = store(proxied, (51, 3 * PIECE), None);
    let range = ["-r", "100000-100009"];
    let middle = &bytes[100_000..100_010];
    assert_is(&ask(proxied, &path, &range), 206, "MISS", middle);
    assert_is(&ask(proxied, &path, &range), 206, "HIT", middle);
    assert_is(&ask(proxied, &path, &[]), 200, "MISS", &bytes);
    let beyond = ask(proxied, &path, &["-r", "999999-"]);
    assert_eq!(beyond.status, 416);
}

fn check_empty(proxied: &Proxied) {
    let (path, bytes) = store(proxied, (52, 0), None);
    assert_is(&ask(proxied, &path, &[]), 200, "MISS", &bytes);
    assert_is(&ask(proxied, &path, &[]), 200, "HIT", &bytes);
    assert_eq!(ask(proxied, &path, &["-r", "0-9"]).body, bytes);
}

/// A file with an id of the application is never kept.
fn check_named(proxied: &Proxied) {
    let id = Some("show/index.m3u8");
    let (path, bytes) = store(proxied, (53, 2 * PIECE + 1), id);
    for _ in 0..2 {
        assert_is(&ask(proxied, &path, &[]), 200, "MISS", &bytes);
    }
    delete(proxied, &path);
    let gone = ask(proxied, &path, &[]);
    assert_is(&gone, 404, "MISS", b"not found\n");
    assert_eq!(gone.field("cache-control"), Some("no-store"));
    let (_, new) = store(proxied, (54, 3 * PIECE), id);
    assert_is(&ask(proxied, &path, &[]), 200, "MISS", &new);
}

/// What is kept outlives the file. Where a piece is missing, the response breaks off.
fn check_deleted(proxied: &Proxied) {
    let (kept, bytes) = store(proxied, (55, 2 * PIECE), None);
    assert_is(&ask(proxied, &kept, &[]), 200, "MISS", &bytes);
    let (partly, start) = store(proxied, (56, 3 * PIECE), None);
    assert_is(
        &ask(proxied, &partly, &["-r", "0-9"]),
        206,
        "MISS",
        &start[..10],
    );
    delete(proxied, &kept);
    delete(proxied, &partly);
    assert_is(&ask(proxied, &kept, &[]), 200, "HIT", &bytes);
    let output = try_ask(proxied, &partly, &[]);
    assert!(!output.status.success(), "a whole response");
    let answer = parse(&output);
    assert!(start.starts_with(&answer.body), "other bytes");
    assert!(answer.body.len() < start.len());
}

/// No response to a signed URL is kept.
fn check_signed(proxied: &Proxied) {
    let (path, bytes) = store(proxied, (57, 2 * PIECE), Some("secret"));
    let refused = ask(proxied, &path, &[]);
    assert_is(&refused, 403, "MISS", b"signature missing\n");
    let url = proxied.sign(&path, &["--for", "1h"]);
    for _ in 0..2 {
        let answer = ask(proxied, &url, &[]);
        assert_eq!((answer.status, answer.field("x-cache")), (200, None));
        assert_eq!(answer.field("cache-control"), Some("private, no-cache"));
        assert!(answer.body == bytes);
    }
    assert_eq!(ask(proxied, &url, &["-r", "7-9"]).body, bytes[7..10]);
}

/// Each origin has its own copy, and so has a request without one.
fn check_origins(proxied: &Proxied) {
    let (path, bytes) = store(proxied, (58, 2 * PIECE), None);
    let fields = [SITE, OTHER_SITE].map(|site| format!("Origin: {site}"));
    for cache in ["MISS", "HIT"] {
        for (field, site) in fields.iter().zip([SITE, OTHER_SITE]) {
            let answer = ask(proxied, &path, &["-H", field]);
            assert_is(&answer, 200, cache, &bytes);
            assert_eq!(answer.field("access-control-allow-origin"), Some(site));
        }
        let answer = ask(proxied, &path, &[]);
        assert_is(&answer, 200, cache, &bytes);
        assert_eq!(answer.field("access-control-allow-origin"), None);
        assert_eq!(answer.field("vary"), Some("Origin"));
    }
    let preflight = [
        "-X",
        "OPTIONS",
        "-H",
        &fields[0],
        "-H",
        "Access-Control-Request-Method: GET",
    ];
    let allowed = ask(proxied, &path, &preflight);
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.field("access-control-allow-origin"), Some(SITE));
}

/// An attachment is not taken for the response without one.
fn check_download(proxied: &Proxied) {
    let (path, bytes) = store(proxied, (59, PIECE + 1), None);
    for (query, name) in [("", None), ("?download=a.mp4", Some("a.mp4"))] {
        for cache in ["MISS", "HIT"] {
            let answer = ask(proxied, &format!("{path}{query}"), &[]);
            assert_is(&answer, 200, cache, &bytes);
            let disposition = answer.field("content-disposition");
            let has_name = |name| disposition.is_some_and(|text| text.contains(name));
            assert_eq!(
                name.is_some_and(has_name),
                name.is_some(),
                "{disposition:?}"
            );
        }
    }
}
