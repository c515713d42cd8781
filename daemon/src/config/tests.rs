use base::secret::Secret;
use base::units::{ByteSize, Period};

use super::*;
use crate::logging::Level;
use crate::tests::TestSettings;

type TestConfig = Config<TestSettings>;

fn load_text(text: &str) -> Result<TestConfig, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("daemon.toml");
    fs::write(&path, text).unwrap();
    Config::load(Some(&path))
}

/// The error and its sources, as an operator reads them.
fn chain(error: ConfigError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

#[test]
fn without_a_file_the_defaults_hold() {
    let config = TestConfig::load(None).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.listen.to_string(), "0.0.0.0:21");
    let status = config.status.listen().unwrap();
    assert_eq!(status.to_string(), "127.0.0.1:22");
    config.check().unwrap();
    assert_eq!(load_text("").unwrap(), config);
}

#[test]
fn a_file_changes_what_it_names() {
    let config = load_text(
        "listen = \"[::1]:5\"\nallow_hosts = [\"10.0.0.0/8\"]\nknown_as = [\"192.0.2.1:9\"]\npeers = [7]\n[server]\nworkers = 4\nidle_timeout = \"90s\"\nmin_rate = 2048\n[log]\nlevel = \"debug\"\nfile = \"a.log\"",
    )
    .unwrap();
    assert_eq!(config.listen.to_string(), "[::1]:5");
    assert_eq!(config.peers, [7]);
    assert_eq!(config.access.known_as, [([192, 0, 2, 1], 9).into()]);
    let again = TestConfig::parse(&config.effective().unwrap()).unwrap();
    assert_eq!(again.access, config.access);
    assert_eq!(config.server.workers, 4);
    assert_eq!(config.server.idle_timeout, Period::from_secs(90));
    assert_eq!(config.server.min_rate, ByteSize::from_kib(2));
    assert_eq!(config.server.fast_workers, 4);
    assert_eq!(config.log.level, Level::Debug);
    assert_eq!(config.log.file, Some("a.log".into()));
    assert_eq!(config.log.access_file, None);
}

#[test]
fn errors_name_file_line_and_key() {
    for (text, parts) in [
        ("[server]\nworkerz = 4", ["line 2", "workerz"]),
        ("[server]\n\nworkers = \"many\"", ["line 3", "workers"]),
        (
            "\nlisten = \"x\"",
            ["line 2, listen:", "expected address:port"],
        ),
        (
            "\n\npears = [7]",
            ["line 3: unknown field `pears`", "`peers`"],
        ),
        (
            "\nallow_host = []",
            ["line 2: unknown field `allow_host`", "`allow_hosts`"],
        ),
        ("\nallow_hosts = [\"x\"]", ["line 2, allow_hosts:", "\"x\""]),
        (
            "[sever]\nworkers = 4",
            ["line 1", "`server`, `status`, `log`, `process`"],
        ),
        ("size = \"big\"", ["line 1, size: ", "u16"]),
        ("[log]\nlevel = \"loud\"", ["line 2", "`trace`"]),
        (
            "[server]\nhead_timeout = 10",
            ["line 2", "expected a period"],
        ),
        ("[server", ["line 1", "daemon.toml"]),
    ] {
        let error = chain(load_text(text).unwrap_err());
        assert!(error.contains("daemon.toml"), "{error}");
        for part in parts {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = TestConfig::load(Some(Path::new("/nonexistent/x.toml"))).unwrap_err();
    assert!(chain(error).contains("/nonexistent/x.toml"));
}

#[test]
fn zeros_and_too_many_threads_are_refused_by_key() {
    for (line, key) in [
        ("workers = 0", "server.workers"),
        ("workers = 1025", "server.workers"),
        ("fast_workers = 0", "server.fast_workers"),
        ("connections_max = 0", "server.connections_max"),
        ("head_timeout = \"0s\"", "server.head_timeout"),
        ("idle_timeout = \"0s\"", "server.idle_timeout"),
        ("queue_timeout = \"0s\"", "server.queue_timeout"),
        ("stall_timeout = \"0s\"", "server.stall_timeout"),
        ("min_rate = 0", "server.min_rate"),
        ("stop_timeout = \"0s\"", "server.stop_timeout"),
    ] {
        let error = load_text(&format!("[server]\n{line}"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn the_checked_settings_follow_what_is_open_to_whom() {
    let mut config = TestConfig::default();
    let text = config.checked().unwrap();
    let expected = "# serves nobody\n\
                    # status pages at 127.0.0.1:22: every program on this machine reads them\n";
    assert!(text.starts_with(expected), "{text}");
    let parsed = TestConfig::parse(&text).unwrap();
    assert_eq!(
        (parsed.listen, parsed.status),
        (config.listen, config.status)
    );
    config.status = StatusConfig::at(([10, 0, 0, 1], 22).into());
    let text = config.checked().unwrap();
    assert!(
        text.contains("every program that can connect reads them"),
        "{text}"
    );
    config.status = StatusConfig::off();
    let text = config.checked().unwrap();
    assert_eq!(text.matches("\n# ").count(), 0, "{text}");
}

#[test]
fn the_effective_settings_can_be_read_back_but_show_no_secret() {
    let config = Config::of(TestSettings {
        token: Secret::new("hunter2"),
        ..TestSettings::default()
    });
    let text = config.effective().unwrap();
    assert!(text.contains("idle_timeout = \"5m\""), "{text}");
    assert!(text.contains("min_rate = \"1KiB\""), "{text}");
    assert!(text.contains("token = \"********\""), "{text}");
    assert!(!format!("{text}{config:?}").contains("hunter2"));
    assert_eq!(config.token.expose(), "hunter2");
    let mut back = TestConfig::parse(&text).unwrap();
    back.token = config.token.clone();
    assert_eq!(back, config);
}
