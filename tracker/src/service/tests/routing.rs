//! Uploads bind a user to a group, lookups do not.

use std::time::Duration;

use ::db::Availability;
use net::quota::Limits;

use super::*;
use crate::cache::CachedGroup;
use crate::config::CacheConfig;
use crate::db::Binding;

/// A database that behaves otherwise in one respect.
struct Altered {
    routes: Box<dyn db::Routes>,
    /// Another tracker binds each user to the other group just before.
    is_overtaken: bool,
    /// The group of every user without a row, as a C++ tracker finds it.
    of_similar: Option<GroupName>,
}

impl db::Routes for Altered {
    fn add_groups(&self, groups: &[GroupName]) -> Result<(), DbError> {
        self.routes.add_groups(groups)
    }

    fn open_group(&self, group: &GroupName) -> Result<(), DbError> {
        self.routes.open_group(group)
    }

    fn close_group(&self, group: &GroupName) -> Result<(), DbError> {
        self.routes.close_group(group)
    }

    fn groups(&self) -> Result<Vec<GroupName>, DbError> {
        self.routes.groups()
    }

    fn closed_groups(&self) -> Result<Vec<GroupName>, DbError> {
        self.routes.closed_groups()
    }

    fn find(&self, app: &AppId, user: &UserId) -> Result<Option<Binding>, DbError> {
        let similar = self.of_similar.clone().map(|group| Binding {
            group,
            is_own: false,
        });
        Ok(self.routes.find(app, user)?.or(similar))
    }

    fn bind(&self, app: &AppId, user: &UserId, group: &GroupName) -> Result<GroupName, DbError> {
        if self.is_overtaken {
            let [g1, g2] = ["g1", "g2"].map(|name| GroupName::new(name).unwrap());
            let other = if *group == g1 { g2 } else { g1 };
            self.routes.bind(app, user, &other)?;
        }
        self.routes.bind(app, user, group)
    }

    fn rebind(
        &self,
        app: &AppId,
        user: &UserId,
        from: &GroupName,
        to: &GroupName,
    ) -> Result<Option<GroupName>, DbError> {
        self.routes.rebind(app, user, from, to)
    }

    fn cluster(&self) -> Result<Option<ClusterId>, DbError> {
        self.routes.cluster()
    }

    fn name_cluster(&self, cluster: &ClusterId) -> Result<(), DbError> {
        self.routes.name_cluster(cluster)
    }

    fn unname_cluster(&self) -> Result<(), DbError> {
        self.routes.unname_cluster()
    }

    fn availability(&self) -> Availability {
        self.routes.availability()
    }

    fn close(&self) {
        self.routes.close();
    }
}

/// A setting whose database is altered.
fn altered(alter: impl FnOnce(Box<dyn db::Routes>) -> Altered) -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::of(Settings {
        database: DatabaseUrl::Sqlite(folder.path().join("tracker.db")),
        ..Settings::default()
    });
    let routes = db::open(&config.database, &config.mysql).unwrap();
    let groups = ["g1", "g2"].map(|name| GroupName::new(name).unwrap());
    routes.add_groups(&groups).unwrap();
    let globals = Globals::new(config, Box::new(alter(routes)), groups.to_vec());
    Setting {
        service: TrackerService::new(Arc::new(globals)),
        folder,
    }
}

