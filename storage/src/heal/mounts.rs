//! Which volume lies below a path, from what the kernel says of mounts (proc_pid_mountinfo(5)).

use std::path::Path;

const FILE_SYSTEM: &str = "fuse.glusterfs";

/// The name of the GlusterFS volume below `path`, an absolute one without links.
pub(super) fn volume_at(mountinfo: &str, path: &Path) -> Option<String> {
    let mounts = mountinfo.lines().filter_map(Mount::parse);
    // Of two at one place the later one is on top.
    let below = mounts
        .filter(|mount| path.starts_with(&mount.at))
        .max_by_key(|mount| Path::new(&mount.at).components().count())?;
    (below.kind == FILE_SYSTEM).then(|| volume_of(&below.source).to_owned())
}

struct Mount<'a> {
    at: String,
    kind: &'a str,
    source: String,
}

impl Mount<'_> {
    fn parse(line: &str) -> Option<Mount<'_>> {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        Some(Mount {
            at: unescape(before.split(' ').nth(4)?),
            kind: after.next()?,
            source: unescape(after.next()?),
        })
    }
}

/// Of `server:/volume`, `server:volume` or `server:/volume/folder`, also with several servers.
fn volume_of(source: &str) -> &str {
    let name = source.rsplit_once(':').map_or(source, |(_, name)| name);
    let name = name.trim_start_matches('/');
    name.split_once('/').map_or(name, |(name, _)| name)
}

/// Blanks, tabs, line ends and backslashes are written as three octal digits.
fn unescape(text: &str) -> String {
    let codes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    codes.iter().fold(text.to_owned(), |text, (code, byte)| {
        text.replace(code, byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
40 22 0:40 / /srv/a\\040b rw - fuse.glusterfs n1:/group001 rw,user_id=0
41 22 0:41 / /srv/two rw - fuse.glusterfs n1,n2:group002 rw
42 22 0:42 / /srv/two/part rw - fuse.glusterfs [::1]:/group003/part rw
43 41 0:43 / /srv/two/disk rw - ext4 /dev/sdb rw
44 22 0:44 / /srv/over rw - fuse.glusterfs n1:/below rw
45 22 0:45 / /srv/over rw - ext4 /dev/sdc rw
";

    #[test]
    fn the_volume_is_that_of_the_nearest_mount() {
        for (path, volume) in [
            ("/srv/a b/x", Some("group001")),
            ("/srv/two", Some("group002")),
            ("/srv/two/partly", Some("group002")),
            ("/srv/two/part/x", Some("group003")),
            ("/srv/two/disk/x", None),
            ("/srv/over", None),
            ("/srv", None),
        ] {
            let found = volume_at(MOUNTS, Path::new(path));
            assert_eq!(found.as_deref(), volume, "{path}");
        }
        assert_eq!(volume_at("nonsense\n", Path::new("/")), None);
    }
}
