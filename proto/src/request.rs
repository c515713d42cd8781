//! The trait of requests, and the fields that several of them have.

use std::borrow::Cow;
use std::fmt::{self, Write};

use crate::field::{Fields, put_text};
use crate::{AppId, DecodeError, FileId, Head, ServerKind, UserId};

/// The requests of one kind of server.
///
/// A request is read in two steps, to limit the buffers: the head gives the length of the fixed part of the
/// body, and the fixed part is the request. Content behind it (UPLOAD) is never buffered.
pub trait Request: Sized {
    /// The kind of server.
    const SERVER: ServerKind;

    /// The commands, each with its name in [`AccessFields`].
    const COMMANDS: &'static [(u8, &'static str)];

    /// Length of the fixed part of the body that [`Request::decode`] needs; at most [`FIXED_MAX`].
    ///
    /// # Errors
    /// A command this server does not know, or a body length that does not fit the command.
    fn fixed_len(head: &Head) -> Result<usize, DecodeError>;

    /// The request, from the head and exactly [`Request::fixed_len`] bytes behind it.
    ///
    /// # Errors
    /// A field that breaks its rule.
    fn decode(head: &Head, fixed: &[u8]) -> Result<Self, DecodeError>;

    /// The permission that the request needs.
    fn permission(&self) -> Permission<'_>;

    /// The columns of the access log.
    fn access_fields(&self) -> AccessFields<'_>;
}

/// The permission that a request needs where a key is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission<'a> {
    /// That of any key.
    AnyKey,
    /// That of a key of nodes, or of this application.
    App(&'a AppId),
    /// That of a key of nodes.
    Node,
}

/// The columns of an access log that come from the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessFields<'a> {
    /// The name of the command.
    pub command: &'static str,
    /// The application.
    pub app: Option<&'a AppId>,
    /// The user.
    pub user: Option<&'a UserId>,
    /// The file, or the member or key of a request without a file.
    pub file: Option<Cow<'a, str>>,
}

impl<'a> AccessFields<'a> {
    /// Of a request for a file.
    pub(crate) fn file(command: &'static str, key: &'a FileKey) -> AccessFields<'a> {
        AccessFields {
            command,
            app: Some(&key.app),
            user: Some(&key.user),
            file: Some(key.file.as_str().into()),
        }
    }

    /// Of a request for something that belongs to no user.
    pub(crate) fn thing(command: &'static str, thing: impl Into<Cow<'a, str>>) -> AccessFields<'a> {
        AccessFields {
            command,
            app: None,
            user: None,
            file: Some(thing.into()),
        }
    }
}

/// The columns, separated by blanks: an absent one is `-`, and a blank in a name is `%20`.
impl fmt::Display for AccessFields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.command)?;
        let app = self.app.map(AppId::as_str);
        let user = self.user.map(UserId::as_str);
        [app, user, self.file.as_deref()]
            .into_iter()
            .try_for_each(|column| write_column(f, column))
    }
}

fn write_column(f: &mut fmt::Formatter<'_>, text: Option<&str>) -> fmt::Result {
    f.write_char(' ')?;
    for (idx, word) in text.unwrap_or("-").split(' ').enumerate() {
        if idx > 0 {
            f.write_str("%20")?;
        }
        f.write_str(word)?;
    }
    Ok(())
}

/// Longest fixed part of any request, in bytes.
pub const FIXED_MAX: usize = 8 << 10;

/// Length of a [`FileKey`] on the wire, in bytes: most requests begin with one.
pub const FILE_KEY_LEN: usize = APP_ID_LEN + USER_ID_LEN + FILE_ID_LEN;

const APP_ID_LEN: usize = 16;
const USER_ID_LEN: usize = 256;
const FILE_ID_LEN: usize = 128;

/// A file of a user: `app id 16, user id 256, file id 128`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// The application.
    pub app: AppId,
    /// The user within it.
    pub user: UserId,
    /// The file of the user.
    pub file: FileId,
}

impl FileKey {
    pub(crate) fn decode(fields: &mut Fields<'_>) -> Result<FileKey, DecodeError> {
        let (app, user) = decode_owner(fields)?;
        let file = FileId::new(fields.text("fileid", FILE_ID_LEN)?)?;
        Ok(FileKey { app, user, file })
    }

    pub(crate) fn encode(&self, body: &mut Vec<u8>) {
        encode_key(body, &self.app, &self.user, self.file.as_str());
    }
}

impl std::fmt::Display for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.app, self.user, self.file)
    }
}

/// The fields of a [`FileKey`] whose file id may be empty, as in SADDRS.
pub(crate) fn decode_key_of_user(
    fields: &mut Fields<'_>,
) -> Result<(AppId, UserId, Option<FileId>), DecodeError> {
    let (app, user) = decode_owner(fields)?;
    let file = match fields.text("fileid", FILE_ID_LEN)? {
        "" => None,
        text => Some(FileId::new(text)?),
    };
    Ok((app, user, file))
}

pub(crate) fn encode_key(body: &mut Vec<u8>, app: &AppId, user: &UserId, file: &str) {
    put_text(body, app.as_str(), APP_ID_LEN);
    put_text(body, user.as_str(), USER_ID_LEN);
    put_text(body, file, FILE_ID_LEN);
}

fn decode_owner(fields: &mut Fields<'_>) -> Result<(AppId, UserId), DecodeError> {
    let app = AppId::new(fields.text("appid", APP_ID_LEN)?)?;
    let user = UserId::new(fields.text("userid", USER_ID_LEN)?)?;
    Ok((app, user))
}

/// Returns `len` when the head has that length.
pub(crate) fn exactly(
    head: &Head,
    len: usize,
    expected: &'static str,
) -> Result<usize, DecodeError> {
    if head.body_len == len as i64 {
        return Ok(len);
    }
    Err(body_length(head, expected))
}

pub(crate) fn body_length(head: &Head, expected: &'static str) -> DecodeError {
    DecodeError::BodyLength {
        command: head.command,
        actual: head.body_len,
        expected,
    }
}
