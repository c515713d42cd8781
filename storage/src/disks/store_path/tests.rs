use rustix::io::Errno;

use super::*;
use crate::config::Settings;
use crate::disks::limiter::DiskLimiters;

/// A store path that takes files, of one disk.
pub(crate) fn open(text: &str) -> StorePath {
    let config = Config::of(Settings {
        require_marker: false,
        ..Settings::default()
    });
    let limiters = DiskLimiters::new(1, &config.server, config.disk_timeout.duration());
    StorePath::open(text, &config, Access::Write, None, limiters.limiter(0)).unwrap()
}

/// Space for an upload of one byte.
fn reserve(path: &StorePath) -> Result<SpaceReservation, Fault> {
    let reserved = path.reserve("f", 1, std::net::Ipv4Addr::LOCALHOST.into());
    reserved.map(|(_, reservation)| reservation)
}

#[test]
fn a_slash_at_the_end_belongs_to_the_key_of_the_numbers_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().to_str().unwrap();
    let path = open(&format!("{text}/"));
    assert_eq!(path.key.as_str(), format!("{text}/"));
    assert_eq!(path.text, text);
    reserve(&path).unwrap();
    // With a marker, too: storages with and without the slash share the volume.
    let group = Settings::default().group;
    assert!(init(&format!("{text}/"), &group).unwrap().0);
    assert!(!init(text, &group).unwrap().0);
}

#[test]
fn a_folder_that_takes_no_file_takes_no_uploads_from_the_start() {
    // Not even root makes files there.
    let path = open("/sys/kernel");
    assert!(matches!(path.health(), PathHealth::ReadOnly(_)));
    path.run_probe();
    assert!(matches!(path.health(), PathHealth::ReadOnly(_)));
}

#[test]
fn a_write_that_is_refused_or_finds_no_room_counts_until_a_probe_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let path = open(folder.path().to_str().unwrap());
    let refused = [
        (Errno::ACCESS, ErrorCode::ReadOnly),
        (Errno::PERM, ErrorCode::ReadOnly),
        (Errno::NOSPC, ErrorCode::NoSpace),
        (Errno::DQUOT, ErrorCode::NoSpace),
    ];
    for (errno, code) in refused {
        path.check_uploads(1).unwrap();
        reserve(&path).unwrap();
        path.note_failure("", &errno.into());
        assert!(!path.takes_uploads());
        assert_eq!(
            path.check_uploads(1).err().map(|fault| fault.code),
            Some(code)
        );
        path.run_probe();
    }
    path.check_uploads(1).unwrap();
    // One file that cannot be is no matter of the path.
    path.note_failure("", &Errno::NAMETOOLONG.into());
    assert!(path.takes_uploads());
}

#[test]
fn all_share_one_descriptor_and_notice_that_another_folder_is_in_its_place() {
    let parent = tempfile::tempdir().unwrap();
    let (here, away) = (parent.path().join("data"), parent.path().join("away"));
    let path = open(here.to_str().unwrap());
    let enter = || path.resolve("", DiskCaller::Background).map(|at| at.root);
    let held = enter().unwrap();
    assert!(Arc::ptr_eq(&held, &enter().unwrap()));
    std::fs::rename(&here, &away).unwrap();
    std::fs::create_dir(&here).unwrap();
    assert!(enter().is_err(), "the old folder is still open");
    std::fs::remove_dir(&here).unwrap();
    std::fs::rename(&away, &here).unwrap();
    assert!(Arc::ptr_eq(&held, &enter().unwrap()));
}

#[test]
fn what_failed_in_a_folder_is_tried_again_in_that_folder() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().to_str().unwrap();
    let path = open(text);
    let refused = folder.path().join("000");
    std::fs::write(&refused, "no folder").unwrap();
    path.note_failure(&format!("{text}/000/001/002/f"), &Errno::ACCESS.into());
    for _ in 0..3 {
        path.run_probe();
        assert!(matches!(path.health(), PathHealth::ReadOnly(_)));
    }
    std::fs::remove_file(&refused).unwrap();
    path.run_probe();
    assert_eq!(path.health(), PathHealth::Writable);
    assert_eq!(std::fs::read_dir(text).unwrap().count(), 1, "the tag alone");
}

#[test]
fn a_folder_is_avoided_until_it_takes_files_and_only_few_are() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().to_str().unwrap();
    let path = open(text);
    let file = |digits: &str| format!("{text}/000/000/{digits}/5F9E3FA7_000");
    let refused = Errno::ACCESS.into();
    std::fs::create_dir_all(folder.path().join("000/000")).unwrap();
    for digits in ["001", "002"] {
        std::fs::write(folder.path().join("000/000").join(digits), "").unwrap();
        assert!(path.avoid(&file(digits), &refused));
        assert!(path.avoid(&file(digits), &refused), "another upload");
    }
    assert!(!path.avoid(&file("003"), &refused), "too many");
    path.run_probe();
    assert!(path.avoids(&file("001")) && !path.avoids(&file("003")));
    let warning = path.folder_warning().unwrap();
    assert!(warning.contains("folder 000/000/001 takes no files"));
    assert_eq!(path.health(), PathHealth::Writable);
    std::fs::remove_file(folder.path().join("000/000/001")).unwrap();
    path.run_probe();
    assert!(!path.avoids(&file("001")) && path.avoids(&file("002")));
    assert!(
        !path.avoid(&file("001"), &Errno::NOSPC.into()),
        "no folder is to blame"
    );
}

#[test]
fn a_sync_that_finds_no_room_is_no_broken_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = open(folder.path().to_str().unwrap());
    for errno in [Errno::NOSPC, Errno::DQUOT] {
        path.note_failed_sync("", &errno.into());
        assert!(matches!(path.health(), PathHealth::Full(_)));
        path.run_probe();
        assert_eq!(path.health(), PathHealth::Writable);
    }
    path.note_failed_sync("", &Errno::IO.into());
    path.run_probe();
    assert!(matches!(path.health(), PathHealth::Failed(_)));
}

#[test]
fn a_process_without_descriptors_or_memory_says_nothing_of_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = open(folder.path().to_str().unwrap());
    for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
        path.note_failure("", &errno.into());
        path.note_failed_sync("", &errno.into());
        assert_eq!(path.health(), PathHealth::Writable);
        assert_eq!(disk_fault("f", &errno.into()).code, ErrorCode::Busy);
    }
}
