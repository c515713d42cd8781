//! The group of a user: chosen, bound, remembered and changed.

use super::*;

#[test]
fn other_applications_are_refused_with_the_message_of_the_cpp_tracker() {
    let setting = Setting::new();
    let saddrs = Saddrs {
        app: "badapp".parse().unwrap(),
        user: "alice".parse().unwrap(),
        file: None,
    };
    for purpose in [Purpose::Upload, Purpose::Lookup] {
        let router = &setting.service.router;
        let refused = router.route(saddrs.clone(), [10, 0, 0, 1].into(), purpose);
        assert_eq!(
            refused.unwrap_err(),
            Fault::new(ErrorCode::BadRequest, "unknown appid: badapp")
        );
    }
}

#[test]
fn a_new_user_goes_to_a_group_that_can_take_files() {
    let setting = Setting::new();
    let mut online = setting.connect("10.0.0.1");
    online.join("g1", "h", 1).unwrap();
    setting.active("g3", "10.0.0.3", 3);
    let fault = setting.saddrs("alice").unwrap_err();
    let expected = Fault::new(
        ErrorCode::Unavailable,
        "no group has an active storage that takes uploads for tnvideo/alice",
    );
    assert_eq!(fault, expected);
    assert_eq!(setting.bound("alice"), None);
    setting.active("g2", "10.0.0.2", 2);
    for user in ["alice", "bob", "Alice", "用户"] {
        let (group, addresses) = setting.saddrs(user).unwrap();
        assert_eq!(
            (&*group, &*addresses),
            ("g2", &["10.0.0.2:2".to_owned()][..])
        );
    }
    assert_eq!(setting.bound("alice").unwrap().as_str(), "g2");
    online.beat("g1", "h").unwrap();
    let groups: std::collections::HashSet<_> = (0..64)
        .map(|n| setting.saddrs(&format!("u{n}")).unwrap().0)
        .collect();
    assert_eq!(groups.len(), 2);
}

#[test]
fn a_user_stays_with_the_group_even_when_it_is_down() {
    let setting = Setting::new();
    let mut storage = setting.active("g1", "10.0.0.1", 1);
    setting.saddrs("alice").unwrap();
    storage.leave("g1", "h").unwrap();
    setting.active("g2", "10.0.0.2", 2);
    let fault = setting.saddrs("alice").unwrap_err();
    let expected = Fault::new(
        ErrorCode::Unavailable,
        "no active storage in group g1 of tnvideo/alice",
    );
    assert_eq!(fault, expected);
    setting.active("g1", "10.0.0.1", 1);
    assert_eq!(setting.saddrs("alice").unwrap().0, "g1");
}

#[test]
fn three_of_many_members_are_listed_in_a_ring() {
    let setting = Setting::new();
    let addresses: Vec<String> = (1..=5).map(|n| format!("10.0.0.{n}:{n}")).collect();
    for n in 1..=5 {
        setting.active("g1", &format!("10.0.0.{n}"), n);
    }
    let mut firsts = std::collections::HashSet::new();
    for _ in 0..200 {
        let (_, told) = setting.saddrs("alice").unwrap();
        let start = addresses.iter().position(|a| *a == told[0]).unwrap();
        let ring: Vec<_> = (0..3).map(|i| addresses[(start + i) % 5].clone()).collect();
        assert_eq!(told, ring);
        firsts.insert(start);
    }
    assert_eq!(firsts.len(), 5);
}

#[test]
fn with_the_database_away_users_that_are_known_are_served() {
    for ttl in [Period::from_secs(60), Period::from_millis(0)] {
        let setting = Setting::with_ttl(ttl);
        setting.active("g1", "10.0.0.1", 1);
        setting.saddrs("alice").unwrap();
        setting.service.globals.routes.close();
        assert_eq!(setting.saddrs("alice").unwrap().0, "g1");
        assert_eq!(code(setting.saddrs("bob")), ErrorCode::Unavailable);
    }
}

#[test]
fn a_group_changed_in_the_database_counts_after_the_ttl() {
    for (ttl, after) in [
        (Period::from_secs(60), "g1"),
        (Period::from_millis(0), "g2"),
    ] {
        let setting = Setting::with_ttl(ttl);
        let mut storage = setting.active("g1", "10.0.0.1", 1);
        setting.saddrs("alice").unwrap();
        setting.active("g2", "10.0.0.2", 2);
        let other = rusqlite::Connection::open(setting.folder.path().join("tracker.db"));
        let change = "UPDATE t_router SET group_name = 'g2'";
        other.unwrap().execute(change, []).unwrap();
        assert_eq!(setting.saddrs("alice").unwrap().0, after);
        storage.leave("g1", "h").unwrap();
        assert_eq!(setting.saddrs("alice").is_ok(), after == "g2");
    }
}

#[test]
fn a_user_is_moved_to_a_group_that_takes_uploads_and_every_tracker_learns_it() {
    let setting = Setting::new();
    let order = |from: &str, to: &str| {
        let order = TrackerOrder::MoveUser {
            app: "tnvideo".parse().unwrap(),
            user: "alice".parse().unwrap(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        };
        let by = ([10, 0, 0, 9], 40000).into();
        admin::execute(&setting.service.globals, order, by).map(drop)
    };
    setting.active("g1", "10.0.0.1", 1);
    assert_eq!(code(order("g1", "g1")), ErrorCode::NotFound);
    setting.saddrs("alice").unwrap();
    assert_eq!(code(order("g1", "g2")), ErrorCode::ReadOnly);
    assert_eq!(code(order("g1", "g3")), ErrorCode::NotFound);
    setting.active("g2", "10.0.0.2", 2);
    // What was remembered does not count any more.
    assert_eq!(setting.saddrs("alice").unwrap().0, "g1");
    order("g1", "g2").unwrap();
    assert_eq!(setting.saddrs("alice").unwrap().0, "g2");
    order("g1", "g2").unwrap();
    assert_eq!(code(order("g3", "g1")), ErrorCode::Exists);
    assert_eq!(setting.saddrs("alice").unwrap().0, "g2");
    // Moved by way of another tracker: this one is told, too.
    let routes = &setting.service.globals.routes;
    let [g1, g2] = ["g1", "g2"].map(|name| name.parse().unwrap());
    let (app, user) = ("tnvideo".parse().unwrap(), "alice".parse().unwrap());
    routes.rebind(&app, &user, &g2, &g1).unwrap();
    assert_eq!(setting.saddrs("alice").unwrap().0, "g2");
    order("g2", "g1").unwrap();
    assert_eq!(setting.saddrs("alice").unwrap().0, "g1");
}

#[test]
fn new_users_are_refused_while_too_many_requests_wait_for_the_database() {
    let setting = Setting::with_ttl(Period::from_millis(0));
    setting.active("g1", "10.0.0.1", 1);
    setting.saddrs("alice").unwrap();
    let database_limit = &setting.service.globals.database_limit;
    let inside: Vec<_> = (0..Config::default().server.workers / 2)
        .map(|_| database_limit.acquire().unwrap())
        .collect();
    assert_eq!(code(setting.saddrs("bob")), ErrorCode::Unavailable);
    assert_eq!(setting.bound("bob"), None);
    assert_eq!(setting.saddrs("alice").unwrap().0, "g1");
    drop(inside);
    assert_eq!(setting.saddrs("bob").unwrap().0, "g1");
}
