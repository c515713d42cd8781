//! Scripted storages with files in memory. Several may share one memory, like the storages of a group.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::checksum_of;
use proto::file_list::{FileList, UsagePart};
use proto::storage::{ByteRange, FileStat, REPLY, StorageRequest, Upload, encode_file_size};
use proto::{ErrorCode, Fault, FileKey, Head};

pub use crate::memory::{Memory, memory_with};

use crate::fake::{Fake, drain, drip, read_request};
use crate::memory::{file, list, stat_of, store};

/// The reaction to a request.
#[derive(Debug, Clone)]
pub enum Act {
    /// Serve it like a storage.
    Serve,
    /// Close the connection before the content is read and without a reply.
    Close,
    /// Execute it, and close without a reply.
    ServeAndClose,
    /// Read this many bytes of content, then close.
    CloseAfter(u64),
    /// Execute it, and send nothing until the client closes.
    ServeAndFallSilent,
    /// Send nothing until the client closes.
    FallSilent,
    /// Announce the whole content, send this many bytes of it, close.
    CutAfter(usize),
    /// The same, but keep the connection open until the client closes.
    StallAfter(usize),
    /// Refuse at once, before the content is read; then answer no further request of the connection.
    Refuse(ErrorCode),
    /// Read the content, refuse, and go on.
    RefuseLate(ErrorCode),
    /// Refuse and close, like a C++ storage with an unknown command.
    RefuseAndClose(ErrorCode),
    /// Send these bytes, then wait for the client to close.
    Raw(Vec<u8>),
    /// Send these bytes, then close.
    RawAndClose(Vec<u8>),
    /// Execute it, and send the reply byte by byte with these pauses, until the client closes.
    Drip(Duration),
    /// The same, but only after this many bytes of content.
    DripAfter(usize, Duration),
}

pub struct FakeStorage {
    pub fake: Fake,
    requests: Arc<Mutex<Vec<&'static str>>>,
    drained: Arc<Mutex<Vec<u64>>>,
}

impl FakeStorage {
    /// Calls `script` for each request but LOCAL_SOCKET, with its number at this storage from 0 on. It has no
    /// Unix socket.
    pub fn start(
        memory: &Arc<Memory>,
        script: impl Fn(usize, &StorageRequest) -> Act + Send + Sync + 'static,
    ) -> FakeStorage {
        FakeStorage::start_with_socket(memory, Act::Raw(socket_reply(&[])), script)
    }

    /// As [`FakeStorage::start`], with this reaction to LOCAL_SOCKET.
    pub fn start_with_socket(
        memory: &Arc<Memory>,
        socket: Act,
        script: impl Fn(usize, &StorageRequest) -> Act + Send + Sync + 'static,
    ) -> FakeStorage {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let drained = Arc::new(Mutex::new(Vec::new()));
        let fake = Fake::start({
            let (memory, requests, drained) = (memory.clone(), requests.clone(), drained.clone());
            move |_, stream| {
                while let Some(request) = read_request(stream) {
                    if request == StorageRequest::LocalSocket {
                        if let Act::Raw(reply) = &socket {
                            let mut stream: &TcpStream = stream;
                            let _ = stream.write_all(reply);
                        }
                        continue;
                    }
                    let number = {
                        let mut requests = requests.lock().unwrap();
                        requests.push(name_of(&request));
                        requests.len() - 1
                    };
                    let act = script(number, &request);
                    match perform(stream, &memory, &request, act) {
                        Next::GoOn => {}
                        Next::Close => return,
                        Next::Drain => {
                            let n_bytes = drain(stream);
                            drained.lock().unwrap().push(n_bytes);
                            return;
                        }
                    }
                }
            }
        });
        FakeStorage {
            fake,
            requests,
            drained,
        }
    }

    /// A storage that serves all requests.
    pub fn good(memory: &Arc<Memory>) -> FakeStorage {
        FakeStorage::start(memory, |_, _| Act::Serve)
    }

    /// The received commands, in order.
    pub fn requests(&self) -> Vec<&'static str> {
        self.requests.lock().unwrap().clone()
    }

    /// Stops it, and returns the number of bytes that came after each refusal.
    pub fn stop(self) -> Vec<u64> {
        drop(self.fake);
        self.drained.lock().unwrap().clone()
    }
}

/// A storage with a row for this content, whose file differs from it in one bit.
pub fn damaged_storage(key: &FileKey, content: &[u8]) -> FakeStorage {
    let mut damaged = content.to_vec();
    damaged[content.len() / 2] ^= 1;
    let memory = memory_with(key, &damaged);
    let checksum = checksum_of(&mut &*content).unwrap();
    memory
        .checksums
        .lock()
        .unwrap()
        .insert(key.clone(), checksum);
    FakeStorage::good(&memory)
}

enum Next {
    GoOn,
    Close,
    Drain,
}

