//! The GlusterFS volumes of the groups, and a mount for each storage.

use std::fs;
use std::path::PathBuf;

use test_glusterfs::Gluster;

use crate::plan::{Node, Plan, Role};

/// Starts glusterd, bricks and mounts that do not run. Returns their names.
pub(super) fn up(plan: &Plan) -> anyhow::Result<Vec<String>> {
    let mut started = Vec::new();
    let gluster = match Gluster::find_persistent(&folder(plan))? {
        Some(gluster) => gluster,
        None => {
            stop(plan)?;
            started.push("glusterd".to_owned());
            Gluster::start_persistent(&folder(plan))?
        }
    };
    for group in plan.groups() {
        let volume = gluster.persistent_volume(group)?;
        let pids = volume.brick_pids()?;
        if pids.contains(&None) {
            volume.start_bricks()?;
        }
        let dead = pids.iter().enumerate().filter(|(_, pid)| pid.is_none());
        started.extend(dead.map(|(idx, _)| brick_name(group, idx)));
        for node in plan
            .of(Role::Storage)
            .filter(|node| node.group.as_deref() == Some(group))
        {
            let at = plan.store(node);
            if test_glusterfs::mounted(&at).is_none() {
                test_glusterfs::unmount(&at)?;
                fs::create_dir_all(&at)?;
                volume.mount_persistent(&at)?;
                started.push(mount_name(node));
            }
        }
    }
    Ok(started)
}

/// Unmounts the volumes and stops glusterd with its bricks. Returns the number of mounts.
pub(super) fn stop(plan: &Plan) -> anyhow::Result<usize> {
    let mut n_mounts = 0;
    for node in plan.of(Role::Storage) {
        n_mounts += usize::from(test_glusterfs::unmount(&plan.store(node))?);
    }
    Gluster::stop_persistent(&folder(plan))?;
    Ok(n_mounts)
}

/// The name of every brick, and its process id if it runs.
pub(super) fn bricks(plan: &Plan) -> anyhow::Result<Vec<(String, Option<u32>)>> {
    let Some(gluster) = Gluster::find_persistent(&folder(plan))? else {
        return Ok(Vec::new());
    };
    let mut bricks = Vec::new();
    for group in plan.groups() {
        let pids = gluster.known_volume(group).brick_pids()?;
        let named = |(idx, pid)| (brick_name(group, idx), pid);
        bricks.extend(pids.into_iter().enumerate().map(named));
    }
    Ok(bricks)
}

/// The name of every mount, and the process id of its client if the volume answers.
pub(super) fn mounts(plan: &Plan) -> Vec<(String, Option<u32>)> {
    let mount = |node| (mount_name(node), test_glusterfs::mounted(&plan.store(node)));
    plan.of(Role::Storage).map(mount).collect()
}

pub(super) fn folder(plan: &Plan) -> PathBuf {
    plan.folder.join("glusterfs")
}

fn brick_name(group: &str, idx: usize) -> String {
    format!("brick-{group}-{}", idx + 1)
}

fn mount_name(node: &Node) -> String {
    format!("mount-{}", node.name)
}
