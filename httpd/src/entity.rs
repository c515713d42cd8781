//! Size, validators and media type of a file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::{ByteRange, Client, Download, Error, Stat};
use proto::FileKey;

use crate::globals::Globals;
use crate::media_type::{self, Role};
use crate::mime_sniffing;
use crate::target::Target;
use crate::type_cache::TypeKey;

/// Size of the largest file with a name whose type is detected for each request, in bytes. A
/// playlist of a day in segments of six seconds is smaller.
const DETECT_MAX: u64 = 1 << 20;

/// Size and validators of a file (RFC 9110, 8.8).
#[derive(Debug, Clone)]
pub(crate) struct Entity {
    pub(crate) stat: Stat,
    /// Strong if the storage knows the checksum, weak if it knows the time only.
    pub(crate) tag: Option<String>,
    /// In whole seconds. A C++ storage does not tell it.
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
            stat,
            tag,
            modified,
        }
    }
}

/// The media type of a file: that of its name, else of its id, else of its first bytes. `None` if
/// the name means another file, see [`media_type::reconcile`]. `opened` is a part of the file.
///
/// # Errors
/// The first bytes of the file cannot be read.
pub(crate) fn media_type(
    globals: &Globals,
    target: &Target,
    entity: &Entity,
    opened: &mut Download,
) -> Result<Option<&'static str>, Error> {
    let by_id = media_type::of_name(target.key.file.as_str());
    let key = type_key(&target.key, entity);
    // The type of a file at a C++ storage has no key for the cache.
    let costs_each_time = key.is_none() && entity.stat.size > DETECT_MAX;
    let by_content = || {
        let detect = || detect(&globals.client, &target.key, entity, opened);
        globals.types.get_or_insert(key, detect)
    };
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

/// The cache key of a file's type. `None` if another file under the same id would have the same
/// key.
fn type_key(file: &FileKey, entity: &Entity) -> Option<TypeKey> {
    match (entity.stat.checksum, &entity.tag) {
        (Some(checksum), _) => Some(TypeKey::Content(checksum)),
        (None, Some(tag)) => Some(TypeKey::File(file.clone(), tag.clone())),
        (None, None) => None,
    }
}

/// Detects the type by the first bytes of the file: those of `opened` if it begins there.
fn detect(
    client: &Client,
    file: &FileKey,
    entity: &Entity,
    opened: &mut Download,
) -> Result<&'static str, Error> {
    let len = mime_sniffing::LEN.min(entity.stat.size);
    let mut bytes = [0; mime_sniffing::LEN as usize];
    let bytes = &mut bytes[..len as usize];
    if opened.offset() == 0 && opened.remaining() >= len {
        opened.peek(bytes)?;
    } else {
        let first = ByteRange { offset: 0, len };
        client.read_later(file, &entity.stat, first).peek(bytes)?;
    }
    Ok(mime_sniffing::media_type(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(checksum: Option<u128>, modified: Option<i64>) -> Option<String> {
        Entity::from(Stat {
            size: 255,
            modified,
            checksum,
            expires: false,
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
