//! The storage's requests and replies.

use crate::admin::{Signed, order_len};
use crate::field::{Fields, put_i64, put_u64};
use crate::file_list::ListRequest;
use crate::head::{HEAD_LEN, frame};
use crate::request::exactly;
use crate::{
    AccessFields, DecodeError, FILE_KEY_LEN, FileKey, Head, Permission, Request, ServerKind,
};

mod attributes;
mod file_stat;
mod local;
mod range;

pub use attributes::{Attributes, Store};
pub use file_stat::FileStat;
pub use local::{LocalSocket, Open, PassedFile, SocketId};
pub use range::{ByteRange, RangeSpec};

/// Command byte of every reply of a storage.
pub const REPLY: u8 = 102;
/// Stores a file; the content follows the fixed part.
pub const UPLOAD: u8 = 70;
/// The size of a file.
pub const FILESIZE: u8 = 71;
/// The content of a file, or a part of it.
pub const DOWNLOAD: u8 = 72;
/// Removes a file.
pub const DELETE: u8 = 73;
/// Size, time and checksum of a file. C++ storages refuse it.
pub const STAT: u8 = 74;
/// STAT and DOWNLOAD in one. C++ storages refuse it.
pub const READ: u8 = 75;
/// A nonce for the next order on this connection. C++ storages refuse it.
pub const CHALLENGE: u8 = 76;
/// An order of an administrator. C++ storages refuse it.
pub const ADMIN: u8 = 77;
/// The storage's Unix socket. C++ storages refuse it.
pub const LOCAL_SOCKET: u8 = 80;
/// STAT, and the open file. Unix socket only. C++ storages refuse it.
pub const OPEN: u8 = 81;
/// A part of the list of a user's files. C++ storages refuse it.
pub const LIST: u8 = 82;
/// Number and size of a part of a user's files. C++ storages refuse it.
pub const USAGE: u8 = 83;

/// UPLOAD with attributes. C++ storages refuse it.
pub const STORE: u8 = 84;
/// The attributes of a file. C++ storages refuse it.
pub const ATTRIBUTES: u8 = 85;

/// Length of the fixed part of an UPLOAD body, in bytes.
pub const UPLOAD_LEN: usize = FILE_KEY_LEN + 8;
const DOWNLOAD_LEN: usize = FILE_KEY_LEN + 8 + 8;

/// A request to a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageRequest {
    /// Store a file.
    Upload(Upload),
    /// Store a file with attributes.
    Store(Box<Store>),
    /// Get its size.
    FileSize(FileKey),
    /// Get its content.
    Download(Download),
    /// Remove it.
    Delete(FileKey),
    /// Get its size, time and checksum.
    Stat(FileKey),
    /// Get its attributes.
    Attributes(FileKey),
    /// Get size, time, checksum and content.
    Read(Read),
    /// Get a nonce.
    Challenge,
    /// An order of an administrator.
    Admin(Box<Signed>),
    /// Get path and id of the Unix socket.
    LocalSocket,
    /// Get size, time, checksum, links and a descriptor of the file.
    Open(Open),
    /// Get a part of the list of a user's files.
    List(Box<ListRequest>),
    /// Get number and size of a part of a user's files.
    Usage(Box<ListRequest>),
}

/// The fixed part of an UPLOAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The new file.
    pub key: FileKey,
    /// Bytes of content that follow.
    pub size: u64,
}

/// The part of a file that a DOWNLOAD asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// The file.
    pub key: FileKey,
    /// First byte.
    pub offset: u64,
    /// Number of bytes; 0 means up to the end of the file.
    pub size: u64,
}

/// The part of a file that a READ asks for. The size of the file need not be known. The reply is a [`FileStat`]
/// and then as much of the part as there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The file.
    pub key: FileKey,
    /// The requested bytes.
    pub range: RangeSpec,
}

