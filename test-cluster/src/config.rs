//! The configuration files of a plan's daemons.
//!
//! They hold no absolute path: the daemons run in the cluster's folder, or two levels below it. The store path is a key of
//! at most 64 bytes at the idserver, and a clone may lie deep.

use crate::database::{PASSWORD_FILE, database_path};
use crate::layout::Settings;
use crate::plan::{APP, Node, Plan, Role, USER};

/// The configuration of one daemon.
pub(crate) fn text(plan: &Plan, node: &Node, settings: &Settings) -> String {
    let mut text = format!("listen = \"{}\"\n", node.addr);
    if node.role != Role::Httpd {
        let (name, database) = (&node.name, database(plan, node.role));
        text += &format!("hostname = \"{name}\"\ndatabase = \"{database}\"\n");
    }
    text += &match (node.role, &node.group) {
        (Role::Tracker, _) => of_tracker(plan, settings),
        (Role::Storage, Some(group)) => of_storage(plan, node, group, settings),
        (Role::Httpd, _) => {
            let trackers = list(plan, "trackers", Role::Tracker);
            format!("{trackers}app = \"{APP}\"\nuser = \"{USER}\"\n")
        }
        _ => String::new(),
    };
    let up = match plan.work_folder(node) == plan.folder {
        true => "",
        false => "../../",
    };
    if plan.is_full() && node.role != Role::Httpd {
        text += &format!("\n[mysql]\npassword_file = \"{up}{PASSWORD_FILE}\"\n");
    }
    text + &of_log(up, &node.name, settings)
}

fn database(plan: &Plan, role: Role) -> String {
    match plan.is_full() {
        true => plan.galera_url(role),
        false => format!("sqlite:{}", database_path(role)),
    }
}

fn of_tracker(plan: &Plan, settings: &Settings) -> String {
    let groups = plan.groups();
    let interval = settings.check_interval;
    format!("app_ids = [\"{APP}\"]\ngroups = {groups:?}\ncheck_interval = \"{interval}\"\n")
}

fn of_storage(plan: &Plan, node: &Node, group: &str, settings: &Settings) -> String {
    let trackers = list(plan, "trackers", Role::Tracker);
    let idservers = list(plan, "idservers", Role::Idserver);
    let (store_path, interval) = (plan.store_path(node), settings.beat_interval);
    let is_volume = plan.is_full();
    format!(
        "{trackers}{idservers}group = \"{group}\"\nstore_paths = [\"{store_path}\"]\n\
         require_marker = {is_volume}\n\
         beat_interval = \"{interval}\"\nreserved_space = \"64MiB\"\n"
    )
}

fn of_log(up: &str, name: &str, settings: &Settings) -> String {
    let level = settings.log_level;
    format!(
        "\n[log]\nlevel = \"{level}\"\nfile = \"{up}log/{name}.log\"\n\
         access_file = \"{up}log/{name}.access\"\n"
    )
}

fn list(plan: &Plan, key: &str, role: Role) -> String {
    let addrs: Vec<String> = plan.addrs(role).iter().map(ToString::to_string).collect();
    format!("{key} = {addrs:?}\n")
}
