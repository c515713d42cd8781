//! The names on the wire. Each has a type, which checks the text when it is made.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::DecodeError;

/// The characters that a name may hold.
enum Alphabet {
    /// ASCII letters and digits.
    Alphanumeric,
    /// All but control characters, which would break logs and lists.
    Printable,
}

/// The limits of one kind of name.
struct Rule {
    field: &'static str,
    bytes_max: usize,
    chars_max: usize,
    alphabet: Alphabet,
}

impl Rule {
    fn check(&self, text: &str) -> Result<(), DecodeError> {
        if text.is_empty() {
            return Err(DecodeError::Empty(self.field));
        }
        if text.len() > self.bytes_max {
            return Err(self.too_long(self.bytes_max, "bytes"));
        }
        if text.chars().count() > self.chars_max {
            return Err(self.too_long(self.chars_max, "characters"));
        }
        let (allowed, legal): (_, fn(char) -> bool) = match self.alphabet {
            Alphabet::Alphanumeric => ("letters and digits", |c| c.is_ascii_alphanumeric()),
            Alphabet::Printable => ("printable characters", |c| !c.is_control()),
        };
        if text.chars().all(legal) {
            return Ok(());
        }
        Err(DecodeError::Character {
            field: self.field,
            allowed,
            value: text.to_owned(),
        })
    }

    fn too_long(&self, max: usize, unit: &'static str) -> DecodeError {
        DecodeError::TooLong {
            field: self.field,
            max,
            unit,
        }
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $rule:expr) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(try_from = "String", into = "String")]
        // An Arc, because every request clones it.
        pub struct $type(Arc<str>);

        impl $type {
            const RULE: Rule = $rule;

            /// The name, if `text` is one.
            ///
            /// # Errors
            /// Empty, too long, or with a character the kind does not allow.
            pub fn new(text: impl AsRef<str>) -> Result<$type, DecodeError> {
                let text = text.as_ref();
                $type::RULE.check(text)?;
                Ok($type(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = DecodeError;

            fn try_from(text: String) -> Result<$type, DecodeError> {
                $type::new(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.as_str().to_owned()
            }
        }

        impl FromStr for $type {
            type Err = DecodeError;

            fn from_str(text: &str) -> Result<$type, DecodeError> {
                $type::new(text)
            }
        }
    };
}

name!(
    /// An application: 1 to 15 ASCII letters and digits.
    AppId,
    Rule {
        field: "appid",
        bytes_max: 15,
        chars_max: 15,
        alphabet: Alphabet::Alphanumeric,
    }
);

name!(
    /// A user: 1 to 255 bytes on the wire and at most 128 characters, which is what the column
    /// `userid varchar(128)` holds.
    UserId,
    Rule {
        field: "userid",
        bytes_max: 255,
        chars_max: 128,
        alphabet: Alphabet::Printable,
    }
);

name!(
    /// A file: 1 to 127 bytes. Clients make them with [`file_id`](crate::file_id).
    FileId,
    Rule {
        field: "fileid",
        bytes_max: 127,
        chars_max: 127,
        alphabet: Alphabet::Printable,
    }
);

name!(
    /// A name for people who save a file: 1 to 255 bytes. Who saves it, cleans it.
    FileName,
    Rule {
        field: "file name",
        bytes_max: 255,
        chars_max: 255,
        alphabet: Alphabet::Printable,
    }
);

name!(
    /// A group of storages: 1 to 16 ASCII letters and digits.
    GroupName,
    Rule {
        field: "group name",
        bytes_max: 16,
        chars_max: 16,
        alphabet: Alphabet::Alphanumeric,
    }
);

name!(
    /// The name of a storage's host, for people: 1 to 128 bytes.
    Hostname,
    Rule {
        field: "hostname",
        bytes_max: 128,
        chars_max: 128,
        alphabet: Alphabet::Printable,
    }
);

name!(
    /// The version a storage reports when it joins: 1 to 6 bytes.
    Version,
    Rule {
        field: "version",
        bytes_max: 6,
        chars_max: 6,
        alphabet: Alphabet::Printable,
    }
);

name!(
    /// A storage, the same across restarts: 1 to 64 ASCII letters and digits.
    NodeId,
    Rule {
        field: "node id",
        bytes_max: 64,
        chars_max: 64,
        alphabet: Alphabet::Alphanumeric,
    }
);

name!(
    /// The key of a number sequence at the idserver: 1 to 64 bytes.
    IdKey,
    Rule {
        field: "id key",
        bytes_max: 64,
        chars_max: 64,
        alphabet: Alphabet::Printable,
    }
);

name!(
    /// A cluster, as its trackers' database names it: 1 to 64 ASCII letters and digits.
    ClusterId,
    Rule {
        field: "cluster id",
        bytes_max: 64,
        chars_max: 64,
        alphabet: Alphabet::Alphanumeric,
    }
);

impl NodeId {
    /// A public stand-in for the id: a peer that knows the id itself can impersonate the storage. A storage
    /// takes orders under both.
    pub fn digest(&self) -> NodeId {
        let hash = Sha256::digest([b"tnv node ", self.as_str().as_bytes()].concat());
        let (half, _) = hash.split_at(16);
        let text: String = half.iter().map(|byte| format!("{byte:02x}")).collect();
        NodeId(text.into())
    }
}
