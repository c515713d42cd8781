//! Malformed requests.

use bench::content::next_random;
use proto::idserver::IdRequest;
use proto::storage::{Download, StorageRequest, Upload};
use proto::tracker::{Join, Member, Saddrs, TrackerRequest};
use proto::{FileKey, IdKey};
use test_cluster::Role;

use crate::support::new_key;

/// Content of the upload among the valid requests.
const CONTENT: usize = 100;

/// Malformed bytes for a server of this role, each for a new connection.
pub fn hostile(role: Role) -> Vec<Vec<u8>> {
    match role {
        Role::Httpd => http(),
        Role::Tracker => frames(&[10, 11, 12, 13, 14, 15]),
        Role::Idserver => frames(&[40]),
        Role::Storage => frames(&[70, 71, 72, 73, 74]),
    }
}

/// Valid requests, to be cut at every byte.
pub fn honest(role: Role) -> Vec<Vec<u8>> {
    let key = new_key();
    match role {
        Role::Tracker => tracker_requests(&key),
        Role::Idserver => vec![IdRequest::GetId(IdKey::new("hostile").unwrap()).encode()],
        Role::Storage => storage_requests(key),
        Role::Httpd => vec![
            format!(
                "GET /files/{} HTTP/1.1\r\nHost: h\r\nRange: bytes=0-9\r\n\r\n",
                key.file
            )
            .into_bytes(),
        ],
    }
}

fn tracker_requests(key: &FileKey) -> Vec<Vec<u8>> {
    let member = Member {
        group: "group001".parse().unwrap(),
        hostname: "hostile".parse().unwrap(),
    };
    let join = Join {
        version: "9.9".parse().unwrap(),
        member: member.clone(),
        port: 9,
        start_time: 0,
        join_time: 0,
    };
    let saddrs = Saddrs {
        app: key.app.clone(),
        user: key.user.clone(),
        file: Some(key.file.clone()),
    };
    let requests = [
        TrackerRequest::Join(join),
        TrackerRequest::Beat(member),
        TrackerRequest::Saddrs(saddrs),
    ];
    requests.iter().map(TrackerRequest::encode).collect()
}

fn storage_requests(key: FileKey) -> Vec<Vec<u8>> {
    let upload = Upload {
        key: key.clone(),
        size: CONTENT as u64,
    };
    let mut upload = StorageRequest::Upload(upload).encode();
    upload.extend([b'x'; CONTENT]);
    let download = Download {
        key,
        offset: 0,
        size: 0,
    };
    vec![upload, StorageRequest::Download(download).encode()]
}

/// Known and unknown commands with right and wrong lengths, and bodies without an end.
fn frames(commands: &[u8]) -> Vec<Vec<u8>> {
    let mut all = random_bytes(200);
    let lens = [
        i64::MIN,
        -1,
        0,
        1,
        65,
        66,
        146,
        171,
        400,
        408,
        416,
        4096,
        1 << 40,
        i64::MAX,
    ];
    for &command in commands.iter().chain(&[0, 39, 99, 100, 102, 255]) {
        for len in lens {
            let body_len = len.clamp(0, 5000) as usize;
            let head = [&len.to_be_bytes()[..], &[command, 0]].concat();
            for filler in [0x00, b'A', 0xFF] {
                all.push([&head[..], &vec![filler; body_len]].concat());
            }
            // A length above that of the body, and one below.
            all.push(head.clone());
            all.push([&head[..], &vec![b'A'; body_len * 2 + 7]].concat());
        }
    }
    all.extend(contradictory_uploads());
    all
}

/// Uploads whose size and length contradict each other, or whose content never comes.
fn contradictory_uploads() -> Vec<Vec<u8>> {
    let honest = storage_requests(new_key()).remove(0);
    let size_at = 10 + 400;
    let sizes = [-1, 0, 1, 99, 101, i64::MAX, i64::MIN];
    let lying = sizes.map(|size: i64| {
        let mut frame = honest.clone();
        frame[size_at..size_at + 8].copy_from_slice(&size.to_be_bytes());
        frame
    });
    let mut all = lying.to_vec();
    for size in [i64::MAX - 408, 1 << 50, 1 << 20] {
        let mut frame = honest.clone();
        frame[..8].copy_from_slice(&(size + 408).to_be_bytes());
        frame[size_at..size_at + 8].copy_from_slice(&size.to_be_bytes());
        all.push(frame);
    }
    all
}

fn http() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 24] = [
        b"",
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: h\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: h\r\n\r\n",
        b"GET /files/x HTTP/1.1\r\n\r\n",
        b"GET /files/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /files/x HTTP/1.1\nHost: a\n\n",
        b"GET /files/x HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"GET /files/%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /files/%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /files/../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /files/a/b/c/d/e/f HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /files/\xFF\xFE HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /files/x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET /files/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n",
        b"POST /files/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /files/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"GET /files/x HTTP/1.1\r\nHost: a\r\nRange: bytes=-\r\n\r\n",
        b"GET /files/x HTTP/1.1\r\nHost: a\r\nRange: bytes=99999999999999999999-\r\n\r\n",
        b"GET /files/x HTTP/1.1\r\nHost: a\r\nRange: bytes=5-1,2-3,,\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03",
        b"DELETE /files/x HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.to_vec()).collect();
    all.push(
        [
            &b"GET /"[..],
            &[b'a'; 100_000],
            b" HTTP/1.1\r\nHost: a\r\n\r\n",
        ]
        .concat(),
    );
    all.push(
        [
            &b"GET / HTTP/1.1\r\nHost: "[..],
            &[b'a'; 100_000],
            b"\r\n\r\n",
        ]
        .concat(),
    );
    all.push(
        [
            &b"GET / HTTP/1.1\r\n"[..],
            &b"A: b\r\n".repeat(10_000),
            b"\r\n",
        ]
        .concat(),
    );
    all.extend(random_bytes(100));
    all
}

fn random_bytes(count: usize) -> Vec<Vec<u8>> {
    let mut state = 20_26;
    let mut message = || {
        let len = next_random(&mut state) % 1500;
        (0..len).map(|_| next_random(&mut state) as u8).collect()
    };
    (0..count).map(|_| message()).collect()
}
