//! Scripted storages of the C++ system. After a failed read they write the failure into the content and
//! close.

use std::sync::Arc;

use proto::storage::{REPLY, StorageRequest};
use proto::{ErrorCode, Fault, Head};

use crate::storage::{Act, FakeStorage, Memory};
use crate::support::content;

/// A failure in the encoding of a C++ storage, 55 bytes.
pub fn failure_frame() -> Vec<u8> {
    let text = format!("read file fail{}", "!".repeat(22));
    let frame = Fault::new(ErrorCode::Unknown, text).encode(REPLY, "cpp");
    assert_eq!(frame.len(), 55);
    frame
}

/// A storage with only the commands of the C++ system. `script` gets offset and size of each DOWNLOAD.
pub fn cpp_storage(
    memory: &Arc<Memory>,
    script: impl Fn(u64, u64) -> Act + Send + Sync + 'static,
) -> FakeStorage {
    FakeStorage::start(memory, move |_, request| match request {
        StorageRequest::Read(_)
        | StorageRequest::Stat(_)
        | StorageRequest::Store(_)
        | StorageRequest::Attributes(_)
        | StorageRequest::List(_)
        | StorageRequest::Usage(_) => Act::RefuseAndClose(ErrorCode::Unknown),
        StorageRequest::Download(range) => script(range.offset, range.size),
        _ => Act::Serve,
    })
}

/// Sends [`content`] of `len` bytes up to byte `good`, then the failure, and closes.
pub fn failing_at(memory: &Arc<Memory>, len: usize, good: usize) -> FakeStorage {
    cpp_storage(memory, move |offset, size| {
        let offset = offset as usize;
        let size = match size {
            0 => len - offset,
            size => size as usize,
        };
        let head = Head::reply(REPLY, size as u64).encode();
        let part = content(len)[offset.min(good)..good.max(offset)].to_vec();
        Act::RawAndClose([head.to_vec(), part, failure_frame()].concat())
    })
}
