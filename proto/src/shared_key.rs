//! Shared keys: of the nodes of a cluster, of one application, and of signed URLs.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::AppId;

/// Fewest characters of a key.
pub const KEY_MIN: usize = 16;
/// Most characters of a key.
pub const KEY_MAX: usize = 256;

/// Length of a [`KeyId`], in bytes.
pub const KEY_ID_LEN: usize = 8;
/// Length of a [`Signature`], in bytes.
pub const SIGNATURE_LEN: usize = 32;

/// Tells the holder of several keys which one is meant. It does not reveal the key.
pub type KeyId = [u8; KEY_ID_LEN];
/// An HMAC-SHA-256.
pub type Signature = [u8; SIGNATURE_LEN];

/// A key that both sides know.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedKey {
    text: String,
    app: Option<AppId>,
    /// Computed once: servers look a key up by its id for every request.
    id: KeyId,
}

/// The keys of one file, at least one. The first one signs, and all of them verify, so that keys can be changed
/// without a stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRing(Vec<SharedKey>);

/// The line of a key file that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A line has more than two words, or its first word is no application.
    #[error("line {0} is neither a key nor an application and its key")]
    Line(usize),
    /// A key has the wrong length, or characters that are not printable ASCII.
    #[error("line {0}: a key has {KEY_MIN} to {KEY_MAX} printable ASCII characters and no blank")]
    Key(usize),
    /// No line has a key.
    #[error("it has no key")]
    Empty,
}

impl KeyRing {
    /// Reads the text of a key file. A line has a key, or an application, a blank and its key. Empty lines and
    /// lines that begin with `#` are ignored.
    ///
    /// # Errors
    /// The first line that cannot be used, counted from 1.
    pub fn parse(text: &str) -> Result<KeyRing, KeyError> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let keys: Vec<SharedKey> = lines
            .map(|(number, line)| SharedKey::parse(number, line))
            .collect::<Result<_, KeyError>>()?;
        if keys.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(KeyRing(keys))
    }

    /// The key that signs.
    pub fn signing(&self) -> &SharedKey {
        &self.0[0]
    }

    /// The key with this id.
    pub fn find(&self, id: &KeyId) -> Option<&SharedKey> {
        self.0.iter().find(|key| key.id() == *id)
    }

    /// All keys, the signing one first.
    pub fn keys(&self) -> &[SharedKey] {
        &self.0
    }
}

impl SharedKey {
    fn parse(number: usize, line: &str) -> Result<SharedKey, KeyError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (app, text) = match words[..] {
            [text] => (None, text),
            [app, text] => (Some(app), text),
            _ => return Err(KeyError::Line(number)),
        };
        let app = app.map(AppId::new).transpose();
        let app = app.map_err(|_| KeyError::Line(number))?;
        let is_printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_printable || !(KEY_MIN..=KEY_MAX).contains(&text.len()) {
            return Err(KeyError::Key(number));
        }
        let signature = mac(text, &[b"tnv key id 1"]).finalize().into_bytes();
        Ok(SharedKey {
            text: text.to_owned(),
            app,
            id: *signature.first_chunk().expect("a signature is longer"),
        })
    }

    /// The application whose files the key is limited to; absent for a key of nodes.
    pub fn app(&self) -> Option<&AppId> {
        self.app.as_ref()
    }

    /// The id of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Signs the parts, one after another.
    pub(crate) fn sign(&self, parts: &[&[u8]]) -> Signature {
        mac(&self.text, parts).finalize().into_bytes().into()
    }

    /// True if `signature` is that of the parts. Compares in constant time.
    pub(crate) fn verifies(&self, parts: &[&[u8]], signature: &Signature) -> bool {
        mac(&self.text, parts).verify_slice(signature).is_ok()
    }
}

fn mac(key: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("every length is a key");
    parts.iter().for_each(|part| mac.update(part));
    mac
}

/// Hides the key.
impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKey")
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef";

    #[test]
    fn a_file_has_keys_of_nodes_and_of_applications() {
        let text = format!("# of the nodes\n{KEY}\n\n  app1\t{KEY}x  \n");
        let ring = KeyRing::parse(&text).unwrap();
        let apps: Vec<_> = ring.keys().iter().map(SharedKey::app).collect();
        assert_eq!(apps, [None, Some(&AppId::new("app1").unwrap())]);
        assert_eq!(ring.signing(), &ring.keys()[0]);
        let [node, app] = ring.keys() else { panic!() };
        assert_ne!(node.id(), app.id());
        assert_eq!(ring.find(&app.id()), Some(app));
        assert_eq!(ring.find(&[0; KEY_ID_LEN]), None);
        assert!(!format!("{ring:?}").contains(KEY));
    }

    #[test]
    fn the_line_of_an_invalid_key_is_named() {
        for (text, expected) in [
            ("", KeyError::Empty),
            ("# none\n", KeyError::Empty),
            ("0123456789abcde", KeyError::Key(1)),
            ("0123456789abcdef\nshort", KeyError::Key(2)),
            ("0123456789abcdé0", KeyError::Key(1)),
            ("a-b 0123456789abcdef", KeyError::Line(1)),
            ("\napp 0123456789abcdef rest", KeyError::Line(2)),
        ] {
            assert_eq!(KeyRing::parse(text), Err(expected), "{text:?}");
        }
        assert!(KeyRing::parse(&"k".repeat(KEY_MAX)).is_ok());
        assert!(KeyRing::parse(&"k".repeat(KEY_MAX + 1)).is_err());
    }
}
