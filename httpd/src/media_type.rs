//! Media types of file extensions, and what a browser may do with each type.

/// The type of unknown content.
pub(crate) const UNKNOWN: &str = "application/octet-stream";
pub(crate) const HLS: &str = "application/vnd.apple.mpegurl";
pub(crate) const DASH: &str = "application/dash+xml";
pub(crate) const MPEG_TS: &str = "video/mp2t";
/// A single media segment (ISO/IEC 23009-1, annex C).
pub(crate) const SEGMENT: &str = "video/iso.segment";
pub(crate) const WEBVTT: &str = "text/vtt";

/// Images without scripts, so without SVG.
const RASTER: [&str; 14] = [
    "image/apng",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/heic",
    "image/heif",
    "image/jp2",
    "image/jpeg",
    "image/jxl",
    "image/png",
    "image/tiff",
    "image/vnd.microsoft.icon",
    "image/webp",
    "image/x-icon",
];
/// Playlists and subtitles that are neither XML nor named `audio/` or `video/`, and plain text.
const TEXTS: [&str; 6] = [
    HLS,
    WEBVTT,
    "application/x-subrip",
    "text/plain",
    "text/vnd.dvb.subtitle",
    "text/x-ssa",
];
/// Playlists and subtitles in XML, which a browser shows as a document.
const XML: [&str; 4] = [
    DASH,
    "application/smil+xml",
    "application/ttml+xml",
    "application/xspf+xml",
];

/// The permission of a browser that opens the URL of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Display {
    /// Show or play it.
    Inline,
    /// Show it as a document without scripts and without this site's origin.
    Sandboxed,
    /// Save it, and not run it in any case: the type may hold scripts, or is not known to hold none.
    Attachment,
}

/// The purpose of a file for a player.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    HlsPlaylist,
    DashManifest,
    Media,
    Image,
    Subtitle,
    Other,
}

impl Display {
    pub(crate) fn of(media_type: &str) -> Display {
        let is_media = media_type.starts_with("audio/") || media_type.starts_with("video/");
        if XML.contains(&media_type) {
            Display::Sandboxed
        } else if is_media || RASTER.contains(&media_type) || TEXTS.contains(&media_type) {
            Display::Inline
        } else {
            Display::Attachment
        }
    }
}

impl Role {
    pub(crate) fn of(media_type: &str) -> Role {
        match media_type {
            HLS | "audio/x-mpegurl" => Role::HlsPlaylist,
            DASH => Role::DashManifest,
            WEBVTT
            | "application/x-subrip"
            | "application/ttml+xml"
            | "text/vnd.dvb.subtitle"
            | "text/x-ssa" => Role::Subtitle,
            _ if media_type.starts_with("image/") => Role::Image,
            _ if media_type.starts_with("audio/") || media_type.starts_with("video/") => {
                Role::Media
            }
            _ => Role::Other,
        }
    }

    fn is_playlist(self) -> bool {
        matches!(self, Role::HlsPlaylist | Role::DashManifest)
    }
}

/// The type that the extension of a name stands for.
pub(crate) fn of_name(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    let extension = extension.to_ascii_lowercase();
    // What players expect of the formats that the registry of extensions is behind on.
    let media_type = match extension.as_str() {
        "ts" | "mts" | "m2t" | "m2ts" => MPEG_TS,
        "m3u8" => HLS,
        "mpd" => DASH,
        "m4s" => SEGMENT,
        "vtt" => WEBVTT,
        "ttml" | "dfxp" => "application/ttml+xml",
        "ass" | "ssa" => "text/x-ssa",
        "cmfv" | "f4v" | "m4v" => "video/mp4",
        // RFC 4337, section 3.
        "cmfa" | "f4a" | "m4a" | "m4b" => "audio/mp4",
        _ => mime_guess::from_ext(&extension).first_raw()?,
    };
    Some(if is_script(media_type) {
        UNKNOWN
    } else {
        media_type
    })
}

/// True if pages run, or style themselves with, what they get as this type, however it is to be
/// displayed on its own.
fn is_script(media_type: &str) -> bool {
    media_type.ends_with("javascript")
        || matches!(
            media_type,
            "text/css" | "application/wasm" | "application/x-shockwave-flash"
        )
}

