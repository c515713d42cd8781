//! Work of operators: the monitor, copied machines, unreachable addresses.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use bench::Content;
use proto::report::Drain;
use test_cluster::{Layout, Node, Role};

use crate::support::{Fixture, wait_for};

fn pair() -> Fixture {
    let mut layout = Layout {
        trackers: 2,
        ..Layout::small(2)
    };
    layout.settings.beat_interval = "300ms";
    Fixture::start(&layout)
}

/// Exit code and output of a check without limits on the disk space of this machine.
fn check(fixture: &Fixture) -> (Option<i32>, String) {
    let args = "monitor --check --warning 0 --critical 0".split(' ');
    let output = fixture.tnv().run(args).unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), line)
}

fn page(fixture: &Fixture) -> String {
    fixture.tnv().say(["monitor"]).unwrap()
}

/// Kills a storage, calls `change`, and starts it.
fn restart(fixture: &mut Fixture, node: &Node, change: impl FnOnce(&Fixture)) {
    fixture.cluster.kill(node).unwrap();
    change(fixture);
    fixture.cluster.start_node(node).unwrap();
}

#[test]
fn the_monitor_shows_what_every_storage_did() {
    let mut fixture = pair();
    let content = Content::new(1, 100_000);
    let id = fixture.upload(&content).file.as_str().to_owned();
    fixture.assert_streams(&id, &content);
    wait_for("the trackers to know of the upload", || {
        let page = page(&fixture);
        match page.contains("success_upload_bytes = 100000") && check(&fixture).0 == Some(0) {
            true => Ok(()),
            false => Err(page),
        }
    });
    let page = page(&fixture);
    for text in [
        "tracker server count=2, current server index=0",
        "group count: 1",
        "storage server count = 2",
        "writable server count = 2",
        "store_path0 = store/group001  writable",
    ] {
        assert!(page.contains(text), "{text:?} in {page}");
    }
    let storage = fixture.nodes(Role::Storage)[0].clone();
    fixture.cluster.kill(&storage).unwrap();
    wait_for("a killed storage to be told of", || match check(&fixture) {
        (Some(1), line) if line.contains(&storage.addr.to_string()) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn a_copied_machine_is_refused_with_both_addresses() {
    let mut fixture = pair();
    let [first, second] = [0, 1].map(|idx| fixture.nodes(Role::Storage)[idx].clone());
    restart(&mut fixture, &second, |fixture| {
        let state = |node: &Node| {
            let folder = &fixture.cluster.plan().folder;
            folder.join(format!("db/{}.state", node.name))
        };
        fs::copy(state(&first), state(&second)).unwrap();
    });
    wait_for("both trackers to refuse the copy", || {
        let page = page(&fixture);
        let told = page.lines().filter(|line| {
            line.starts_with("refused: ")
                && line.contains(&first.addr.to_string())
                && line.contains(&second.addr.to_string())
        });
        if told.count() == 2 { Ok(()) } else { Err(page) }
    });
    assert_ne!(check(&fixture).0, Some(0));
    // The first storage continues.
    let content = Content::new(2, 100_000);
    let id = fixture.upload(&content).file.as_str().to_owned();
    fixture.assert_streams(&id, &content);
}

#[test]
fn clients_are_not_sent_to_an_unreachable_address() {
    let mut fixture = pair();
    let storage = fixture.nodes(Role::Storage)[0].clone();
    restart(&mut fixture, &storage, |fixture| {
        let path = fixture.cluster.plan().config(&storage);
        let config = fs::read_to_string(&path).unwrap();
        // Port 1 has no listener.
        fs::write(&path, format!("advertise = \"127.0.0.1:1\"\n{config}")).unwrap();
    });
    wait_for("the trackers to tell", || {
        let page = page(&fixture);
        let why = "note = 127.0.0.1:1 cannot be connected to";
        let both = page.contains(why) && page.contains("readable server count = 1");
        if both { Ok(()) } else { Err(page) }
    });
    let (exit, line) = check(&fixture);
    assert_ne!(exit, Some(0));
    assert!(
        line.contains("127.0.0.1:1 cannot be connected to"),
        "{line}"
    );
    let user = proto::UserId::new(test_cluster::USER).unwrap();
    wait_for("no tracker to send clients there", || {
        let reply = fixture
            .client()
            .saddrs(&test_cluster::APP.parse().unwrap(), &user, None);
        let addresses = reply.unwrap().addresses;
        match addresses
            .iter()
            .any(|address| address.as_str() == "127.0.0.1:1")
        {
            true => Err(format!("{addresses:?}")),
            false => Ok(()),
        }
    });
    for seed in 0..4 {
        let content = Content::new(seed, 10_000);
        fixture.upload(&content);
    }
}

fn with_key() -> (Fixture, String) {
    let layout = Layout {
        trackers: 2,
        ..Layout::small(2)
    };
    taking_orders(layout, "10s")
}

/// A cluster with an admin key, and the key file.
pub fn taking_orders(mut layout: Layout, check_interval: &'static str) -> (Fixture, String) {
    layout.settings.beat_interval = "300ms";
    layout.settings.check_interval = check_interval;
    let mut fixture = Fixture::start(&layout);
    let key = fixture.folder_path("key");
    fs::write(&key, "a key for administrators\n").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let key = key.to_str().unwrap().to_owned();
    for role in [Role::Tracker, Role::Storage] {
        for node in fixture.nodes(role) {
            restart(&mut fixture, &node, |fixture| {
                let path = fixture.cluster.plan().config(&node);
                let config = fs::read_to_string(&path).unwrap();
                fs::write(&path, format!("admin_key_file = \"{key}\"\n{config}")).unwrap();
            });
        }
    }
    fixture.cluster.wait_ready().unwrap();
    (fixture, key)
}

/// Exit code and output of an order.
pub fn admin(fixture: &Fixture, key: &str, args: &[&str]) -> (Option<i32>, String) {
    let args = [&["admin", "--key-file", key], args].concat();
    let output = fixture.tnv().run(args).unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

fn wait_for_mode(fixture: &Fixture, storage: &Node, mode: &str) {
    wait_for(mode, || {
        let page = page(fixture);
        let at = page
            .split("\tStorage ")
            .find(|part| part.contains(&storage.addr.to_string()));
        match at.is_some_and(|part| part.contains(&format!("read write mode = {mode}"))) {
            true => Ok(()),
            false => Err(page),
        }
    });
}

/// Waits until every tracker knows the drain state; `tnv monitor` shows that of one tracker.
fn wait_for_drain(fixture: &Fixture, address: &str, level: Drain) {
    for tracker in fixture.cluster.addresses(Role::Tracker) {
        wait_for("every tracker to know", || {
            let known = fixture.client().cluster_of(&tracker.into()).unwrap();
            let storages = known.groups.into_iter().flat_map(|group| group.storages);
            let mut found = storages.filter(|storage| storage.address == address);
            let report = found.next().and_then(|storage| storage.report);
            match report.as_ref().map(|report| report.drain) {
                Some(drain) if drain == level => Ok(()),
                _ => Err(format!("{report:?}")),
            }
        });
    }
}

#[test]
fn a_storage_is_drained_under_load_and_stays_so_after_a_restart() {
    let (mut fixture, key) = with_key();
    let storage = fixture.nodes(Role::Storage)[0].clone();
    let address = storage.addr.to_string();
    let upload = |fixture: &Fixture| fixture.upload(&Content::new(7, 50_000));
    let first = upload(&fixture);
    let failed = std::thread::scope(|scope| {
        let load = scope.spawn(|| (0..40).for_each(|_| drop(upload(&fixture))));
        let (exit, said) = admin(&fixture, &key, &["drain", &address]);
        assert_eq!(exit, Some(0), "{said}");
        load.join().is_err()
    });
    assert!(!failed);
    wait_for_mode(&fixture, &storage, "read (drained of uploads)");
    restart(&mut fixture, &storage, |_| {});
    wait_for_mode(&fixture, &storage, "read (drained of uploads)");
    // Until the storage joins again, the trackers show its state before the kill.
    wait_for("the storage to take an order", || {
        match admin(&fixture, &key, &["drain", "--all", &address]) {
            (Some(0), _) => Ok(()),
            (_, said) => Err(said),
        }
    });
    wait_for_mode(&fixture, &storage, "none (drained)");
    wait_for_drain(&fixture, &address, Drain::All);
    let reply = fixture
        .client()
        .saddrs(&first.app, &first.user, None)
        .unwrap();
    assert!(
        reply
            .addresses
            .iter()
            .all(|other| other.as_str() != address),
        "{address} is in {reply:?}; {}",
        page(&fixture)
    );
    assert_eq!(admin(&fixture, &key, &["undrain", &address]).0, Some(0));
    wait_for_mode(&fixture, &storage, "both (normal)");
    let (exit, said) = admin(&fixture, &key, &["file", first.file.as_str()]);
    assert_eq!((exit, said.lines().count()), (Some(0), 2), "{said}");
    assert!(said.contains("size=50000 size_on_disk=50000") && said.contains("table=t_file_02"));
}

#[test]
fn orders_need_the_key_and_reach_every_tracker() {
    let (mut fixture, key) = with_key();
    let storage = fixture.nodes(Role::Storage)[0].clone();
    let address = storage.addr.to_string();
    fixture.upload(&Content::new(1, 1000));
    let wrong = fixture.folder_path("wrong");
    fs::write(&wrong, "not the administrators' key\n").unwrap();
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o600)).unwrap();
    for args in [&["close-group", "group001"][..], &["drain", &address]] {
        let (exit, said) = admin(&fixture, wrong.to_str().unwrap(), args);
        assert_eq!(exit, Some(9), "{said}");
        assert!(said.contains("wrong admin key"), "{said}");
    }
    // An online storage cannot be forgotten.
    assert_eq!(admin(&fixture, &key, &["forget", &address]).0, Some(4));
    fixture.cluster.kill(&storage).unwrap();
    wait_for("every tracker to forget a dead storage", || {
        match admin(&fixture, &key, &["forget", &address]) {
            (Some(0 | 3), _) if page(&fixture).contains("storage server count = 1") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    // Users of a closed group stay, and new users go elsewhere.
    assert_eq!(
        admin(&fixture, &key, &["close-group", "group001"]).0,
        Some(0)
    );
    fixture.upload(&Content::new(2, 1000));
    let somebody = proto::UserId::new("somebody").unwrap();
    let app = test_cluster::APP.parse().unwrap();
    assert!(fixture.client().saddrs(&app, &somebody, None).is_err());
    for tracker in fixture.nodes(Role::Tracker) {
        restart(&mut fixture, &tracker, |_| {});
    }
    fixture.cluster.wait_ready().unwrap();
    assert!(fixture.client().saddrs(&app, &somebody, None).is_err());
    assert_eq!(
        admin(&fixture, &key, &["open-group", "group001"]).0,
        Some(0)
    );
    fixture.client().saddrs(&app, &somebody, None).unwrap();
    let (exit, said) = admin(&fixture, &key, &["user"]);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("group=group001 storages="), "{said}");
}
