//! The GlusterFS volumes of the groups, and a mount for each storage.

use std::fs;
use std::path::PathBuf;

use test_glusterfs::Gluster;

use crate::plan::{Node, Plan, Role};

/// Starts what does not run of glusterd, its bricks and the mounts; tells what it started.
pub(super) fn up(plan: &Plan) -> anyhow::Result<Vec<String>> {
    let mut started = Vec::new();
    let gluster = match Gluster::find_standing(&folder(plan))? {
        Some(gluster) => gluster,
        None => {
            stop(plan)?;
            started.push("glusterd".to_owned());
            Gluster::start_standing(&folder(plan))?
        }
    };
    for group in plan.groups() {
        let volume = gluster.standing_volume(group)?;
        let pids = volume.brick_pids();
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
                volume.mount_standing(&at)?;
                started.push(mount_name(node));
            }
        }
    }
    Ok(started)
}

/// Unmounts the volumes and ends glusterd with its bricks; tells how many mounts there were.
pub(super) fn stop(plan: &Plan) -> anyhow::Result<usize> {
    let mut n_mounts = 0;
    for node in plan.of(Role::Storage) {
        n_mounts += usize::from(test_glusterfs::unmount(&plan.store(node))?);
    }
    Gluster::end_standing(&folder(plan))?;
    Ok(n_mounts)
}

/// Every brick by its name, and its process.
pub(super) fn bricks(plan: &Plan) -> anyhow::Result<Vec<(String, Option<u32>)>> {
    let Some(gluster) = Gluster::find_standing(&folder(plan))? else {
        return Ok(Vec::new());
    };
    let of_group = |group| {
        let pids = gluster.known_volume(group).brick_pids();
        let named = move |(idx, pid)| (brick_name(group, idx), pid);
        pids.into_iter().enumerate().map(named)
    };
    Ok(plan.groups().into_iter().flat_map(of_group).collect())
}

/// Every mount by its name, and the process of the client if the volume answers.
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