impl StorageRequest {
    /// The request as it goes over the wire. For an UPLOAD or STORE, head and fixed part: the caller
    /// sends the content behind it.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            StorageRequest::Upload(upload) => upload.encode(),
            StorageRequest::Store(store) => store.encode(),
            StorageRequest::Attributes(key) => Attributes::request(key),
            StorageRequest::FileSize(key) => key_frame(FILESIZE, key),
            StorageRequest::Download(download) => download.encode(),
            StorageRequest::Delete(key) => key_frame(DELETE, key),
            StorageRequest::Stat(key) => key_frame(STAT, key),
            StorageRequest::Challenge => frame(CHALLENGE, &[]),
            StorageRequest::Admin(signed) => {
                let mut body = Vec::new();
                signed.encode(&mut body);
                frame(ADMIN, &body)
            }
            StorageRequest::Read(read) => read.encode(),
            StorageRequest::LocalSocket => frame(LOCAL_SOCKET, &[]),
            StorageRequest::Open(open) => open.encode(),
            StorageRequest::List(list) => list.encode(LIST),
            StorageRequest::Usage(list) => list.encode(USAGE),
        }
    }
}

impl Request for StorageRequest {
    const SERVER: ServerKind = ServerKind::Storage;
    const COMMANDS: &'static [(u8, &'static str)] = &[
        (UPLOAD, "upload"),
        (FILESIZE, "filesize"),
        (DOWNLOAD, "download"),
        (DELETE, "delete"),
        (STAT, "stat"),
        (READ, "read"),
        (CHALLENGE, "challenge"),
        (ADMIN, "admin"),
        (LOCAL_SOCKET, "local-socket"),
        (OPEN, "open"),
        (LIST, "list"),
        (USAGE, "usage"),
        (STORE, "store"),
        (ATTRIBUTES, "attributes"),
    ];

    fn permission(&self) -> Permission<'_> {
        match self {
            StorageRequest::Upload(Upload { key, .. })
            | StorageRequest::FileSize(key)
            | StorageRequest::Download(Download { key, .. })
            | StorageRequest::Delete(key)
            | StorageRequest::Stat(key)
            | StorageRequest::Attributes(key)
            | StorageRequest::Read(Read { key, .. })
            | StorageRequest::Open(Open { key, .. }) => Permission::App(&key.app),
            StorageRequest::Store(store) => Permission::App(&store.upload.key.app),
            StorageRequest::List(list) | StorageRequest::Usage(list) => Permission::App(&list.app),
            StorageRequest::Challenge | StorageRequest::Admin(_) | StorageRequest::LocalSocket => {
                Permission::AnyKey
            }
        }
    }

    fn access_fields(&self) -> AccessFields<'_> {
        let none = |command| AccessFields {
            file: None,
            ..AccessFields::thing(command, "")
        };
        match self {
            StorageRequest::Upload(upload) => AccessFields::file("upload", &upload.key),
            StorageRequest::Store(store) => AccessFields::file("store", &store.upload.key),
            StorageRequest::Attributes(key) => AccessFields::file("attributes", key),
            StorageRequest::FileSize(key) => AccessFields::file("filesize", key),
            StorageRequest::Download(download) => AccessFields::file("download", &download.key),
            StorageRequest::Delete(key) => AccessFields::file("delete", key),
            StorageRequest::Stat(key) => AccessFields::file("stat", key),
            StorageRequest::Read(read) => AccessFields::file("read", &read.key),
            StorageRequest::Challenge => none("challenge"),
            StorageRequest::Admin(signed) => AccessFields::thing("admin", signed.name()),
            StorageRequest::LocalSocket => none("local-socket"),
            StorageRequest::Open(open) => AccessFields::file("open", &open.key),
            StorageRequest::List(list) => list.access_fields("list"),
            StorageRequest::Usage(list) => list.access_fields("usage"),
        }
    }

    fn fixed_len(head: &Head) -> Result<usize, DecodeError> {
        match head.command {
            UPLOAD if head.body_len >= UPLOAD_LEN as i64 => Ok(UPLOAD_LEN),
            UPLOAD => exactly(head, UPLOAD_LEN, "408 and more"),
            STORE if head.body_len >= Store::LEN as i64 => Ok(Store::LEN),
            STORE => exactly(head, Store::LEN, "672 and more"),
            FILESIZE | DELETE | STAT | ATTRIBUTES => exactly(head, FILE_KEY_LEN, "400"),
            OPEN => exactly(head, Open::LEN, "416"),
            CHALLENGE | LOCAL_SOCKET => exactly(head, 0, "0"),
            ADMIN => order_len(head),
            LIST | USAGE => ListRequest::fixed_len(head),
            DOWNLOAD | READ => exactly(head, DOWNLOAD_LEN, "416"),
            other => Err(DecodeError::UnknownCommand(other)),
        }
    }

    fn decode(head: &Head, fixed: &[u8]) -> Result<StorageRequest, DecodeError> {
        match head.command {
            CHALLENGE => return Ok(StorageRequest::Challenge),
            LOCAL_SOCKET => return Ok(StorageRequest::LocalSocket),
            ADMIN => return Ok(StorageRequest::Admin(Box::new(Signed::decode(fixed)?))),
            LIST => return Ok(StorageRequest::List(Box::new(ListRequest::decode(fixed)?))),
            USAGE => return Ok(StorageRequest::Usage(Box::new(ListRequest::decode(fixed)?))),
            _ => {}
        }
        let mut fields = Fields::new(fixed);
        let key = FileKey::decode(&mut fields)?;
        Ok(match head.command {
            UPLOAD => StorageRequest::Upload(Upload::decode(head, key, &mut fields, UPLOAD_LEN)?),
            STORE => StorageRequest::Store(Box::new(Store::decode(head, key, &mut fields)?)),
            ATTRIBUTES => StorageRequest::Attributes(key),
            FILESIZE => StorageRequest::FileSize(key),
            DOWNLOAD => StorageRequest::Download(Download {
                key,
                offset: fields.unsigned("offset")?,
                size: fields.unsigned("size")?,
            }),
            DELETE => StorageRequest::Delete(key),
            STAT => StorageRequest::Stat(key),
            OPEN => StorageRequest::Open(Open::decode(key, &mut fields)?),
            READ => {
                let offset = fields.i64("offset")?;
                let size = fields.unsigned("size")?;
                let range = RangeSpec { offset, size };
                StorageRequest::Read(Read { key, range })
            }
            other => return Err(DecodeError::UnknownCommand(other)),
        })
    }
}

