use std::fs::{self, File};
use std::sync::Weak;

use base::link_check::{CHECK_HOLDS, look_in_memory};
use net::ServerConfig;
use test_support::until;

use super::*;
use crate::disks::limiter::DiskLimiters;
use crate::disks::root::Lookup;

/// Opens files of a folder as reads do.
struct Reader {
    folder: tempfile::TempDir,
    root: Arc<Root>,
    limiters: Arc<DiskLimiters>,
    files: OpenFiles,
}

impl Reader {
    fn new(max: usize, is_shared: bool) -> Reader {
        let folder = tempfile::tempdir().unwrap();
        let root = open_root(&folder, is_shared);
        Reader {
            folder,
            root,
            limiters: DiskLimiters::new(1, &ServerConfig::default(), IDLE),
            files: OpenFiles::new(max),
        }
    }

    /// Keeps a new file open.
    fn keep(&self, name: &str) -> Weak<StoredFile> {
        let path = self.folder.path().join(name);
        fs::write(&path, "content").unwrap();
        let file = LimitedFile::new(File::open(path).unwrap(), self.limiters.limiter(0));
        let found = look_in_memory(file.file()).unwrap();
        let opened = (Instant::now(), &found);
        Arc::downgrade(&self.files.keep(&self.root, name, file, opened))
    }

    fn size(&self, name: &str) -> Option<u64> {
        self.files.get(&self.root, name).map(|(_, size)| size)
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).unwrap();
    }
}

fn open_root(folder: &tempfile::TempDir, is_shared: bool) -> Arc<Root> {
    let root = Root::open(folder.path().to_str().unwrap(), Lookup::Kernel).unwrap();
    Arc::new(if is_shared { root.into_shared() } else { root })
}

fn is_open(file: &Weak<StoredFile>) -> bool {
    file.strong_count() > 0
}

#[test]
fn a_file_is_kept_until_it_has_no_name_any_more() {
    let reader = Reader::new(10, false);
    let file = reader.keep("f");
    assert_eq!(reader.size("f"), Some(7));
    reader.remove("f");
    assert!(is_open(&file));
    assert_eq!(reader.size("f"), None);
    assert!(
        !is_open(&file),
        "a deleted file takes up space while it is open"
    );
}

#[test]
fn a_changed_file_is_opened_anew() {
    let reader = Reader::new(10, false);
    let file = reader.keep("f");
    fs::write(reader.folder.path().join("f"), "con").unwrap();
    assert_eq!(reader.size("f"), None);
    assert!(!is_open(&file));
}

#[test]
fn a_deletion_of_a_file_with_another_name_is_seen() {
    for is_shared in [false, true] {
        let reader = Reader::new(10, is_shared);
        let [path, backup] = ["f", "backup"].map(|name| reader.folder.path().join(name));
        fs::write(&path, "content").unwrap();
        fs::hard_link(&path, backup).unwrap();
        reader.keep("f");
        assert_eq!(reader.size("f"), Some(7));
        reader.remove("f");
        let _ = crossbeam_channel::after(CHECK_HOLDS).recv();
        assert_eq!(reader.size("f"), None);
    }
}

#[test]
fn a_check_of_a_shared_file_holds_no_longer_than_a_deletion_waits() {
    let reader = Reader::new(10, true);
    for n in 0..10 {
        let name = format!("f{n}");
        let file = reader.keep(&name);
        assert_eq!(reader.size(&name), Some(7));
        reader.remove(&name);
        let _ = crossbeam_channel::after(CHECK_HOLDS).recv();
        assert_eq!(reader.size(&name), None);
        assert!(!is_open(&file));
    }
}

#[test]
fn a_check_of_a_shared_file_is_not_made_for_each_read() {
    let reader = Reader::new(10, true);
    // A pause of this test may last longer than a check holds.
    until("a read believes the check before", || {
        let name = "f";
        reader.keep(name);
        reader.remove(name);
        reader.size(name) == Some(7)
    });
}

#[test]
fn a_file_of_another_folder_is_not_taken_for_this_one() {
    let reader = Reader::new(10, false);
    let file = reader.keep("f");
    let other = open_root(&reader.folder, false);
    assert!(reader.files.get(&other, "f").is_none());
    assert!(!is_open(&file), "it would block an unmount");
}

#[test]
fn the_file_that_was_not_read_for_longest_is_closed_first() {
    let reader = Reader::new(2, false);
    let [a, b] = ["a", "b"].map(|name| reader.keep(name));
    assert_eq!(reader.size("a"), Some(7));
    let c = reader.keep("c");
    assert_eq!([&a, &b, &c].map(is_open), [true, false, true]);
    reader.files.set_max(1);
    assert_eq!([&a, &b, &c].map(is_open), [false, false, true]);
}

#[test]
fn files_without_readers_are_closed_but_not_those_that_are_being_sent() {
    let reader = Reader::new(10, false);
    let [sent, idle] = ["sent", "idle"].map(|name| reader.keep(name));
    let sending = reader.files.get(&reader.root, "sent").unwrap();
    let now = Instant::now();
    reader.files.close_idle(now);
    assert!(is_open(&idle));
    reader.files.close_idle(now + IDLE);
    assert_eq!(reader.files.files.lock().len(), 0);
    assert_eq!([&sent, &idle].map(is_open), [true, false]);
    drop(sending);
    assert!(!is_open(&sent));
}
