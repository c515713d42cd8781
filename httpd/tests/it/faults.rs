//! Storages that send damaged content, a failure within content, or next to nothing.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use proto::storage::{ByteRange, FileStat, REPLY, StorageRequest, encode_file_size};
use proto::{ErrorCode, Fault, HEAD_LEN, Head, Request};

use super::support::{Front, MODIFIED, Storage, checksum_of, content};

fn holding(file: &[u8]) -> Storage {
    Storage {
        files: HashMap::from([("x", file.to_vec())]),
        ..Storage::default()
    }
}

/// The content of a response as far as it came. The head counts for nothing: the last bytes, which are
/// held back, may be fewer than its own.
fn body(response: &[u8]) -> &[u8] {
    let end = response.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    &response[end.expect("a whole head") + 4..]
}

#[test]
fn damaged_content_has_no_end_and_the_next_request_asks_another_storage() {
    // The first is compared by its download, the second across its pieces.
    for len in [100_000, 3_000_000] {
        let file = content(len);
        let damaged = Storage {
            damaged: Arc::new(true.into()),
            ..holding(&file)
        };
        let good = holding(&file);
        let asked = [damaged.downloads.clone(), good.downloads.clone()];
        let front = Front::of(vec![damaged, good]);
        let answer = front.connect().glance("/files/x/f.bin", u64::MAX);
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
        assert!(body(&answer).len() < len, "the last bytes are sent");
        let n_damaged = asked[0].load(Ordering::Relaxed);
        assert!(n_damaged > 0);
        for headers in [&[][..], &[("Range", "bytes=0-")]] {
            assert!(front.get("/files/x/f.bin", headers).body == file);
        }
        assert_eq!(asked[0].load(Ordering::Relaxed), n_damaged);
    }
}

#[test]
fn a_range_from_the_first_byte_to_the_last_is_compared() {
    let file = content(3_000_000);
    let damaged = Storage {
        damaged: Arc::new(true.into()),
        ..holding(&file)
    };
    let front = Front::of(vec![damaged]);
    let mut browser = front.connect();
    browser.send("GET", "/files/x/f.bin", &[("Range", "bytes=0-")]);
    let answer = browser.rest();
    assert!(answer.starts_with(b"HTTP/1.1 206 "));
    assert!(body(&answer).len() < file.len());
    // A part cannot be.
    let part = front.get("/files/x/f.bin", &[("Range", "bytes=1-")]);
    assert_eq!(part.body.len(), file.len() - 1);
}

#[test]
fn a_copy_that_was_compared_lately_is_not_copied_to_be_compared() {
    let file = content(3_000_000);
    let storage = holding(&file);
    let damaged = storage.damaged.clone();
    let front = Front::of(vec![storage]);
    assert!(front.get("/files/x/f.bin", &[]).body == file);
    // Damage within the 10 minutes shows that nothing is compared.
    damaged.store(true, Ordering::Relaxed);
    assert_eq!(front.get("/files/x/f.bin", &[]).body.len(), file.len());
}

/// A server of threads that end with the process.
fn listen(serve: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, serve) = (stream.unwrap(), Arc::clone(&serve));
            thread::spawn(move || serve(&mut stream));
        }
    });
    addr
}

fn read_request(stream: &mut TcpStream) -> Option<StorageRequest> {
    let mut head = [0; HEAD_LEN];
    stream.read_exact(&mut head).ok()?;
    let head = Head::decode(&head);
    let mut fixed = vec![0; StorageRequest::fixed_len(&head).unwrap()];
    stream.read_exact(&mut fixed).ok()?;
    Some(StorageRequest::decode(&head, &fixed).unwrap())
}

fn reply(body: &[u8]) -> Vec<u8> {
    [&Head::reply(REPLY, body.len() as u64).encode()[..], body].concat()
}

/// A C++ storage that cannot read on behind byte `good`.
fn failing_at(file: Vec<u8>, good: usize) -> SocketAddr {
    listen(move |stream| {
        while let Some(request) = read_request(stream) {
            let failure = Fault::new(ErrorCode::Unknown, "read file fail").encode(REPLY, "cpp");
            let (bytes, closes) = match request {
                StorageRequest::FileSize(_) => (reply(&encode_file_size(file.len() as u64)), false),
                StorageRequest::Download(range) => {
                    let start = range.offset as usize;
                    let end = good.clamp(start, start + range.size as usize);
                    let head = Head::reply(REPLY, range.size).encode();
                    ([&head[..], &file[start..end], &failure].concat(), true)
                }
                _ => (failure, true),
            };
            if stream.write_all(&bytes).is_err() || closes {
                return;
            }
        }
    })
}

#[test]
fn a_failure_in_the_content_of_a_cpp_storage_is_not_sent_on() {
    let file = content(600_000);
    for good in [0, 2000, 200_000, 300_000, 599_990] {
        let next = Storage {
            cpp: true,
            ..holding(&file)
        };
        let front = Front::behind(Some(failing_at(file.clone(), good)), vec![next]);
        let answer = front.get("/files/x/f.bin", &[]);
        assert_eq!(answer.status, 200);
        assert!(answer.body == file, "failure at {good}");
    }
}

/// Answers READ with a byte now and then, each sooner than a time-out for single reads; the first
/// `at_once` bytes of the reply come together.
fn dripping(file: Vec<u8>, at_once: usize) -> SocketAddr {
    listen(move |stream| {
        while let Some(request) = read_request(stream) {
            let StorageRequest::Read(read) = request else {
                return;
            };
            let stat = FileStat {
                size: file.len() as u64,
                modified: MODIFIED,
                checksum: Some(checksum_of(&file)),
                expires: false,
            };
            let ByteRange { offset: start, len } = read.range.within(file.len() as u64);
            let part = &file[start as usize..][..len as usize];
            let bytes = reply(&[&stat.encode(), part].concat());
            let (first, rest) = bytes.split_at(at_once);
            if stream.write_all(first).is_err() {
                return;
            }
            stream
                .set_read_timeout(Some(Duration::from_millis(300)))
                .unwrap();
            for byte in rest {
                // The pause is a read that finds nothing, or the end of the connection.
                let is_gone = stream.peek(&mut [0]).is_ok_and(|n| n == 0);
                if is_gone || stream.write_all(&[*byte]).is_err() {
                    return;
                }
            }
        }
    })
}

#[test]
fn a_storage_that_drips_is_given_up_in_time_and_holds_nobody_up() {
    let file = content(200_000);
    for at_once in [0, HEAD_LEN, 5000] {
        let first = dripping(file.clone(), at_once);
        let front = Front::behind(Some(first), vec![holding(&file)]);
        let began = Instant::now();
        thread::scope(|scope| {
            let get = || front.get("/files/x/f.bin", &[]);
            for waiting in [get; 64].map(|get| scope.spawn(get)) {
                let answer = waiting.join().unwrap();
                assert!(answer.status == 200 && answer.body == file);
            }
        });
        // The head and what is known of the file would take 13 s, byte by byte.
        assert!(began.elapsed() < Duration::from_secs(9), "it waits");
    }
}
