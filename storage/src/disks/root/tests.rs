use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A folder `store` beside a folder `secret`; a link in `store` leads to `secret`.
fn folders() -> (tempfile::TempDir, Vec<Root>) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("store/000/001")).unwrap();
    fs::create_dir(at("secret")).unwrap();
    for file in ["store/000/001/f", "secret/f", "store/plain"] {
        fs::write(at(file), "content").unwrap();
    }
    symlink(at("secret"), at("store/link")).unwrap();
    symlink(at("store/000"), at("store/within")).unwrap();
    symlink("f", at("store/000/001/last")).unwrap();
    let store = at("store").to_str().unwrap().to_owned();
    let open = |lookup| Root::open(&store, lookup).unwrap();
    let roots = [Lookup::Kernel, Lookup::Components].map(open).into();
    (folder, roots)
}

const MODE: Mode = Mode::from_raw_mode(0o644);

#[test]
fn paths_below_the_folder_are_opened() {
    let (folder, roots) = folders();
    for (n, root) in roots.iter().enumerate() {
        let file = root.open_at("000/001/f", OFlags::RDONLY, Mode::empty());
        assert_eq!(
            io::read_to_string(File::from(file.unwrap())).unwrap(),
            "content"
        );
        let size = root.statx("000/001/f", StatxFlags::SIZE).unwrap();
        assert_eq!(size.stx_size, 7);
        root.folder("").unwrap();
        let (new, name) = (format!("00{n}"), format!("000/00{n}.new"));
        root.make_folder(&new).unwrap();
        assert!(!root.make_folder(&new).unwrap());
        root.create_new(&name, MODE).unwrap();
        assert!(root.create_new(&name, MODE).is_err());
        assert!(root.unlink(&name).unwrap() && !root.unlink(&name).unwrap());
        assert!(!root.unlink("none/f").unwrap());
    }
    drop(folder);
}

#[test]
fn nothing_leads_out_of_the_folder() {
    let (folder, roots) = folders();
    let secret = folder.path().join("secret");
    let absolute = secret.join("f").to_str().unwrap().to_owned();
    let paths = [
        "../secret/f",
        "000/../../secret/f",
        "000//001/f",
        "000/./001/f",
        "/000/001/f",
        "link/f",
        "within/001/f",
        "plain/f",
        &absolute,
    ];
    for root in &roots {
        for path in paths {
            let kind = |result: io::Result<()>| result.err().map(|e| e.kind());
            let results = [
                root.open_at(path, OFlags::RDONLY, Mode::empty()).map(drop),
                root.statx(path, StatxFlags::SIZE).map(drop),
                root.create_new(&format!("{path}.new"), MODE).map(drop),
                root.make_folder(&format!("{path}.new")).map(drop),
                root.unlink(path).map(drop),
                root.folder(split(path).0).map(drop),
            ];
            // The folder of the plain file's own name is the store itself.
            let refused = results.map(kind);
            for kind in &refused[..5] {
                assert_eq!(*kind, Some(ErrorKind::InvalidData), "{path}: {refused:?}");
            }
        }
        // A link at the end is no file of ours; it may be removed.
        let opened = root.open_at("000/001/last", OFlags::RDONLY, Mode::empty());
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::InvalidData);
    }
    assert!(roots[0].unlink("link").unwrap());
    assert_eq!(fs::read_dir(&secret).unwrap().count(), 1);
}