fn perform(mut stream: &TcpStream, memory: &Memory, request: &StorageRequest, act: Act) -> Next {
    match act {
        Act::Serve => match serve(stream, memory, request, &mut stream) {
            Some(()) => return Next::GoOn,
            None => return Next::Close,
        },
        Act::Close => return Next::Close,
        Act::ServeAndClose => {
            serve(stream, memory, request, &mut std::io::sink());
            return Next::Close;
        }
        Act::ServeAndFallSilent => {
            serve(stream, memory, request, &mut std::io::sink());
        }
        Act::FallSilent => {}
        Act::CloseAfter(len) => {
            std::io::copy(&mut stream.take(len), &mut std::io::sink()).unwrap();
            return Next::Close;
        }
        Act::CutAfter(len) | Act::StallAfter(len) => {
            let mut bytes = Vec::new();
            serve(stream, memory, request, &mut bytes);
            let _ = stream.write_all(&bytes[..front_len(request) + len]);
            if let Act::CutAfter(_) = act {
                return Next::Close;
            }
        }
        Act::Refuse(code) => refuse(stream, code),
        Act::RefuseLate(code) => {
            match request {
                StorageRequest::Upload(upload) => drop(read_content(stream, upload).unwrap()),
                StorageRequest::Store(store) => drop(read_content(stream, &store.upload).unwrap()),
                _ => {}
            }
            refuse(stream, code);
            return Next::GoOn;
        }
        Act::RefuseAndClose(code) => {
            refuse(stream, code);
            return Next::Close;
        }
        Act::Raw(bytes) => stream.write_all(&bytes).unwrap(),
        Act::RawAndClose(bytes) => {
            let _ = stream.write_all(&bytes);
            return Next::Close;
        }
        Act::Drip(pause) => {
            let mut bytes = Vec::new();
            serve(stream, memory, request, &mut bytes);
            drip(stream, &bytes, pause);
            return Next::Close;
        }
        Act::DripAfter(len, pause) => {
            let mut bytes = Vec::new();
            serve(stream, memory, request, &mut bytes);
            let (first, rest) = bytes.split_at(front_len(request) + len);
            let _ = stream.write_all(first);
            drip(stream, rest, pause);
            return Next::Close;
        }
    }
    Next::Drain
}

/// Bytes of a reply in front of the content.
fn front_len(request: &StorageRequest) -> usize {
    proto::HEAD_LEN
        + match request {
            StorageRequest::Read(_) => FileStat::LEN,
            _ => 0,
        }
}

/// Executes a request and writes its reply to `out`. None if the content was cut short.
fn serve(
    stream: &TcpStream,
    memory: &Memory,
    request: &StorageRequest,
    out: &mut dyn Write,
) -> Option<()> {
    let result = match request {
        StorageRequest::Upload(upload) => {
            let content = read_content(stream, upload)?;
            store(memory, &upload.key, content)
        }
        StorageRequest::Store(new) => {
            let content = read_content(stream, &new.upload)?;
            let stored = store(memory, &new.upload.key, content);
            if stored.is_ok() {
                let mut attributes = memory.attributes.lock().unwrap();
                attributes.insert(new.upload.key.clone(), new.attributes.clone());
            }
            stored
        }
        StorageRequest::Attributes(key) => {
            file(memory, key).map(|_| memory.attributes(key).encode())
        }
        StorageRequest::Delete(key) => {
            let removed = memory.files.lock().unwrap().remove(key);
            removed.map(|_| Vec::new()).ok_or(ErrorCode::NotFound)
        }
        StorageRequest::FileSize(key) => {
            file(memory, key).map(|file| encode_file_size(file.len() as u64))
        }
        StorageRequest::Stat(key) => {
            file(memory, key).map(|file| stat_of(memory, key, &file).encode())
        }
        StorageRequest::Read(read) => file(memory, &read.key).map(|file| {
            let ByteRange { offset, len } = read.range.within(file.len() as u64);
            let part = &file[offset as usize..][..len as usize];
            [stat_of(memory, &read.key, &file).encode(), part.to_vec()].concat()
        }),
        StorageRequest::Download(range) => file(memory, &range.key).and_then(|file| {
            let len = match range.size {
                0 => (file.len() as u64).saturating_sub(range.offset),
                size => size,
            };
            let start = range.offset as usize;
            let bytes = file.get(start..start + len as usize);
            bytes.map(<[u8]>::to_vec).ok_or(ErrorCode::BadRequest)
        }),
        StorageRequest::List(wanted) => Ok(list(memory, wanted).encode()),
        StorageRequest::Usage(wanted) => {
            let FileList { files, next } = list(memory, wanted);
            let bytes = files.iter().map(|file| file.size).sum();
            let files = files.len() as u64;
            Ok(UsagePart { files, bytes, next }.encode())
        }
        StorageRequest::Challenge
        | StorageRequest::Admin(_)
        | StorageRequest::LocalSocket
        | StorageRequest::Open(_) => Err(ErrorCode::Forbidden),
    };
    // The client may be gone.
    let _ = match result {
        Ok(body) => {
            let head = Head::reply(REPLY, body.len() as u64).encode();
            out.write_all(&head).and_then(|()| out.write_all(&body))
        }
        Err(code) => out.write_all(&fault(code)),
    };
    Some(())
}

fn read_content(stream: &TcpStream, upload: &Upload) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let n = stream.take(upload.size).read_to_end(&mut content).ok()?;
    (n as u64 == upload.size).then_some(content)
}

fn refuse(mut stream: &TcpStream, code: ErrorCode) {
    let _ = stream.write_all(&fault(code));
}

fn fault(code: ErrorCode) -> Vec<u8> {
    Fault::new(code, "refused by the script").encode(REPLY, "fake")
}

/// A reply to LOCAL_SOCKET.
pub fn socket_reply(body: &[u8]) -> Vec<u8> {
    [&Head::reply(REPLY, body.len() as u64).encode()[..], body].concat()
}

fn name_of(request: &StorageRequest) -> &'static str {
    match request {
        StorageRequest::Upload(_) => "upload",
        StorageRequest::Store(_) => "store",
        StorageRequest::Attributes(_) => "attributes",
        StorageRequest::FileSize(_) => "filesize",
        StorageRequest::Download(_) => "download",
        StorageRequest::Delete(_) => "delete",
        StorageRequest::Stat(_) => "stat",
        StorageRequest::Read(_) => "read",
        StorageRequest::Challenge | StorageRequest::Admin(_) => "admin",
        StorageRequest::LocalSocket => "local-socket",
        StorageRequest::Open(_) => "open",
        StorageRequest::List(_) => "list",
        StorageRequest::Usage(_) => "usage",
    }
}
