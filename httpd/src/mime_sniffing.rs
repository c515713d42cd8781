//! Detection of media types by the first bytes of a file.

use crate::media_type::{DASH, HLS, MPEG_TS, SEGMENT, UNKNOWN, WEBVTT};

/// Number of first bytes that [`media_type`] uses.
pub(crate) const LEN: u64 = 512;

/// The type of media with these first bytes; [`UNKNOWN`] for all other content. A stored HTML page must
/// not become a page of this site.
pub(crate) fn media_type(first: &[u8]) -> &'static str {
    let found = text(first)
        .or_else(|| iso_base_media(first))
        .or_else(|| ogg(first))
        .or_else(|| transport_stream(first));
    found.or_else(|| registered(first)).unwrap_or(UNKNOWN)
}

/// Playlists (RFC 8216, 4.3.1.1; ISO/IEC 23009-1) and subtitles (WebVTT, section 4.1). A byte order
/// mark may precede the text.
fn text(first: &[u8]) -> Option<&'static str> {
    let text = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first);
    let is_line = |word: &[u8]| {
        let rest = text.strip_prefix(word);
        rest.is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
    };
    let has_tag = |tag: &[u8]| text.windows(tag.len()).any(|window| window == tag);
    if is_line(b"#EXTM3U") {
        Some(HLS)
    } else if is_line(b"WEBVTT") {
        Some(WEBVTT)
    } else if text.trim_ascii_start().starts_with(b"<") && has_tag(b"<MPD") {
        Some(DASH)
    } else {
        None
    }
}

/// The first box of a file (ISO/IEC 14496-12): its size, its type and, of `ftyp`, the brands.
fn iso_base_media(first: &[u8]) -> Option<&'static str> {
    let (size, rest) = first.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let len = u32::from_be_bytes(*size) as usize;
    match kind {
        b"ftyp" if len >= 12 => Some(of_brands(rest.chunks_exact(4).take((len - 8) / 4))),
        b"styp" | b"moof" if len >= 8 => Some(SEGMENT),
        // Old files without brands.
        b"moov" if len >= 8 => Some("video/quicktime"),
        _ => None,
    }
}

/// The type of a major brand, a version and compatible brands. An unknown brand is one of the many of
/// MP4.
fn of_brands<'a>(mut brands: impl Iterator<Item = &'a [u8]>) -> &'static str {
    let major = brands.next().unwrap_or_default();
    let mut compatible = brands.skip(1);
    match major {
        b"M4A " | b"M4B " | b"M4P " | b"F4A " | b"F4B " => "audio/mp4",
        b"qt  " => "video/quicktime",
        b"avif" | b"avis" => "image/avif",
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" => "image/heic",
        b"mif1" | b"msf1" if compatible.any(|brand| matches!(brand, b"avif" | b"avis")) => {
            "image/avif"
        }
        b"mif1" | b"msf1" => "image/heif",
        b"crx " => "image/x-canon-cr3",
        [b'3', b'g', b'2', _] => "video/3gpp2",
        [b'3', b'g', ..] => "video/3gpp",
        _ => "video/mp4",
    }
}

/// The type of an Ogg file (RFC 3533). It begins with the first page of each stream, which identifies
/// the codec.
fn ogg(first: &[u8]) -> Option<&'static str> {
    const PAGE_HEAD: usize = 27;
    const VIDEO: [&[u8]; 4] = [b"\x80theora", b"BBCD", b"OVP80", b"\x01video"];
    let mut pages = first;
    let mut media_type = None;
    while pages.starts_with(b"OggS") && pages.len() > PAGE_HEAD {
        let (head, rest) = pages.split_at(PAGE_HEAD);
        let (lens, body) = rest.split_at_checked(head[26].into())?;
        if VIDEO.iter().any(|codec| body.starts_with(codec)) {
            return Some("video/ogg");
        }
        // RFC 5334 and, of Opus, RFC 7845, section 9.
        media_type = Some("audio/ogg");
        let len: usize = lens.iter().map(|len| usize::from(*len)).sum();
        pages = body.get(len..).unwrap_or_default();
    }
    media_type
}

/// Detects packets of 188 bytes with the same first byte (ISO/IEC 13818-1). On Blu-ray discs each has
/// a time stamp of four bytes in front.
fn transport_stream(first: &[u8]) -> Option<&'static str> {
    const SYNC: u8 = 0x47;
    const PACKETS_MIN: usize = 2;
    let is_stream = |(start, packet): (usize, usize)| {
        let syncs = first.iter().skip(start).step_by(packet);
        syncs.len() >= PACKETS_MIN && syncs.into_iter().all(|byte| *byte == SYNC)
    };
    let forms = [(0, 188), (0, 192), (4, 192)];
    forms.into_iter().any(is_stream).then_some(MPEG_TS)
}

