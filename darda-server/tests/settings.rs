//! The binary's settings: a wrong value is named, and help lists them all.

use std::collections::HashMap;
use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use darda_server::settings::{self, Settings, WrongSetting};

fn read(settings: &[(&str, &str)]) -> Result<Settings, WrongSetting> {
    let settings: HashMap<_, _> = settings
        .iter()
        .map(|(name, value)| (name.to_string(), OsString::from(value)))
        .collect();
    Settings::read(|name| settings.get(name).cloned())
}

#[test]
fn without_any_setting_the_defaults_count() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.heartbeat, darda_server::limits::HEARTBEAT);
    assert_eq!(
        settings.header_timeout,
        darda_server::limits::HEADER_TIMEOUT
    );
    assert_eq!(settings.drain, Duration::from_secs(10));
    assert_eq!(settings.node, None);
    assert!(settings.rate_limits && settings.allowed_origins.is_empty());
}

#[test]
fn each_default_in_the_table_is_the_default() {
    let given: Vec<_> = settings::ALL
        .iter()
        .map(|it| (it.name, it.default))
        .collect();
    assert_eq!(read(&given).unwrap(), read(&[]).unwrap());
}

#[test]
fn a_wrong_value_is_an_error_that_names_the_setting_and_the_value() {
    for (name, value) in [
        ("DARDA_LISTEN", "8080"),
        ("DARDA_LISTEN", "localhost:8080"),
        ("DARDA_LISTEN", "127.0.0.1:99999"),
        ("DARDA_LISTEN", ""),
        ("DARDA_ROLE", "reader"),
        ("DARDA_ROLE", "Both"),
        ("DARDA_NODE", "no spaces"),
        ("DARDA_DEV_AUTH_ANYWHERE", "yes"),
        ("DARDA_ALLOWED_ORIGINS", "chat.example.org"),
        (
            "DARDA_ALLOWED_ORIGINS",
            "https://a.example.org,https://b.example.org/path",
        ),
        ("DARDA_RATE_LIMITS", "0"),
        ("DARDA_MAX_SOCKETS", "0"),
        ("DARDA_MAX_SOCKETS", "many"),
        ("DARDA_MAX_SOCKETS", "-1"),
        ("DARDA_SESSION_QUEUE", "1.5"),
        ("DARDA_HEARTBEAT_MS", "1"),
        ("DARDA_HEADER_TIMEOUT_MS", "10s"),
        ("DARDA_DRAIN_MS", "99999999999999999999"),
        ("DARDA_LOG", "a=b=c"),
        ("DARDA_LOG_FORMAT", "xml"),
    ] {
        let error = read(&[(name, value)]).unwrap_err();
        assert_eq!((error.setting, error.value.as_str()), (name, value));
        assert!(
            error
                .to_string()
                .starts_with(&format!("{name}={value:?}: ")),
            "{error}"
        );
    }
}

#[test]
fn development_authentication_stays_on_loopback_unless_told() {
    let error = read(&[("DARDA_LISTEN", "0.0.0.0:8080")]).unwrap_err();
    assert!(
        error.to_string().contains("DARDA_DEV_AUTH_ANYWHERE"),
        "{error}"
    );
    let told = [
        ("DARDA_LISTEN", "0.0.0.0:8080"),
        ("DARDA_DEV_AUTH_ANYWHERE", "on"),
    ];
    assert!(read(&told).is_ok());
    assert!(read(&[("DARDA_LISTEN", "[::1]:8080")]).is_ok());
}

fn server() -> Command {
    let mut server = Command::new(env!("CARGO_BIN_EXE_darda-server"));
    server.env_clear();
    server
}

#[test]
fn help_lists_every_setting_with_its_default_and_meaning() {
    let output = server().arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for setting in settings::ALL {
        for part in [setting.name, setting.default, setting.meaning] {
            assert!(text.contains(part), "{part}");
        }
    }
}

#[test]
fn the_binary_ends_with_the_error_on_stderr() {
    for (name, value) in [("DARDA_ROLE", "king"), ("DARDA_LISTEN", "0.0.0.0:0")] {
        let output = server().env(name, value).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(text.contains(name) && text.contains(value), "{text}");
    }
    assert!(!server().arg("--port").output().unwrap().status.success());
}
