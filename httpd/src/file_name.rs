//! File names for clients that save a file (RFC 6266).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Limit on a name, in bytes. File systems take 255, and a download may add a suffix.
const LEN_MAX: usize = 200;
/// Limit on the extension that is kept when a name is cut, in bytes.
const EXTENSION_MAX: usize = 16;
/// Names of Windows devices, with any extension.
const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];
/// Names of Windows devices with a digit behind.
const NUMBERED_DEVICES: [&str; 2] = ["COM", "LPT"];
/// RFC 8187, 3.2.1: all but attr-char.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
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

/// A safe file name made from a text (RFC 6266, 4.3 and appendix D): without folders and without
/// characters that a recipient interprets. `None` if nothing is left.
pub(crate) fn clean(text: &str) -> Option<String> {
    let mut parts = text.rsplit(['/', '\\']);
    let last = parts.find(|part| !part.trim().is_empty())?;
    let name: String = last.char_indices().map(|at| harmless(last, at)).collect();
    let mut name = name.trim().trim_end_matches(['.', ' ']).to_owned();
    // A hidden file, or the parent folder.
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    if is_device(&name) {
        name.insert(0, '_');
    }
    shorten(&mut name);
    (!name.is_empty()).then_some(name)
}

/// The value of a Content-Disposition field.
pub(crate) fn disposition(kind: &str, name: Option<&str>) -> String {
    let Some(name) = name else {
        return kind.to_owned();
    };
    let plain = |c: char| match c {
        ' ' => c,
        _ if c.is_ascii_graphic() && c != '"' && c != '\\' => c,
        _ => '_',
    };
    let fallback: String = name.chars().map(plain).collect();
    let exact = utf8_percent_encode(name, ENCODED);
    format!("{kind}; filename=\"{fallback}\"; filename*=UTF-8''{exact}")
}

/// A character of a name, or its replacement.
fn harmless(text: &str, (at, c): (usize, char)) -> char {
    let is_escape = || {
        let digits = text.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let acted_on = match c {
        '"' | '*' | ':' | '<' | '>' | '?' | '|' => true,
        // Some recipients decode it, against the RFC.
        '%' => is_escape(),
        _ => c.is_control() || is_invisible(c),
    };
    if acted_on { '_' } else { c }
}

/// True for characters that change the display of others: a name may look like another one.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
            | char::REPLACEMENT_CHARACTER
    )
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let is_in = |stem: &str, devices: &[&str]| {
        let is = |device: &&str| stem.eq_ignore_ascii_case(device);
        devices.iter().any(is)
    };
    let unnumbered = stem.strip_suffix(|c: char| c.is_ascii_digit());
    is_in(stem, &DEVICES) || unnumbered.is_some_and(|stem| is_in(stem, &NUMBERED_DEVICES))
}

/// Cuts a long name and keeps its extension.
fn shorten(name: &mut String) {
    if name.len() <= LEN_MAX {
        return;
    }
    let extension = name.rfind('.').map(|at| name.split_off(at));
    let extension = extension.filter(|extension| extension.len() <= EXTENSION_MAX);
    let extension = extension.unwrap_or_default();
    name.truncate(name.floor_char_boundary(LEN_MAX - extension.len()));
    name.push_str(&extension);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_nothing_that_a_recipient_acts_on() {
        for (text, expected) in [
            ("film 1.mp4", "film 1.mp4"),
            ("电影.mp4", "电影.mp4"),
            ("100% rain.mp4", "100% rain.mp4"),
            ("../../etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("C:\\a\\b.mp4", "b.mp4"),
            ("C:b.mp4", "C_b.mp4"),
            ("folder/", "folder"),
            ("50%41.mp4", "50_41.mp4"),
            ("%2e%2E%2fx", "_2e_2E_2fx"),
            ("a\nb\r\u{0}\u{7f}\u{85}.mp4", "a_b____.mp4"),
            ("exe.\u{202e}4pm", "exe._4pm"),
            ("a\"b*c:d<e>f?g|h", "a_b_c_d_e_f_g_h"),
            (".bashrc", "_bashrc"),
            ("..", ""),
            ("a. . ", "a"),
            ("con.mp4", "_con.mp4"),
            ("Com1.txt", "_Com1.txt"),
            ("console.mp4", "console.mp4"),
            ("\u{fffd}\u{fffd}.mp4", "__.mp4"),
            ("", ""),
            (" ", ""),
            ("/", ""),
        ] {
            let expected = (!expected.is_empty()).then(|| expected.to_owned());
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let name = clean(&format!("{}.mp4", "影".repeat(300))).unwrap();
        assert!(name.len() <= LEN_MAX && name.ends_with("影.mp4"), "{name}");
        let name = clean(&format!("a.{}", "b".repeat(300))).unwrap();
        assert_eq!(name.len(), 1);
    }

    #[test]
    fn a_name_cannot_break_out_of_its_field() {
        assert_eq!(
            disposition("inline", Some("Der \"Film\"\\ü.mp4")),
            "inline; filename=\"Der _Film___.mp4\"; filename*=UTF-8''Der%20%22Film%22%5C%C3%BC.mp4"
        );
        assert_eq!(disposition("attachment", None), "attachment");
    }
}
