//! Types of answers, and what a browser is told to do with them.

use test_support::http::Answer;

use super::support::{Front, LAST_MODIFIED, Storage};

const MP4: &[u8] = b"\0\0\0\x18ftypisom\0\0\0\0isommp42 and so on";
const PAGE: &[u8] = b"<script>alert(origin)</script>";
const PLAYLIST: &[u8] = b"#EXTM3U\n#EXTINF:6,\nseg0.ts\n";
const MANIFEST: &[u8] = b"<?xml version=\"1.0\"?><MPD></MPD>";

fn packets() -> Vec<u8> {
    let packet: Vec<u8> = std::iter::once(0x47).chain([0xff; 187]).collect();
    packet.repeat(10)
}

/// Content-Type, Content-Disposition up to its parameters, and whether scripts are locked out.
fn display(answer: &Answer) -> (&str, Option<&str>, bool) {
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    let disposition = answer.field("content-disposition");
    let policy = answer.field("content-security-policy");
    (
        answer.field("content-type").unwrap(),
        disposition.and_then(|value| value.split(';').next()),
        policy == Some("sandbox; default-src 'none'"),
    )
}

#[test]
fn no_name_makes_a_file_a_page_of_this_site() {
    let ids = ["e.html", "e.svg", "e.xml", "e.js"];
    let pages = ids.map(|id| (id, PAGE));
    let front = Front::with(&[&[("e", PAGE)], &pages[..]].concat());
    let active = [
        "html", "htm", "HTML", "xhtml", "shtml", "svg", "svgz", "xml", "xsl", "rdf", "mathml",
        "mml", "js", "mjs", "pdf", "swf", "css", "wasm", "html.", "html%20", "html%00",
    ];
    let named = active.map(|extension| format!("/files/e/x.{extension}"));
    let by_id = ids.map(|id| format!("/files/{id}"));
    let by_content = ["/files/e", "/files/e/", "/files/e/x.unheardof"].map(str::to_owned);
    for path in named.into_iter().chain(by_id).chain(by_content) {
        for (method, range) in [
            ("GET", "bytes=0-"),
            ("GET", ""),
            ("HEAD", ""),
            ("GET", "bytes=0-1,4-5"),
        ] {
            let answer = front.connect().ask(method, &path, &[("Range", range)]);
            let (_, disposition, locked) = display(&answer);
            let status = if range.is_empty() { 200 } else { 206 };
            assert_eq!(
                (answer.status, disposition, locked),
                (status, Some("attachment"), true),
                "{path}"
            );
        }
    }
    // What a page would run or style itself with is nothing of the kind.
    for extension in ["js", "mjs", "css", "wasm"] {
        let answer = front.get(&format!("/files/e/x.{extension}"), &[]);
        assert_eq!(display(&answer).0, "application/octet-stream");
    }
}

#[test]
fn media_and_text_are_shown() {
    let front = Front::with(&[
        ("x", MP4),
        ("t", b"text"),
        ("p", PLAYLIST),
        ("m", MANIFEST),
        ("id.mkv", b"text"),
    ]);
    for (path, media_type) in [
        ("/files/x/a.mp4", "video/mp4"),
        ("/files/x/a.jpg", "image/jpeg"),
        ("/files/x/a.mp3", "audio/mpeg"),
        ("/files/p/a.m3u8", "application/vnd.apple.mpegurl"),
        ("/files/t/a.vtt", "text/vtt"),
        ("/files/t/a.srt", "application/x-subrip"),
        ("/files/t/a.txt", "text/plain"),
    ] {
        let answer = front.get(path, &[]);
        assert_eq!(
            display(&answer),
            (media_type, Some("inline"), false),
            "{path}"
        );
    }
    let answer = front.get("/files/x", &[]);
    assert_eq!(display(&answer), ("video/mp4", None, false));
    // Without a name the extension of the id counts before the content.
    let answer = front.get("/files/id.mkv", &[]);
    assert_eq!(display(&answer), ("video/x-matroska", None, false));
    assert_eq!(front.get("/files/id.mkv/list.m3u8", &[]).status, 404);
    // Players take it; a browser that shows it as a document runs nothing of it.
    let answer = front.get("/files/m/a.mpd", &[]);
    assert_eq!(
        display(&answer),
        ("application/dash+xml", Some("inline"), true)
    );
}

