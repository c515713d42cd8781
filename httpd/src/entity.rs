//! What is told about a file's content besides its bytes.

use std::io::Read;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::{Client, Error, Stat};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proto::FileKey;

use crate::cache::{Key, Types};
use crate::target::Target;

/// Enough for every signature that `infer` knows of.
const SIGNATURE_LEN: u64 = 512;
const UNKNOWN_TYPE: &str = "application/octet-stream";

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

/// The content type: by the name the client gave, else by the first bytes.
///
/// # Errors
/// The file's first bytes cannot be had.
pub(crate) fn content_type(
    client: &Client,
    types: &Types,
    target: &Target,
    entity: &Entity,
) -> Result<String, Error> {
    if let Some(by_name) = target.name.as_deref().and_then(type_of_name) {
        return Ok(by_name);
    }
    let key = match (entity.checksum, &entity.tag) {
        (Some(checksum), _) => Key::Content(checksum),
        (None, Some(tag)) => Key::File(target.key.clone(), tag.clone()),
        // Another file under the same id would pass for this one.
        (None, None) => {
            return type_of_content(client, &target.key, entity.size).map(str::to_owned);
        }
    };
    if let Some(known) = types.get(&key) {
        return Ok(known.to_owned());
    }
    let found = type_of_content(client, &target.key, entity.size)?;
    types.put(key, found);
    Ok(found.to_owned())
}

/// What players expect of the formats that the registry of names is behind on.
fn type_of_name(name: &str) -> Option<String> {
    let (_, extension) = name.rsplit_once('.')?;
    let streaming = match extension.to_ascii_lowercase().as_str() {
        "ts" | "m2ts" => Some("video/mp2t"),
        "m3u8" => Some("application/vnd.apple.mpegurl"),
        "mpd" => Some("application/dash+xml"),
        "m4s" => Some("video/iso.segment"),
        "vtt" => Some("text/vtt"),
        _ => None,
    };
    let registered = || {
        mime_guess::from_path(name)
            .first()
            .map(|mime| mime.to_string())
    };
    streaming.map(str::to_owned).or_else(registered)
}

fn type_of_content(client: &Client, key: &FileKey, size: u64) -> Result<&'static str, Error> {
    let mut first = Vec::new();
    let mut download = client.read_range(key, 0, Some(SIGNATURE_LEN.min(size)))?;
    download
        .read_to_end(&mut first)
        .map_err(|e| e.downcast().unwrap_or_else(Error::Source))?;
    let media = |kind: &infer::Type| {
        use infer::MatcherType::{Audio, Image, Video};
        matches!(kind.matcher_type(), Audio | Image | Video)
    };
    // A page that somebody stored must not become a page of this site by itself.
    Ok(infer::get(&first)
        .filter(media)
        .map_or(UNKNOWN_TYPE, |kind| kind.mime_type()))
}

/// The name for a file that is saved (RFC 6266); shown or played all the same.
pub(crate) fn disposition(name: &str) -> String {
    /// RFC 8187, attr-char.
    const OTHERS: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'!')
        .remove(b'#')
        .remove(b'$')
        .remove(b'&')
        .remove(b'+')
        .remove(b'-')
        .remove(b'.')
        .remove(b'^')
        .remove(b'_')
        .remove(b'`')
        .remove(b'|')
        .remove(b'~');
    let plain = |c: char| {
        if c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ' {
            c
        } else {
            '_'
        }
    };
    let fallback: String = name.chars().map(plain).collect();
    let exact = utf8_percent_encode(name, OTHERS);
    format!("inline; filename=\"{fallback}\"; filename*=UTF-8''{exact}")
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

    #[test]
    fn names_tell_the_type_that_players_expect() {
        let kinds = [
            "a.mp4", "b.WEBM", "c.ts", "d.m3u8", "e.mp3", "f.flv", "g.mkv",
        ]
        .map(type_of_name);
        let expected = [
            "video/mp4",
            "video/webm",
            "video/mp2t",
            "application/vnd.apple.mpegurl",
            "audio/mpeg",
            "video/x-flv",
            "video/x-matroska",
        ];
        assert_eq!(kinds.map(Option::unwrap), expected);
        assert_eq!(type_of_name("noextension"), None);
    }

    #[test]
    fn a_name_cannot_break_out_of_its_field() {
        assert_eq!(
            disposition("Der \"Film\"\\ü.mp4"),
            "inline; filename=\"Der _Film___.mp4\"; filename*=UTF-8''Der%20%22Film%22%5C%C3%BC.mp4"
        );
    }
}
