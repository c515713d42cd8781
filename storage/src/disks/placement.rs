//! Where a file system puts the folders of files.

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use crate::disks::root::Root;

/// Asks ext4 to put each new subfolder, with its files, into another block group. Otherwise ext4 fills
/// the group of the parent first, so new files are created where files were removed lately. Without a
/// journal each creation then walks past all inodes removed within the last minute. Other file systems
/// refuse, which changes nothing.
pub(crate) fn spread_subfolders(root: &Root, folder: &str) {
    let Ok(folder) = root.folder(folder) else {
        return;
    };
    if let Ok(flags) = ioctl_getflags(&folder)
        && !flags.contains(IFlags::TOPDIR)
    {
        let _ = ioctl_setflags(&folder, flags | IFlags::TOPDIR);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::disks::root::Lookup;

    #[test]
    fn subfolders_are_spread_where_the_file_system_can() {
        let folder = tempfile::tempdir().unwrap();
        let [store, other] = ["store", "other"].map(|name| folder.path().join(name));
        fs::create_dir_all(store.join("000/000")).unwrap();
        fs::create_dir(&other).unwrap();
        let root = Root::open(store.to_str().unwrap(), Lookup::of_this_system()).unwrap();
        spread_subfolders(&root, "000/000");
        spread_subfolders(&root, "missing");
        let is_spread = |path: &std::path::Path| {
            let flags = ioctl_getflags(File::open(path).unwrap());
            flags.is_ok_and(|flags| flags.contains(IFlags::TOPDIR))
        };
        let other = File::open(&other).unwrap();
        let can = ioctl_getflags(&other)
            .and_then(|flags| ioctl_setflags(&other, flags | IFlags::TOPDIR))
            .is_ok();
        assert_eq!(is_spread(&store.join("000/000")), can);
        assert!(!is_spread(&store));
    }
}