/// Paths whose name contradicts the content, such as a segment of a playlist.
const CONTRADICTIONS: [&str; 13] = [
    "/files/p/seg0.ts",
    "/files/p/seg0.m4s",
    "/files/p/init.mp4",
    "/files/p/subs.vtt",
    "/files/p/poster.jpg",
    "/files/p/other.mpd",
    "/files/m/seg0.m4s",
    "/files/m/other.m3u8",
    "/files/index.m3u8/seg0.ts",
    "/files/s/index.m3u8",
    "/files/s/subs.vtt",
    "/files/v/seg0.ts",
    "/files/v/index.m3u8",
];
/// Paths whose name does not contradict the content, and their media types.
const MATCHES: [(&str, &str); 11] = [
    ("/files/p", "application/vnd.apple.mpegurl"),
    ("/files/p/index.m3u8", "application/vnd.apple.mpegurl"),
    ("/files/p/list.txt", "application/vnd.apple.mpegurl"),
    ("/files/m/manifest.mpd", "application/dash+xml"),
    ("/files/index.m3u8", "application/vnd.apple.mpegurl"),
    ("/files/seg0.ts", "video/mp2t"),
    ("/files/s", "video/mp2t"),
    ("/files/s/seg0.ts", "video/mp2t"),
    ("/files/seg0.ts/seg0.ts", "video/mp2t"),
    ("/files/seg0.ts/x.unheardof", "video/mp2t"),
    ("/files/v/subs.vtt", "text/vtt"),
];

#[test]
fn the_name_of_a_segment_does_not_yield_the_playlist() {
    let packets = packets();
    let files: [(&str, &[u8]); 6] = [
        ("p", PLAYLIST),
        ("m", MANIFEST),
        ("s", &packets),
        ("index.m3u8", PLAYLIST),
        ("seg0.ts", &packets),
        ("v", b"WEBVTT\n\n"),
    ];
    let cpp = Storage {
        cpp: true,
        files: files.map(|(id, content)| (id, content.to_vec())).into(),
        ..Storage::default()
    };
    for front in [Front::with(&files), Front::of(vec![cpp])] {
        for path in CONTRADICTIONS {
            assert_not_found(&front, path);
        }
        for (path, media_type) in MATCHES {
            let answer = front.get(path, &[]);
            assert_eq!(
                (answer.status, answer.field("content-type")),
                (200, Some(media_type)),
                "{path}"
            );
        }
    }
}

/// Without the file, preconditions and ranges have no effect (RFC 9110, 13.2.1).
fn assert_not_found(front: &Front, path: &str) {
    for (method, field) in [
        ("GET", ("Range", "")),
        ("HEAD", ("Range", "")),
        ("GET", ("Range", "bytes=3-5")),
        ("GET", ("Range", "bytes=99999-")),
        ("GET", ("If-None-Match", "*")),
        ("GET", ("If-Modified-Since", LAST_MODIFIED)),
        ("GET", ("If-Match", "\"other\"")),
    ] {
        let answer = front.connect().ask(method, path, &[field]);
        assert_eq!(answer.status, 404, "{method} {path} {field:?}");
    }
}

/// A day of segments of one second is more than 1 MiB.
#[test]
fn the_size_of_a_playlist_does_not_matter() {
    let playlist = [b"#EXTM3U\n", &b"#EXTINF:1,\nseg.ts\n".repeat(200_000)[..]].concat();
    let media = [MP4, &[0; 3_000_000]].concat();
    for (method, field) in [
        ("GET", ("Range", "")),
        ("HEAD", ("Range", "")),
        ("GET", ("Range", "bytes=0-")),
        ("GET", ("Range", "bytes=2000000-")),
        ("GET", ("If-None-Match", "\"other\"")),
    ] {
        // A new httpd remembers no type.
        let front = Front::with(&[("p", &playlist), ("v", &media)]);
        for (path, found) in [
            ("/files/p/seg0.ts", false),
            ("/files/p/index.m3u8", true),
            ("/files/v/film.mp4", true),
            ("/files/v/index.m3u8", false),
        ] {
            let answer = front.connect().ask(method, path, &[field]);
            let is_found = matches!(answer.status, 200 | 206);
            assert_eq!(is_found, found, "{method} {path} {field:?}");
        }
    }
}

#[test]
fn a_name_says_what_to_call_a_file_and_nothing_else() {
    let front = Front::with(&[("x", MP4)]);
    for (name, expected) in [
        ("..%2F..%2Fetc%2Fpasswd.mp4", Some("passwd.mp4")),
        ("50%2541.mp4", Some("50_41.mp4")),
        ("a%0Ab.mp4", Some("a_b.mp4")),
        ("%B5%E7.mp4", Some("__.mp4")),
        ("..", None),
        ("", None),
    ] {
        let answer = front.get(&format!("/files/x/{name}"), &[]);
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, MP4),
            "{name}"
        );
        let expected =
            expected.map(|name| format!("inline; filename=\"{name}\"; filename*=UTF-8''{name}"));
        assert_eq!(answer.field("content-disposition"), expected.as_deref());
    }
}