fn registered(first: &[u8]) -> Option<&'static str> {
    use infer::MatcherType::{Audio, Image, Video};
    let kind = infer::get(first)?;
    let is_media = matches!(kind.matcher_type(), Audio | Image | Video);
    is_media.then(|| match kind.mime_type() {
        // RFC 9639, section 12.1.
        "audio/x-flac" => "audio/flac",
        media_type => media_type,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(first: &[u8]) -> Vec<u8> {
        let mut bytes = first.to_vec();
        bytes.resize(LEN as usize, 0);
        bytes
    }

    fn ftyp(major: &[u8; 4], compatible: &[&[u8; 4]]) -> Vec<u8> {
        let len = 16 + 4 * compatible.len() as u32;
        let compatible: Vec<u8> = compatible.iter().copied().flatten().copied().collect();
        padded(
            &[
                &len.to_be_bytes(),
                &b"ftyp"[..],
                major,
                &[0; 4],
                &compatible,
            ]
            .concat(),
        )
    }

    fn ogg_page(packet: &[u8]) -> Vec<u8> {
        let mut page = b"OggS\0\x02".to_vec();
        page.resize(26, 0);
        page.extend([1, packet.len() as u8]);
        page.extend(packet);
        page
    }

    #[test]
    fn brands_tell_one_media_file_from_another() {
        for (major, expected) in [
            (b"isom", "video/mp4"),
            (b"mp42", "video/mp4"),
            (b"iso8", "video/mp4"),
            (b"cmfc", "video/mp4"),
            (b"hvc1", "video/mp4"),
            (b"f4v ", "video/mp4"),
            (b"zzzz", "video/mp4"),
            (b"M4V ", "video/mp4"),
            (b"M4A ", "audio/mp4"),
            (b"M4B ", "audio/mp4"),
            (b"3gp4", "video/3gpp"),
            (b"3gp5", "video/3gpp"),
            (b"3ge6", "video/3gpp"),
            (b"3g2a", "video/3gpp2"),
            (b"qt  ", "video/quicktime"),
            (b"avif", "image/avif"),
            (b"heic", "image/heic"),
            (b"mif1", "image/heif"),
        ] {
            assert_eq!(media_type(&ftyp(major, &[])), expected, "{major:?}");
        }
        assert_eq!(
            media_type(&ftyp(b"mif1", &[b"miaf", b"avif"])),
            "image/avif"
        );
        for kind in [b"styp", b"moof"] {
            let first = [&24u32.to_be_bytes(), &kind[..]].concat();
            assert_eq!(media_type(&padded(&first)), SEGMENT);
        }
    }

    #[test]
    fn ogg_is_video_if_one_of_its_streams_is() {
        let theora = ogg_page(b"\x80theora\x03\x02\x01");
        let vorbis = ogg_page(b"\x01vorbis");
        let skeleton = ogg_page(b"fishead\0");
        assert_eq!(media_type(&padded(&theora)), "video/ogg");
        let both = [&skeleton[..], &vorbis, &theora].concat();
        assert_eq!(media_type(&both), "video/ogg");
        assert_eq!(media_type(&padded(&vorbis)), "audio/ogg");
        assert_eq!(media_type(&padded(&ogg_page(b"OpusHead\x01"))), "audio/ogg");
    }

    #[test]
    fn packets_make_a_transport_stream() {
        for (start, packet) in [(0, 188), (0, 192), (4, 192)] {
            let mut stream = vec![0xff; LEN as usize];
            for sync in stream.iter_mut().skip(start).step_by(packet) {
                *sync = 0x47;
            }
            assert_eq!(media_type(&stream), MPEG_TS, "{start} {packet}");
            stream[start + packet] = 0;
            assert_eq!(media_type(&stream), UNKNOWN);
        }
        assert_eq!(media_type(b"G"), UNKNOWN);
    }

    #[test]
    fn playlists_and_subtitles_are_text() {
        for (text, expected) in [
            (&b"#EXTM3U\n#EXT-X-VERSION:3\n"[..], HLS),
            (b"\xef\xbb\xbf#EXTM3U\r\n", HLS),
            (b"#EXTM3U", HLS),
            (b"#EXTM3U8", UNKNOWN),
            (b"WEBVTT\n\n", WEBVTT),
            (b"WEBVTT - a title\n", WEBVTT),
            (b"WEBVTTX", UNKNOWN),
            (b"<?xml version=\"1.0\"?>\n<MPD xmlns=\"u\">", DASH),
            (b"<MPD>", DASH),
            (b"a <MPD>", UNKNOWN),
            (
                b"<!DOCTYPE html><html><script>alert(1)</script></html>",
                UNKNOWN,
            ),
            (b"<svg xmlns=\"http://www.w3.org/2000/svg\">", UNKNOWN),
            (b"%PDF-1.7\n", UNKNOWN),
            (b"plain text", UNKNOWN),
            (b"", UNKNOWN),
        ] {
            assert_eq!(media_type(text), expected, "{text:?}");
        }
    }
}
