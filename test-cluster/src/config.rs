//! The configuration files of a plan's daemons.
//!
//! They hold no absolute path: the daemons run in the cluster's folder. The store path is a key of
//! at most 64 bytes at the idserver, and a clone may lie deep.

use crate::layout::Settings;
use crate::plan::{APP, Node, Plan, Role, USER, database_path, store_path};

/// The configuration of one daemon.
pub(crate) fn text(plan: &Plan, node: &Node, settings: &Settings) -> String {
    let mut text = format!("listen = \"{}\"\n", node.addr);
    if node.role != Role::Httpd {
        let (name, database) = (&node.name, database_path(node.role));
        text += &format!("hostname = \"{name}\"\ndatabase = \"sqlite:{database}\"\n");
    }
    text += &match (node.role, &node.group) {
        (Role::Tracker, _) => of_tracker(plan, settings),
        (Role::Storage, Some(group)) => of_storage(plan, group, settings),
        (Role::Httpd, _) => {
            let trackers = list(plan, "trackers", Role::Tracker);
            format!("{trackers}app = \"{APP}\"\nuser = \"{USER}\"\n")
        }
        _ => String::new(),
    };
    text + &of_log(&node.name, settings)
}

fn of_tracker(plan: &Plan, settings: &Settings) -> String {
    let mut groups: Vec<&str> = plan
        .of(Role::Storage)
        .filter_map(|node| node.group.as_deref())
        .collect();
    groups.dedup();
    let interval = settings.check_interval;
    format!("app_ids = [\"{APP}\"]\ngroups = {groups:?}\ncheck_interval = \"{interval}\"\n")
}

fn of_storage(plan: &Plan, group: &str, settings: &Settings) -> String {
    let trackers = list(plan, "trackers", Role::Tracker);
    let idservers = list(plan, "idservers", Role::Idserver);
    let (store_path, interval) = (store_path(group), settings.beat_interval);
    format!(
        "{trackers}{idservers}group = \"{group}\"\nstore_paths = [\"{store_path}\"]\n\
         beat_interval = \"{interval}\"\nreserved_space = \"64MiB\"\n"
    )
}

fn of_log(name: &str, settings: &Settings) -> String {
    let level = settings.log_level;
    format!(
        "\n[log]\nlevel = \"{level}\"\nfile = \"log/{name}.log\"\n\
         access_file = \"log/{name}.access\"\n"
    )
}

fn list(plan: &Plan, key: &str, role: Role) -> String {
    let addrs: Vec<String> = plan.addrs(role).iter().map(ToString::to_string).collect();
    format!("{key} = {addrs:?}\n")
}
