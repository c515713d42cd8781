//! Where DHT puts files: temporary names hash like the final ones.

use std::path::Path;

use super::group::{Group, content, files_below, shared};

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out GlusterFS"
)]
fn no_pointer_files_are_left_on_a_distributed_volume() {
    let shared = shared();
    let volume = shared.gluster().distributed("names", 2).unwrap();
    let group = Group::on(shared, volume, "names", "");
    let mut client = group.nodes[0].client();
    for idx in 0..200 {
        client
            .upload(&format!("n{idx}"), &content(idx, 100))
            .unwrap();
    }
    let mut stored = Vec::new();
    for brick in group.volume.bricks() {
        let files = files_below(brick).into_iter();
        // GlusterFS keeps hard links to everything in a folder of its own.
        let files: Vec<_> = files
            .filter(|file| !file.starts_with(brick.join(".glusterfs")))
            .collect();
        let pointers: Vec<_> = files.iter().filter(|file| is_pointer(file)).collect();
        assert!(pointers.is_empty(), "{pointers:?}");
        stored.push(files.len());
    }
    // Else there would have been nothing to see.
    assert!(stored[0] > 50 && stored[3] > 50, "{stored:?}");
}

fn is_pointer(file: &Path) -> bool {
    let mut value = [0_u8; 256];
    rustix::fs::lgetxattr(file, "trusted.glusterfs.dht.linkto", &mut value).is_ok()
}
