//! The file of a URL: `/media/APP/USER/PATH`, where the path is the file id, or `/files/ID`,
//! `/files/ID/NAME`, `/files/APP/USER/ID` or `/files/APP/USER/ID/NAME`. Each part is percent-encoded
//! separately, so that it may contain a slash.

use std::str::FromStr;

use percent_encoding::percent_decode_str;
use proto::{AppId, FileKey, UserId};

use crate::file_name;
use crate::protection::Expiry;

/// A file and the form in which the client wants it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) key: FileKey,
    /// A safe file name, see [`file_name::clean`].
    pub(crate) name: Option<String>,
    /// True if a browser is to save the file, whatever its type.
    pub(crate) is_attachment: bool,
    /// The end of the signature of the URL; absent without one.
    pub(crate) expiry: Option<Expiry>,
}

impl Target {
    /// Applies the parameter `download` of a query: `?download=1` asks for an attachment, and
    /// `?download=NAME` also for a name in place of that of the path.
    pub(crate) fn of_query(mut self, query: Option<&str>) -> Target {
        let parameters = query.unwrap_or_default().split('&');
        let mut values = parameters.filter_map(|parameter| match parameter.split_once('=') {
            None if parameter == "download" => Some(""),
            Some(("download", value)) => Some(value),
            _ => None,
        });
        match values.next() {
            None => {}
            Some("" | "1") => self.is_attachment = true,
            Some(name) => {
                self.is_attachment = true;
                // HTML forms write a space as a plus.
                self.name = clean(&name.replace('+', " ")).or(self.name);
            }
        }
        self
    }
}

/// Parses a path. `None` if it is not the path of a file. Invalid parts of the name are left out.
pub(crate) fn parse(path: &str, app: &AppId, user: Option<&UserId>) -> Option<Target> {
    if let Some(path) = path.strip_prefix("/media/") {
        return parse_media(path);
    }
    let parts: Vec<&str> = path.strip_prefix("/files/")?.split('/').collect();
    let (app, user, file, name) = match parts[..] {
        [file] => (app.clone(), user?.clone(), file, None),
        [file, name] => (app.clone(), user?.clone(), file, Some(name)),
        [app, user, file] => (exact(app)?, exact(user)?, file, None),
        [app, user, file, name] => (exact(app)?, exact(user)?, file, Some(name)),
        _ => return None,
    };
    let file = exact(file)?;
    Some(Target {
        key: FileKey { app, user, file },
        name: name.and_then(clean),
        is_attachment: false,
        expiry: None,
    })
}

/// A file whose id is a path, so that relative references between files of a set lead to files of the set.
/// Browsers resolve the segments `.` and `..`, and other programs merge empty ones: no id has them here.
fn parse_media(path: &str) -> Option<Target> {
    let mut parts = path.splitn(3, '/');
    let (app, user, path) = (parts.next()?, parts.next()?, parts.next()?);
    let has_name = |segment: &str| !matches!(segment, "" | "." | "..");
    let decode = |segment| percent_decode_str(segment).decode_utf8().ok();
    let segments: Vec<_> = path
        .split('/')
        .map(|segment| decode(segment).filter(|segment| has_name(segment)))
        .collect::<Option<_>>()?;
    Some(Target {
        key: FileKey {
            app: exact(app)?,
            user: exact(user)?,
            file: segments.join("/").parse().ok()?,
        },
        name: segments.last().and_then(|name| file_name::clean(name)),
        is_attachment: false,
        expiry: None,
    })
}

fn clean(encoded: &str) -> Option<String> {
    file_name::clean(&percent_decode_str(encoded).decode_utf8_lossy())
}

