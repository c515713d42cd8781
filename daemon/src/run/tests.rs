use anyhow::ensure;

use super::*;
use crate::logging::LogConfig;
use crate::tests::TestSettings;

#[test]
fn the_log_tells_the_end_and_the_exit_code_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("main.log");
    let config = |fail| Config {
        log: LogConfig {
            file: Some(path.clone().into()),
            ..LogConfig::default()
        },
        ..Config::of(TestSettings {
            fail,
            ..TestSettings::default()
        })
    };
    // The logger of the process is set once, so both lives share it.
    let first = config(false);
    let log = Log::start(&first.log).unwrap();
    let serve: Serve<TestSettings> = |config, handle| {
        log::info!(target: net::ACCESS_TARGET, "asked");
        ensure!(!config.fail, "on purpose");
        handle.stop.trip();
        handle.serve(|_| Ok(()));
        Ok(())
    };
    let code = |config: Config<TestSettings>| {
        let reloader = Reloader::new(None, &config, log.clone());
        format!("{:?}", run_logged("test", config, reloader, serve))
    };
    assert_eq!(code(first), format!("{:?}", ExitCode::SUCCESS));
    assert_eq!(code(config(true)), format!("{:?}", ExitCode::FAILURE));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("INFO  daemon::run: stopped\n"), "{text}");
    let asked = std::fs::read_to_string(folder.path().join("main-access.log")).unwrap();
    assert_eq!(asked, "asked\nasked\n");
    assert!(
        text.contains("ERROR daemon::run: stopped: on purpose\n"),
        "{text}"
    );
    assert!(Log::start(&LogConfig::default()).is_err());
}

#[test]
fn a_configuration_is_loaded_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    let load = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Config::<TestSettings>::load(Some(&path))
    };
    assert!(load("fail = true").unwrap().fail);
    assert!(load("fall = true").is_err());
    let error = load("size = 0").unwrap_err();
    assert!(error.to_string().contains("setting size:"), "{error}");
}

#[test]
fn checking_a_configuration_serves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    let code = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let args = Args {
            config: Some(path.clone()),
            check_config: true,
            ..Args::default()
        };
        let serve: Serve<TestSettings> = |_, _| panic!("nobody asked for it");
        format!("{:?}", run_with("test", &args, serve))
    };
    assert_eq!(code("fail = true"), format!("{:?}", ExitCode::SUCCESS));
    assert_eq!(
        code("fail = 7"),
        format!("{:?}", ExitCode::from(EXIT_CONFIG))
    );
}

#[test]
fn each_way_to_fail_has_its_exit_code() {
    let code = |error: anyhow::Error| format!("{:?}", exit_code(&error));
    let invalid = ConfigError::invalid("process.user", "unknown");
    assert_eq!(code(invalid.into()), format!("{:?}", ExitCode::from(2)));
    let failed = anyhow::anyhow!("no").context("cannot start");
    assert_eq!(code(failed), format!("{:?}", ExitCode::from(1)));
}

#[test]
fn what_is_denied_names_the_user_and_keeps_its_exit_code() {
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    let path = "a.toml".into();
    let error = name_user(
        ConfigError::Read {
            path,
            source: denied,
        }
        .into(),
    );
    let user = process::user_name();
    let text = format!("{error:#}");
    let told = format!("not permitted to user {user}: cannot read the configuration a.toml: ");
    assert!(text.starts_with(&told), "{text}");
    let code = format!("{:?}", exit_code(&error));
    assert_eq!(code, format!("{:?}", ExitCode::from(2)));
    let other = name_user(anyhow::anyhow!("no"));
    assert_eq!(format!("{other:#}"), "no");
}
