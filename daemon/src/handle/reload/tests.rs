use std::fs;

use super::*;
use crate::tests::TestSettings;

struct Fixture {
    _folder: tempfile::TempDir,
    path: PathBuf,
    reloader: Reloader<TestSettings>,
}

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let config = Config::default();
        let log = Log::open(&config.log, None).unwrap();
        Fixture {
            reloader: Reloader::new(Some(path.clone()), &config, log),
            _folder: folder,
            path,
        }
    }

    /// The applied settings, if any.
    fn reload(&mut self, text: &str) -> anyhow::Result<Option<Vec<u16>>> {
        fs::write(&self.path, text).unwrap();
        let mut applied = None;
        self.reloader.try_reload(&mut |config| {
            applied = Some(config.peers.clone());
            Ok(())
        })?;
        Ok(applied)
    }
}

/// The keys that a reload changes, and those that need a restart.
fn changes_to(text: &str) -> [Vec<String>; 2] {
    let (old, new) = (
        Config::<TestSettings>::default(),
        Config::parse(text).unwrap(),
    );
    let next = old.reloaded(&new);
    [(&old, &next), (&next, &new)].map(|(old, new)| changed_keys(old, new).unwrap())
}

#[test]
fn what_can_change_is_told_from_what_cannot() {
    let [applied, need_restart] = changes_to(
        "size = 2\npeers = [1]\nalias = 3\n[server]\nworkers = 3\nidle_timeout = \"1s\"\n\
         [log]\nlevel = \"debug\"\n[process]\nuser = \"tnv\"\n",
    );
    assert_eq!(
        applied,
        ["alias", "log.level", "peers", "server.idle_timeout"]
    );
    assert_eq!(need_restart, ["process.user", "server.workers", "size"]);
    assert_eq!(changes_to(""), [Vec::<String>::new(), Vec::new()]);
}

#[test]
fn a_change_is_applied_once() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.reload("").unwrap(), None);
    assert_eq!(fixture.reload("peers = [7]").unwrap(), Some(vec![7]));
    assert_eq!(fixture.reload("peers = [7]").unwrap(), None);
    assert_eq!(fixture.reload("peers = [7]\nsize = 2").unwrap(), None);
    assert_eq!(fixture.reload("").unwrap(), Some(vec![]));
}

#[test]
fn what_needs_a_restart_stays_a_difference() {
    let mut fixture = Fixture::new();
    fixture.reload("size = 2").unwrap();
    assert_eq!(fixture.reloader.in_force.size, 1);
}

#[test]
fn a_configuration_that_cannot_be_used_changes_nothing() {
    let mut fixture = Fixture::new();
    for (text, why) in [
        ("peers = [1]\nsize = 0", "size"),
        ("peers = [1]\npears = [1]", "pears"),
        (
            "peers = [1]\n[log]\nfile = \"/nonexistent/x\"",
            "/nonexistent/x",
        ),
        ("peers = [1]\n[process]\ngroup = \"x\"", "process.group"),
    ] {
        let error = format!("{:#}", fixture.reload(text).unwrap_err());
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(fixture.reload("peers = [1]").unwrap(), Some(vec![1]));
}

#[test]
fn a_daemon_that_cannot_apply_it_is_asked_again() {
    let mut fixture = Fixture::new();
    fs::write(&fixture.path, "peers = [1]").unwrap();
    let refuse = fixture
        .reloader
        .try_reload(&mut |_| anyhow::bail!("no thread"));
    assert_eq!(refuse.unwrap_err().to_string(), "no thread");
    assert_eq!(fixture.reload("peers = [1]").unwrap(), Some(vec![1]));
}

#[test]
fn a_daemon_in_the_background_keeps_a_log_in_a_file() {
    let mut fixture = Fixture::new();
    fixture.reloader.is_background = true;
    let error = fixture.reload("peers = [7]").unwrap_err();
    assert!(error.to_string().contains("log.file"), "{error}");
    let file = fixture.path.with_file_name("a.log");
    let text = format!("peers = [7]\n[log]\nfile = {file:?}\n");
    assert_eq!(fixture.reload(&text).unwrap(), Some(vec![7]));
}
