//! The configuration files of a plan's daemons.
//!
//! All paths are relative: the daemons run in the folder of the cluster, or two levels below it. The
//! idserver uses the store path as a key of at most 64 bytes, and the folder may be deep.

use crate::database::{PASSWORD_FILE, database_path};
use crate::layout::Settings;
use crate::plan::KEY_FILE;
use crate::plan::{APP, Node, Plan, Role, USER};

/// The configuration of one daemon.
pub(crate) fn text(plan: &Plan, node: &Node, settings: &Settings) -> String {
    let up = match plan.work_folder(node) == plan.folder {
        true => "",
        false => "../../",
    };
    let mut text = format!("listen = \"{}\"\n", node.addr);
    if settings.key.is_some() {
        text += &of_key(up, node.role);
    }
    if node.role != Role::Httpd {
        let (name, database) = (&node.name, database(plan, node.role, settings));
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
    if let Some(path) = password_file(plan, up, settings)
        && node.role != Role::Httpd
    {
        text += &format!("\n[mysql]\npassword_file = \"{path}\"\n");
    }
    text += &format!("\n[server]\nidle_timeout = \"{}\"\n", settings.idle_timeout);
    text += &format!("\n[status]\nlisten = \"{}\"\n", node.status);
    text + &of_log(up, &node.name, settings)
}

/// Trackers serve this machine without a key, too: `probe` has none.
fn of_key(up: &str, role: Role) -> String {
    match role {
        Role::Tracker => {
            format!("cluster_key_file = \"{up}{KEY_FILE}\"\nlegacy_hosts = [\"127.0.0.0/8\"]\n")
        }
        Role::Httpd => format!("key_file = \"{up}{KEY_FILE}\"\n"),
        Role::Idserver | Role::Storage => format!("cluster_key_file = \"{up}{KEY_FILE}\"\n"),
    }
}

fn database(plan: &Plan, role: Role, settings: &Settings) -> String {
    match &settings.mysql {
        Some(mysql) => format!("{}_{}", mysql.url, role.as_str()),
        None if plan.is_full() => plan.galera_url(role),
        None => format!("sqlite:{}", database_path(role)),
    }
}

fn password_file(plan: &Plan, up: &str, settings: &Settings) -> Option<String> {
    match &settings.mysql {
        Some(mysql) => Some(mysql.password_file.display().to_string()),
        None => plan.is_full().then(|| format!("{up}{PASSWORD_FILE}")),
    }
}

fn of_tracker(plan: &Plan, settings: &Settings) -> String {
    let mut groups = plan.groups();
    groups.extend(settings.more_groups.iter().map(String::as_str));
    let interval = settings.check_interval;
    // The members of all groups join from one machine.
    format!(
        "app_ids = [\"{APP}\"]\ngroups = {groups:?}\ncheck_interval = \"{interval}\"\n\
         members_per_address = 100000\n"
    )
}

fn of_storage(plan: &Plan, node: &Node, group: &str, settings: &Settings) -> String {
    let trackers = list(plan, "trackers", Role::Tracker);
    let idservers = list(plan, "idservers", Role::Idserver);
    let (store_path, interval) = (plan.store_path(node), settings.beat_interval);
    let (is_volume, durability) = (plan.is_full(), settings.durability);
    let socket = match settings.local_reads {
        true => "",
        false => "local_socket = \"off\"\n",
    };
    format!(
        "{trackers}{idservers}group = \"{group}\"\nstore_paths = [\"{store_path}\"]\n\
         require_marker = {is_volume}\n\
         beat_interval = \"{interval}\"\nreserved_space = \"64MiB\"\n\
         durability = \"{durability}\"\n\
         {socket}state_file = \"db/{}.state\"\n",
        node.name
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
