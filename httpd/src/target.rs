//! The file of a URL: `/files/ID`, `/files/ID/NAME`, `/files/APP/USER/ID` or
//! `/files/APP/USER/ID/NAME`. Each part is percent-encoded separately, so that it may contain a slash.

use std::str::FromStr;

use percent_encoding::percent_decode_str;
use proto::{AppId, FileKey, UserId};

use crate::file_name;

/// A file and the name that the client gives it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) key: FileKey,
    /// A safe file name, see [`file_name::clean`].
    pub(crate) name: Option<String>,
}

/// Parses a path. `None` if it is not the path of a file. Invalid parts of the name are left out.
pub(crate) fn parse(path: &str, app: &AppId, user: Option<&UserId>) -> Option<Target> {
    let parts: Vec<&str> = path.strip_prefix("/files/")?.split('/').collect();
    let (app, user, file, name) = match parts[..] {
        [file] => (app.clone(), user?.clone(), file, None),
        [file, name] => (app.clone(), user?.clone(), file, Some(name)),
        [app, user, file] => (exact(app)?, exact(user)?, file, None),
        [app, user, file, name] => (exact(app)?, exact(user)?, file, Some(name)),
        _ => return None,
    };
    let file = exact(file)?;
    let name =
        name.and_then(|name| file_name::clean(&percent_decode_str(name).decode_utf8_lossy()));
    Some(Target {
        key: FileKey { app, user, file },
        name,
    })
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
