//! Lists of a user's files: the requests LIST and USAGE and their replies (docs/protocol.md, Lists of files).

use crate::field::{Fields, put_i64, put_u64};
use crate::head::frame;
use crate::request::{body_length, decode_key_of_user, encode_key};
use crate::{AccessFields, AppId, DecodeError, FILE_KEY_LEN, FileId, Head, UserId};

/// Limit on the files in one reply to LIST.
pub const LIST_MAX: usize = 1000;
/// Limit on a cursor, in bytes: a column `id varchar(256)` of 4 bytes a character.
pub const CURSOR_MAX: usize = 1024;
/// Limit on the body of a reply to LIST, in bytes.
pub const LIST_REPLY_MAX: usize = CURSOR_FIELD_MAX + LIST_MAX * (8 + 8 + 1 + 127);
/// Limit on the body of a reply to USAGE, in bytes.
pub const USAGE_REPLY_MAX: usize = CURSOR_FIELD_MAX + 8 + 8;

const CURSOR_FIELD_MAX: usize = 2 + CURSOR_MAX;
/// Length of a request without its cursor, in bytes.
const REQUEST_MIN: usize = FILE_KEY_LEN + 8;

/// Which files of a user are listed or counted, and where the list goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// The application.
    pub app: AppId,
    /// The user within it.
    pub user: UserId,
    /// Only files whose ids begin with this text.
    pub prefix: Option<FileId>,
    /// Only files that were stored at this time or later, in seconds since the epoch.
    pub since: i64,
    /// The cursor of the reply before; empty at the beginning.
    pub after: String,
}

/// A file of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// Its id.
    pub id: FileId,
    /// Its size, in bytes.
    pub size: u64,
    /// When it was stored, seconds since the epoch.
    pub modified: i64,
}

/// Reply to LIST. It may have no files and yet not be the last one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileList {
    /// At most [`LIST_MAX`], in the order of ids of the database.
    pub files: Vec<ListedFile>,
    /// The cursor of the next request; empty at the end of the list.
    pub next: String,
}

/// Reply to USAGE: the sums of a part of the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsagePart {
    /// Number of files.
    pub files: u64,
    /// Their sizes together, in bytes.
    pub bytes: u64,
    /// The cursor of the next request; empty after the last file.
    pub next: String,
}

impl ListRequest {
    pub(crate) fn encode(&self, command: u8) -> Vec<u8> {
        let mut body = Vec::with_capacity(REQUEST_MIN + self.after.len());
        let prefix = self.prefix.as_ref().map_or("", FileId::as_str);
        encode_key(&mut body, &self.app, &self.user, prefix);
        put_i64(&mut body, self.since);
        body.extend_from_slice(self.after.as_bytes());
        frame(command, &body)
    }

    /// The prefix stands for the file.
    pub(crate) fn access_fields(&self, command: &'static str) -> AccessFields<'_> {
        AccessFields {
            command,
            app: Some(&self.app),
            user: Some(&self.user),
            file: self.prefix.as_ref().map(|prefix| prefix.as_str().into()),
        }
    }

    pub(crate) fn fixed_len(head: &Head) -> Result<usize, DecodeError> {
        let len = usize::try_from(head.body_len).unwrap_or(usize::MAX);
        match (REQUEST_MIN..=REQUEST_MIN + CURSOR_MAX).contains(&len) {
            true => Ok(len),
            false => Err(body_length(head, "408 to 1432")),
        }
    }

    pub(crate) fn decode(fixed: &[u8]) -> Result<ListRequest, DecodeError> {
        let mut fields = Fields::new(fixed);
        let (app, user, prefix) = decode_key_of_user(&mut fields)?;
        Ok(ListRequest {
            app,
            user,
            prefix,
            since: fields.i64("since")?,
            after: cursor(fields.rest())?,
        })
    }
}

impl FileList {
    /// The body of the reply.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_cursor(&mut body, &self.next);
        for ListedFile { id, size, modified } in &self.files {
            put_u64(&mut body, *size);
            put_i64(&mut body, *modified);
            let id = id.as_str();
            body.push(u8::try_from(id.len()).expect("an id has at most 127 bytes"));
            body.extend_from_slice(id.as_bytes());
        }
        body
    }

    /// Reads the body of the reply.
    ///
    /// # Errors
    /// A body that ends within a file, a name that is no id, or a negative size.
    pub fn decode(body: &[u8]) -> Result<FileList, DecodeError> {
        let mut fields = Fields::new(body);
        let next = take_cursor(&mut fields)?;
        let mut files = Vec::new();
        while !fields.is_empty() {
            let size = fields.unsigned("size")?;
            let modified = fields.i64("time")?;
            let len = fields.u8("length of the id")?;
            let id = text("fileid", fields.take("fileid", len.into())?)?;
            let id = FileId::new(id)?;
            files.push(ListedFile { id, size, modified });
        }
        Ok(FileList { files, next })
    }
}

impl UsagePart {
    /// The body of the reply.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_cursor(&mut body, &self.next);
        put_u64(&mut body, self.files);
        put_u64(&mut body, self.bytes);
        body
    }

    /// Reads the body of the reply.
    ///
    /// # Errors
    /// A body that is too short, or a negative sum.
    pub fn decode(body: &[u8]) -> Result<UsagePart, DecodeError> {
        let mut fields = Fields::new(body);
        Ok(UsagePart {
            next: take_cursor(&mut fields)?,
            files: fields.unsigned("number of files")?,
            bytes: fields.unsigned("number of bytes")?,
        })
    }
}

/// # Panics
/// The cursor is longer than [`CURSOR_MAX`].
fn put_cursor(body: &mut Vec<u8>, cursor: &str) {
    assert!(cursor.len() <= CURSOR_MAX, "a cursor of {}", cursor.len());
    body.extend_from_slice(&(cursor.len() as u16).to_be_bytes());
    body.extend_from_slice(cursor.as_bytes());
}

fn take_cursor(fields: &mut Fields<'_>) -> Result<String, DecodeError> {
    let len = fields.u16("length of the cursor")?;
    cursor(fields.take("cursor", len.into())?)
}

fn cursor(bytes: &[u8]) -> Result<String, DecodeError> {
    if bytes.len() > CURSOR_MAX {
        return Err(DecodeError::TooLong {
            field: "cursor",
            max: CURSOR_MAX,
            unit: "bytes",
        });
    }
    Ok(text("cursor", bytes)?.to_owned())
}

fn text<'a>(name: &'static str, bytes: &'a [u8]) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8(name))
}
