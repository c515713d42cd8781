//! What a client may tell a storage about a file beside its content.

use super::{ATTRIBUTES, STORE, UPLOAD_LEN, Upload, key_frame};
use crate::field::{Fields, put_i64, put_text, put_u64};
use crate::head::HEAD_LEN;
use crate::{DecodeError, FileKey, FileName, Head};

const NAME_LEN: usize = 256;

/// Properties that a client gave a file. The default is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// The second from which on the file does not exist, since the epoch; above 0.
    pub expires: Option<i64>,
    /// The name under which browsers save the file.
    pub name: Option<FileName>,
}

/// The fixed part of a STORE: that of an UPLOAD, and attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The new file.
    pub upload: Upload,
    /// Its attributes.
    pub attributes: Attributes,
}

impl Attributes {
    /// True without any.
    pub fn is_empty(&self) -> bool {
        *self == Attributes::default()
    }

    /// Length of the reply's body, in bytes.
    pub const LEN: usize = 8 + NAME_LEN;

    /// The body of the reply to ATTRIBUTES: `expires 8, name 256`; 0 and an empty name for none.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(Attributes::LEN);
        self.put(&mut body);
        body
    }

    /// Reads the body of the reply.
    ///
    /// # Errors
    /// A body that is too short, or a name that is none.
    pub fn decode(body: &[u8]) -> Result<Attributes, DecodeError> {
        Attributes::take(&mut Fields::new(body))
    }

    /// The request for the attributes of a file.
    pub(super) fn request(key: &FileKey) -> Vec<u8> {
        key_frame(ATTRIBUTES, key)
    }

    fn put(&self, body: &mut Vec<u8>) {
        put_i64(body, self.expires.unwrap_or(0));
        put_text(
            body,
            self.name.as_ref().map_or("", FileName::as_str),
            NAME_LEN,
        );
    }

    fn take(fields: &mut Fields<'_>) -> Result<Attributes, DecodeError> {
        let expires = fields.unsigned("expiry")?;
        let name = fields.text("file name", NAME_LEN)?;
        Ok(Attributes {
            expires: i64::try_from(expires).ok().filter(|expires| *expires > 0),
            name: (!name.is_empty()).then(|| name.parse()).transpose()?,
        })
    }
}

impl Store {
    /// Length of the fixed part of a STORE body, in bytes.
    pub const LEN: usize = UPLOAD_LEN + Attributes::LEN;

    pub(super) fn decode(
        head: &Head,
        key: FileKey,
        fields: &mut Fields<'_>,
    ) -> Result<Store, DecodeError> {
        Ok(Store {
            upload: Upload::decode(head, key, fields, Store::LEN)?,
            attributes: Attributes::take(fields)?,
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let Upload { key, size } = &self.upload;
        let head = Head::request(STORE, (Store::LEN as u64).saturating_add(*size));
        let mut bytes = Vec::with_capacity(HEAD_LEN + Store::LEN);
        bytes.extend_from_slice(&head.encode());
        key.encode(&mut bytes);
        put_u64(&mut bytes, *size);
        self.attributes.put(&mut bytes);
        bytes
    }
}