impl Upload {
    /// `fixed_len` is the number of bytes in front of the content.
    fn decode(
        head: &Head,
        key: FileKey,
        fields: &mut Fields<'_>,
        fixed_len: usize,
    ) -> Result<Upload, DecodeError> {
        let file_size = fields.i64("file size")?;
        let content_len = head.body_len - fixed_len as i64;
        match u64::try_from(file_size) {
            Ok(size) if file_size == content_len => Ok(Upload { key, size }),
            _ => Err(DecodeError::FileSize {
                file_size,
                content_len,
            }),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let head = Head::request(UPLOAD, (UPLOAD_LEN as u64).saturating_add(self.size));
        let mut bytes = Vec::with_capacity(HEAD_LEN + UPLOAD_LEN);
        bytes.extend_from_slice(&head.encode());
        self.key.encode(&mut bytes);
        put_u64(&mut bytes, self.size);
        bytes
    }
}

impl Download {
    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(DOWNLOAD_LEN);
        self.key.encode(&mut body);
        put_u64(&mut body, self.offset);
        put_u64(&mut body, self.size);
        frame(DOWNLOAD, &body)
    }
}

impl Read {
    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(DOWNLOAD_LEN);
        self.key.encode(&mut body);
        put_i64(&mut body, self.range.offset);
        put_u64(&mut body, self.range.size);
        frame(READ, &body)
    }
}

fn key_frame(command: u8, key: &FileKey) -> Vec<u8> {
    let mut body = Vec::with_capacity(FILE_KEY_LEN);
    key.encode(&mut body);
    frame(command, &body)
}

/// Body of the reply to FILESIZE.
pub fn encode_file_size(size: u64) -> Vec<u8> {
    let mut body = Vec::with_capacity(8);
    put_u64(&mut body, size);
    body
}

/// Reads the body of the reply to FILESIZE.
///
/// # Errors
/// A body that is too short, or a negative size.
pub fn decode_file_size(body: &[u8]) -> Result<u64, DecodeError> {
    Fields::new(body).unsigned("file size")
}