fn n_rows(setting: &Setting) -> u32 {
    let rows = rusqlite::Connection::open(setting.folder.path().join("tracker.db")).unwrap();
    rows.query_row("SELECT count(*) FROM t_router", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn who_bound_the_user_first_is_right() {
    let setting = altered(|routes| Altered {
        routes,
        is_overtaken: true,
        of_similar: None,
    });
    setting.active("g1", "10.0.0.1", 1);
    assert_eq!(code(setting.saddrs("alice")), ErrorCode::Unavailable);
    assert_eq!(setting.bound("alice").unwrap().as_str(), "g2");
    setting.active("g2", "10.0.0.2", 2);
    assert_eq!(setting.saddrs("alice").unwrap().1, ["10.0.0.2:2"]);
}

#[test]
fn only_an_upload_binds_a_user() {
    let setting = Setting::new();
    setting.active("g1", "10.0.0.1", 1);
    for n in 0..100 {
        assert_eq!(code(setting.lookup(&format!("u{n}"))), ErrorCode::NotFound);
    }
    let message = setting.lookup("alice").unwrap_err().message;
    assert!(message.contains("tnvideo/alice has no group"), "{message}");
    assert_eq!(n_rows(&setting), 0);
    // What was not found does not stand in the way of an upload, nor this of a look.
    assert_eq!(setting.saddrs("alice").unwrap().0, "g1");
    assert_eq!(setting.lookup("alice").unwrap().1, ["10.0.0.1:1"]);
    assert_eq!(n_rows(&setting), 1);
    // Nothing is known of a user while the database is away: that is not 'not found'.
    setting.service.globals.routes.close();
    assert_eq!(setting.lookup("alice").unwrap().0, "g1");
    assert_eq!(code(setting.lookup("bob")), ErrorCode::Unavailable);
}

#[test]
fn a_request_on_the_wire_looks_or_binds() {
    let setting = Setting::new();
    setting.active("g1", "10.0.0.1", 1);
    let saddrs = Saddrs {
        app: "tnvideo".parse().unwrap(),
        user: "alice".parse().unwrap(),
        file: None,
    };
    let mut client = setting.connect("10.0.0.9");
    let looked = client.call(TrackerRequest::Lookup(saddrs.clone()));
    assert_eq!(code(looked), ErrorCode::NotFound);
    let bound = client.call(TrackerRequest::Saddrs(saddrs.clone())).unwrap();
    assert_eq!(client.call(TrackerRequest::Lookup(saddrs)), Ok(bound));
}

#[test]
fn too_many_new_users_of_one_address_are_refused_and_nobody_else_is() {
    let setting = Setting::new();
    setting.active("g1", "10.0.0.1", 1);
    let globals = &setting.service.globals;
    globals.new_users.reload(Limits {
        per_peer: 2,
        in_all: 3,
        period: Duration::from_secs(86_400),
    });
    setting.saddrs("a").unwrap();
    setting.saddrs("b").unwrap();
    let fault = setting.saddrs("c").unwrap_err();
    assert_eq!(fault.code, ErrorCode::Busy);
    for part in ["from 127.0.0.1", "new_users_per_address"] {
        assert!(fault.message.contains(part), "{fault}");
    }
    assert_eq!(setting.bound("c"), None);
    // Users who have a group are served, and other addresses until all together are too many.
    setting.saddrs("a").unwrap();
    setting.lookup("b").unwrap();
    let of_other = |user: &str| {
        let saddrs = Saddrs {
            app: "tnvideo".parse().unwrap(),
            user: user.parse().unwrap(),
            file: None,
        };
        setting
            .connect("10.0.0.9")
            .call(TrackerRequest::Saddrs(saddrs))
    };
    of_other("c").unwrap();
    let fault = of_other("d").unwrap_err();
    assert!(fault.message.contains("new_users_per_minute"), "{fault}");
    let metrics = &globals.metrics;
    assert_eq!(
        (metrics.new_users.get(), metrics.refused_users.get()),
        (3, 2)
    );
}

#[test]
fn a_group_that_was_not_read_is_not_fresh() {
    let ttl = Duration::from_millis(5);
    let app: AppId = "tnvideo".parse().unwrap();
    let user: UserId = "alice".parse().unwrap();
    for is_gate_shut in [false, true] {
        let setting = Setting::new();
        setting.active("g1", "10.0.0.1", 1);
        let globals = &setting.service.globals;
        globals.bindings.reload(&CacheConfig {
            ttl: Period::from_millis(5),
            ..CacheConfig::default()
        });
        let (group, generation) = ("g1".parse().unwrap(), globals.bindings.generation());
        globals
            .bindings
            .put(app.clone(), user.clone(), group, generation, Duration::ZERO);
        let n_permits = Config::default().server.workers / 2;
        let n_inside = if is_gate_shut { n_permits } else { 0 };
        let _inside: Vec<_> = (0..n_inside)
            .map(|_| globals.database_limit.acquire())
            .collect();
        if is_gate_shut {
            globals.database_limit.stall();
        } else {
            globals.routes.close();
        }
        while globals.now().elapsed < ttl {
            std::hint::spin_loop();
        }
        assert_eq!(setting.saddrs("alice").unwrap().0, "g1");
        // Were it read just now, it would be fresh at any time up to now.
        let known = globals.bindings.get(&app, &user, ttl);
        assert_eq!(known, Some(CachedGroup::Stale("g1".parse().unwrap())));
    }
}

#[test]
fn a_user_without_a_row_goes_where_a_cxx_tracker_sends_the_user() {
    let setting = altered(|routes| Altered {
        routes,
        is_overtaken: false,
        of_similar: Some("g2".parse().unwrap()),
    });
    setting.active("g1", "10.0.0.1", 1);
    setting.active("g2", "10.0.0.2", 2);
    for n in 0..20 {
        let user = format!("USER{n}");
        assert_eq!(setting.lookup(&user).unwrap().0, "g2");
        assert_eq!(n_rows(&setting), n);
        assert_eq!(setting.saddrs(&user).unwrap().0, "g2");
        assert_eq!(n_rows(&setting), n + 1);
    }
    // Without a row to be had the group is the same.
    setting.service.globals.new_users.reload(Limits {
        per_peer: 1,
        in_all: 1,
        period: Duration::from_secs(86_400),
    });
    assert_eq!(setting.saddrs("late").unwrap().0, "g2");
    assert_eq!(n_rows(&setting), 20);
}

#[test]
fn why_a_new_user_gets_no_group_is_told_as_it_is() {
    let setting = Setting::new();
    setting.active("g1", "10.0.0.1", 1);
    let message = |user: &str| setting.saddrs(user).unwrap_err().message;
    let routes = &setting.service.globals.routes;
    for group in ["g1", "g2"] {
        routes.close_group(&group.parse().unwrap()).unwrap();
    }
    let told = message("alice");
    assert!(told.contains("closed to new users: g1, g2"), "{told}");
    routes.open_group(&"g2".parse().unwrap()).unwrap();
    let told = message("alice");
    assert!(told.contains("no group has an active storage"), "{told}");
}
