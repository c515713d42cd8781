//! What is told about a file's content besides its bytes.

use std::io::Read;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::{Client, Download, Error, Stat};
use proto::FileKey;

use crate::cache::{Key, Types};
use crate::media_type::{self, Role};
use crate::signature;
use crate::target::Target;

/// Size of the largest file with a name whose first bytes are looked at for each request, in bytes:
/// a playlist of a day in segments of six seconds is smaller.
const LOOK_MAX: u64 = 1 << 20;

/// Size and validators of a file (RFC 9110, 8.8).
#[derive(Debug, Clone)]
pub(crate) struct Entity {
    pub(crate) size: u64,
    pub(crate) checksum: Option<u128>,
    /// Strong when the storage knows the checksum, weak when it knows the time only.
    pub(crate) tag: Option<String>,
    /// Whole seconds; not known behind a C++ storage.
    pub(crate) modified: Option<SystemTime>,
}

impl From<Stat> for Entity {
    fn from(stat: Stat) -> Entity {
        let modified = stat.modified.and_then(|secs| u64::try_from(secs).ok());
        let tag = match (stat.checksum, modified) {
            (Some(checksum), _) => Some(format!("\"{checksum:032x}\"")),
            (None, Some(secs)) => Some(format!("W/\"{:x}-{secs:x}\"", stat.size)),
            (None, None) => None,
        };
        let modified = modified.map(|secs| UNIX_EPOCH + Duration::from_secs(secs));
        Entity {
            size: stat.size,
            checksum: stat.checksum,
            tag,
            modified,
        }
    }
}

impl Entity {
    /// Whether it may be the same content, as far as both know.
    pub(crate) fn may_be(&self, other: &Entity) -> bool {
        let same_tag = match (&self.tag, &other.tag) {
            (Some(ours), Some(theirs)) => ours == theirs,
            // A C++ storage knows none.
            _ => true,
        };
        self.size == other.size && same_tag
    }
}

/// The beginning of a file, as far as it is on its way already.
pub(crate) struct Beginning<'a> {
    /// The first bytes, which tell the type.
    pub(crate) first: Option<Download>,
    /// The content of the answer.
    pub(crate) content: Option<&'a Download>,
}

/// The type of a file: what its name stands for, else its id, else its first bytes. `None` if the
/// name means another file, see [`media_type::reconcile`].
///
/// # Errors
/// The file's first bytes cannot be had. They may be at hand in `beginning`.
pub(crate) fn media_type(
    client: &Client,
    types: &Types,
    target: &Target,
    entity: &Entity,
    beginning: Beginning<'_>,
) -> Result<Option<&'static str>, Error> {
    let by_id = media_type::of_name(target.key.file.as_str());
    let look = || look(client, &target.key, entity.size, beginning);
    let key = type_key(&target.key, entity);
    // A C++ storage knows nothing that a type could be remembered by.
    let costs_each_time = key.is_none() && entity.size > LOOK_MAX;
    let by_content = || type_by_content(types, key, look);
    let Some(named) = target.name.as_deref().and_then(media_type::of_name) else {
        return by_id.map_or_else(by_content, Ok).map(Some);
    };
    let found = match by_id {
        Some(by_id) if Role::of(by_id) != Role::Other => by_id,
        _ if costs_each_time => return Ok(Some(named)),
        _ => by_content()?,
    };
    Ok(media_type::reconcile(named, found))
}

/// What the type of a file is remembered by; `None` if another file under the same id would pass for
/// this one.
fn type_key(file: &FileKey, entity: &Entity) -> Option<Key> {
    match (entity.checksum, &entity.tag) {
        (Some(checksum), _) => Some(Key::Content(checksum)),
        (None, Some(tag)) => Some(Key::File(file.clone(), tag.clone())),
        (None, None) => None,
    }
}

fn type_by_content(
    types: &Types,
    key: Option<Key>,
    look: impl FnOnce() -> Result<&'static str, Error>,
) -> Result<&'static str, Error> {
    let Some(key) = key else {
        return look();
    };
    if let Some(known) = types.get(&key) {
        return Ok(known);
    }
    let found = look()?;
    types.put(key, found);
    Ok(found)
}

fn look(
    client: &Client,
    file: &FileKey,
    size: u64,
    beginning: Beginning<'_>,
) -> Result<&'static str, Error> {
    let len = signature::LEN.min(size);
    let mut bytes = [0; signature::LEN as usize];
    let bytes = &mut bytes[..len as usize];
    let Beginning { first, content } = beginning;
    if content.is_some_and(|content| content.offset() == 0 && content.peek(bytes) == bytes.len()) {
        return Ok(signature::media_type(bytes));
    }
    let at_hand = first.filter(|first| (first.offset(), first.remaining()) == (0, len));
    let mut download = match at_hand {
        Some(first) => first,
        None => client.read_range(file, 0, Some(len))?,
    };
    download
        .read_exact(bytes)
        .map_err(|e| e.downcast().unwrap_or_else(Error::Source))?;
    Ok(signature::media_type(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(checksum: Option<u128>, modified: Option<i64>) -> Option<String> {
        Entity::from(Stat {
            size: 255,
            modified,
            checksum,
        })
        .tag
    }

    #[test]
    fn a_tag_is_as_strong_as_what_is_known() {
        assert_eq!(
            tag(Some(1), Some(2)).unwrap(),
            "\"00000000000000000000000000000001\""
        );
        assert_eq!(tag(None, Some(16)).unwrap(), "W/\"ff-10\"");
        assert_eq!(tag(None, None), None);
    }
}
