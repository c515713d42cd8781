//! Which file a URL means: `/files/ID`, `/files/ID/NAME`, `/files/APP/USER/ID` and
//! `/files/APP/USER/ID/NAME`. Each part is percent-encoded on its own, so that it may hold a slash.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use proto::{AppId, FileKey, UserId};

/// A file, and what a client wants to call it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) key: FileKey,
    pub(crate) name: Option<String>,
}

/// Reads a path. `None` when it means no file.
pub(crate) fn parse(path: &str, app: &AppId, user: Option<&UserId>) -> Option<Target> {
    let parts: Vec<Cow<'_, str>> = path
        .strip_prefix("/files/")?
        .split('/')
        .map(|part| percent_decode_str(part).decode_utf8().ok())
        .collect::<Option<_>>()?;
    let texts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    let (app, user, file, name) = match texts[..] {
        [file] => (app.clone(), user?.clone(), file, None),
        [file, name] => (app.clone(), user?.clone(), file, Some(name)),
        [app, user, file] => (app.parse().ok()?, user.parse().ok()?, file, None),
        [app, user, file, name] => (app.parse().ok()?, user.parse().ok()?, file, Some(name)),
        _ => return None,
    };
    if name.is_some_and(|name| name.is_empty() || name.chars().any(char::is_control)) {
        return None;
    }
    let key = FileKey {
        app,
        user,
        file: file.parse().ok()?,
    };
    Some(Target {
        key,
        name: name.map(str::to_owned),
    })
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
    fn other_paths_name_none() {
        let none = [
            "/",
            "/files",
            "/files/",
            "/file/x",
            "/files/x/",
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