/// The type of a file with a name that stands for `named` and content or an id that stands for
/// `found`. `None` if the name means another file: a player that resolves the name of a segment
/// against the address of a playlist must not get the playlist.
pub(crate) fn reconcile(named: &'static str, found: &'static str) -> Option<&'static str> {
    let (name, content) = (Role::of(named), Role::of(found));
    match (name, content) {
        _ if name == content => Some(named),
        (Role::Other, _) if content.is_playlist() => Some(found),
        (Role::Other, _) | (_, Role::Other) => Some(named),
        // A player asks for neither in place of the other.
        (Role::Media, Role::Image) | (Role::Image, Role::Media) => Some(named),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_type_that_players_expect() {
        for (name, expected) in [
            ("a.mp4", "video/mp4"),
            ("b.WEBM", "video/webm"),
            ("c.ts", "video/mp2t"),
            ("c.mts", "video/mp2t"),
            ("c.m2t", "video/mp2t"),
            ("c.m2ts", "video/mp2t"),
            ("d.m3u8", "application/vnd.apple.mpegurl"),
            ("d.mpd", "application/dash+xml"),
            ("d.m4s", "video/iso.segment"),
            ("d.vtt", "text/vtt"),
            ("e.mp3", "audio/mpeg"),
            ("e.m4a", "audio/mp4"),
            ("e.m4b", "audio/mp4"),
            ("e.opus", "audio/ogg"),
            ("e.ogv", "video/ogg"),
            ("f.flv", "video/x-flv"),
            ("g.mkv", "video/x-matroska"),
            ("movie/h.v2.mov", "video/quicktime"),
            ("i.txt", "text/plain"),
            ("j.js", "application/octet-stream"),
            ("j.mjs", "application/octet-stream"),
            ("j.css", "application/octet-stream"),
            ("j.swf", "application/octet-stream"),
        ] {
            assert_eq!(of_name(name), Some(expected), "{name}");
        }
        assert_eq!(of_name("noextension"), None);
        assert_eq!(of_name("x.unheardof"), None);
    }

    #[test]
    fn only_types_without_scripts_are_displayed() {
        let display = |name: &str| Display::of(of_name(name).unwrap());
        for name in [
            "a.mp4", "a.ts", "a.m4s", "a.mp3", "a.m3u8", "a.m3u", "a.vtt", "a.srt", "a.ass",
            "a.jpg", "a.png", "a.webp", "a.avif", "a.gif", "a.txt",
        ] {
            assert_eq!(display(name), Display::Inline, "{name}");
        }
        for name in ["a.mpd", "a.ttml", "a.xspf"] {
            assert_eq!(display(name), Display::Sandboxed, "{name}");
        }
        for name in [
            "a.html", "a.htm", "a.xhtml", "a.shtml", "a.svg", "a.svgz", "a.xml", "a.xsl", "a.rdf",
            "a.mathml", "a.js", "a.mjs", "a.pdf", "a.swf", "a.css", "a.wasm", "a.zip", "a.json",
        ] {
            assert_eq!(display(name), Display::Attachment, "{name}");
        }
        assert_eq!(Display::of(UNKNOWN), Display::Attachment);
    }

    #[test]
    fn a_name_of_another_role_means_another_file() {
        for (named, found, expected) in [
            ("video/mp4", "video/quicktime", Some("video/mp4")),
            ("video/mp4", UNKNOWN, Some("video/mp4")),
            ("audio/x-mpegurl", HLS, Some("audio/x-mpegurl")),
            ("image/jpeg", "video/mp4", Some("image/jpeg")),
            ("text/html", MPEG_TS, Some("text/html")),
            ("text/plain", HLS, Some(HLS)),
            (UNKNOWN, DASH, Some(DASH)),
            (MPEG_TS, HLS, None),
            (SEGMENT, DASH, None),
            (WEBVTT, HLS, None),
            (MPEG_TS, WEBVTT, None),
            ("image/jpeg", HLS, None),
            (HLS, DASH, None),
            (HLS, MPEG_TS, None),
            (DASH, SEGMENT, None),
            (HLS, WEBVTT, None),
        ] {
            assert_eq!(reconcile(named, found), expected, "{named} {found}");
        }
    }
}