fn exact<T: FromStr>(part: &str) -> Option<T> {
    percent_decode_str(part).decode_utf8().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Option<(String, Option<String>)> {
        let user = UserId::new("me").unwrap();
        let target = parse(path, &AppId::new("app").unwrap(), Some(&user))?;
        Some((target.key.to_string(), target.name))
    }

    #[test]
    fn four_forms_name_a_file() {
        let name = Some("film 1.mp4".to_owned());
        assert_eq!(read("/files/x"), Some(("app/me/x".into(), None)));
        assert_eq!(
            read("/files/x/film%201.mp4"),
            Some(("app/me/x".into(), name.clone()))
        );
        assert_eq!(read("/files/a/b/x"), Some(("a/b/x".into(), None)));
        assert_eq!(
            read("/files/a/b/x/film%201.mp4"),
            Some(("a/b/x".into(), name))
        );
    }

    #[test]
    fn parts_are_decoded_one_by_one() {
        assert_eq!(
            read("/files/a/b%2Fc/%E7%94%A8"),
            Some(("a/b/c/用".into(), None))
        );
    }

    #[test]
    fn a_path_is_the_id_of_a_file() {
        for (path, key, name) in [
            ("/media/a/u/x.mp4", "a/u/x.mp4", "x.mp4"),
            (
                "/media/a/u/film/index.m3u8",
                "a/u/film/index.m3u8",
                "index.m3u8",
            ),
            (
                "/media/a/b%2Fc/film/%E7%94%A8%201.ts",
                "a/b/c/film/用 1.ts",
                "用 1.ts",
            ),
            ("/media/a/u/50%2525.ts", "a/u/50%25.ts", "50_25.ts"),
        ] {
            let expected = (key.to_owned(), Some(name.to_owned()));
            assert_eq!(read(path), Some(expected), "{path}");
        }
        for path in [
            "/media/a/u",
            "/media/a/u/",
            "/media/a/u/film/",
            "/media/a/u/film//x",
            "/media/a/u/./x",
            "/media/a/u/film/%2E%2e/x",
            "/media/a/u/a%00b",
            "/media/a/u/%FF",
            "/media/x",
        ] {
            assert_eq!(read(path), None, "{path}");
        }
        assert_eq!(read(&format!("/media/a/u/{}", "x".repeat(128))), None);
    }

    #[test]
    fn a_name_without_meaning_costs_no_file() {
        for (name, expected) in [
            ("", None),
            ("..", None),
            ("%2F", None),
            ("%B5%E7.mp4", Some("__.mp4")),
            ("a%0Ab%00.mp4", Some("a_b_.mp4")),
            ("..%2F..%2Fetc%2Fpasswd", Some("passwd")),
            ("50%2541.mp4", Some("50_41.mp4")),
            ("%", Some("%")),
        ] {
            let expected = expected.map(str::to_owned);
            let short = ("app/me/x".to_owned(), expected.clone());
            assert_eq!(read(&format!("/files/x/{name}")), Some(short), "{name}");
            let long = ("a/b/x".to_owned(), expected);
            assert_eq!(read(&format!("/files/a/b/x/{name}")), Some(long), "{name}");
        }
    }

    #[test]
    fn a_query_asks_for_an_attachment_and_its_name() {
        let user = UserId::new("me").unwrap();
        let read = |query: &str| {
            let app = AppId::new("app").unwrap();
            let target = parse("/files/x/a.mp4", &app, Some(&user)).unwrap();
            let target = target.of_query(Some(query));
            (target.is_attachment, target.name.unwrap())
        };
        for (query, is_attachment, name) in [
            ("", false, "a.mp4"),
            ("t=1&downloads=1&xdownload=1", false, "a.mp4"),
            ("download", true, "a.mp4"),
            ("download=", true, "a.mp4"),
            ("t=1&download=1", true, "a.mp4"),
            ("download=b+%26%20c%2B.mp4&t=1", true, "b & c+.mp4"),
            ("download=..%2F..%2Fetc%2Fpasswd", true, "passwd"),
            ("download=a%0D%0AX:%20y.mp4", true, "a__X_ y.mp4"),
            ("download=%2F", true, "a.mp4"),
            ("download=b.mp4&download=c.mp4", true, "b.mp4"),
        ] {
            assert_eq!(read(query), (is_attachment, name.to_owned()), "{query}");
        }
    }

    #[test]
    fn other_paths_name_none() {
        let none = [
            "/",
            "/files",
            "/files/",
            "/file/x",
            "/files//",
            "/files//x",
            "/files/a/b/c/d/e",
        ];
        for path in none
            .into_iter()
            .chain(["/files/%FF", "/files/a%00b", "/files/a-b/u/x"])
        {
            assert_eq!(read(path), None, "{path}");
        }
        assert_eq!(parse("/files/x", &AppId::new("app").unwrap(), None), None);
    }
}
