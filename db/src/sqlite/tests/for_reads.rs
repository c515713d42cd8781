//! Databases that are opened for reads beside their writer.

use super::*;

#[test]
fn rows_are_read_beside_a_writer_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.db");
    let writing = Sqlite::open(&path, Synchronous::Normal, "test", &[TABLE]).unwrap();
    writing.write(|c| insert(c, "a")).unwrap();
    let files = || {
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        files
    };
    let before = files();
    let reading = Sqlite::open_for_reads(&path, "test", 1).unwrap();
    assert_eq!(names(&reading), ["a"]);
    writing.write(|c| insert(c, "b")).unwrap();
    assert_eq!(names(&reading), ["a", "b"]);
    let refused = reading.write(|c| insert(c, "lost")).unwrap_err();
    assert!(matches!(refused, DbError::ReadsOnly { .. }), "{refused:?}");
    reading.close();
    writing.write(|c| insert(c, "c")).unwrap();
    let error = |path: &Path, component: &str, n_migrations| {
        let opened = Sqlite::open_for_reads(path, component, n_migrations);
        format!("{:#}", anyhow::Error::from(opened.unwrap_err()))
    };
    let text = error(&path, "other", 1);
    assert!(
        text.contains("start the daemon that makes them first"),
        "{text}"
    );
    let text = error(&path, "test", 0);
    assert!(text.contains("this program knows 0 at most"), "{text}");
    error(&folder.path().join("none.db"), "test", 1);
    assert_eq!(files(), before);
}
