//! The binary's settings: a wrong value is named, and help lists them all.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use darda_core::Options;
use darda_core::resilience::Resilience;
use darda_server::settings::{self, Place, Settings, WrongSetting};

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
    assert_eq!(settings.receipt_window, Options::default().receipt_window);
    assert_eq!(settings.writer_window, Options::default().writer_window);
    assert_eq!(settings.drain, Duration::from_secs(10));
    assert_eq!(settings.node, None);
    assert!(settings.rate_limits && settings.allowed_origins.is_empty());
    assert_eq!(settings.resilience, Resilience::default());
    let request = Options::default().request_timeout;
    assert_eq!(settings.request_timeout(), request);
}

#[test]
fn a_request_waits_for_a_call_that_takes_all_its_time_and_for_another_attempt() {
    for (timeout, deadline, request) in [
        ("500", "1000", 5),
        ("2000", "10000", 12),
        ("8000", "3000", 16),
        ("8000", "20000", 28),
    ] {
        let given = [
            ("DARDA_CALL_TIMEOUT_MS", timeout),
            ("DARDA_CALL_DEADLINE_MS", deadline),
        ];
        let waits = read(&given).unwrap().request_timeout();
        assert_eq!(waits, Duration::from_secs(request), "{given:?}");
    }
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
        ("DARDA_RECEIPT_WINDOW_MS", "-1"),
        ("DARDA_WRITER_WINDOW_MS", "-1"),
        ("DARDA_HEARTBEAT_MS", "1"),
        ("DARDA_HEADER_TIMEOUT_MS", "10s"),
        ("DARDA_DRAIN_MS", "99999999999999999999"),
        ("DARDA_BROKER", "redis://127.0.0.1"),
        ("DARDA_BROKER", "127.0.0.1:5672"),
        ("DARDA_STORE", "mongo://127.0.0.1"),
        ("DARDA_CACHE", "cache"),
        ("DARDA_REGISTRY", "amqp://127.0.0.1"),
        ("DARDA_NAMESPACE", ""),
        ("DARDA_NAMESPACE", "My Chat"),
        ("DARDA_PERSIST_QUEUES", "0"),
        ("DARDA_PERSIST_QUEUES", "257"),
        ("DARDA_STARTUP_WAIT_MS", "soon"),
        ("DARDA_CALL_TIMEOUT_MS", "0"),
        ("DARDA_CALL_ATTEMPTS", "0"),
        ("DARDA_RETRY_PERCENT", "-1"),
        ("DARDA_BREAKER_FAILURES", "0"),
        ("DARDA_BREAKER_OPEN_MS", "0"),
        ("DARDA_STORE_CALLS", "0"),
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
    let writer = [("DARDA_LISTEN", "0.0.0.0:8080"), ("DARDA_ROLE", "writer")];
    assert!(read(&writer).is_ok());
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

#[test]
fn a_port_stands_on_memory_or_on_the_server_that_it_names() {
    let back_ends = read(&[
        ("DARDA_BROKER", "amqps://chat:secret@mq.example.org/main"),
        ("DARDA_BROKER_CA_FILE", "/etc/ca.pem"),
        ("DARDA_BROKER_CERTIFICATE_FILE", "/etc/client.pem"),
        ("DARDA_BROKER_KEY_FILE", "/etc/client.key"),
        ("DARDA_STORE", "mongodb://db.example.org/?tls=true"),
        ("DARDA_STORE_VERIFY", "off"),
        ("DARDA_CACHE", "redis+sentinel://a:26379,b:26379/chat"),
        ("DARDA_REGISTRY", "memory"),
    ])
    .unwrap()
    .back_ends;
    let Place::Server(broker) = &back_ends.broker else {
        panic!("{back_ends:?}")
    };
    assert_eq!(broker.tls.authorities(), Some(Path::new("/etc/ca.pem")));
    assert_eq!(
        broker.tls.identity().unwrap().key,
        Path::new("/etc/client.key")
    );
    assert!(broker.tls.is_verified());
    let Place::Server(store) = &back_ends.store else {
        panic!("{back_ends:?}")
    };
    assert!(!store.tls.is_verified());
    assert_eq!(back_ends.registry, Some(Place::Memory));
    assert_eq!(read(&[]).unwrap().back_ends.registry, None);
    let unverified = [
        ("DARDA_BROKER", "amqps://mq.example.org/main"),
        ("DARDA_BROKER_VERIFY", "off"),
    ];
    let Place::Server(broker) = read(&unverified).unwrap().back_ends.broker else {
        panic!("the broker is a server")
    };
    assert!(!broker.tls.is_verified());
}

#[test]
fn no_password_is_shown() {
    let settings = read(&[("DARDA_BROKER", "amqp://chat:secret@mq.example.org/main")]).unwrap();
    assert!(!format!("{settings:?}").contains("secret"));
    let error = read(&[("DARDA_BROKER", "ampq://chat:secret@mq.example.org/main")]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
}

#[test]
fn encryption_that_would_not_take_place_is_an_error() {
    for (place, url, setting, value) in [
        (
            "DARDA_BROKER",
            "amqp://h",
            "DARDA_BROKER_CA_FILE",
            "/ca.pem",
        ),
        ("DARDA_STORE", "mongodb://h/", "DARDA_STORE_VERIFY", "off"),
        ("DARDA_CACHE", "redis://h", "DARDA_CACHE_CA_FILE", "/ca.pem"),
        ("DARDA_CACHE", "memory", "DARDA_CACHE_CA_FILE", "/ca.pem"),
        ("DARDA_BROKER", "memory", "DARDA_BROKER_VERIFY", "off"),
    ] {
        let error = read(&[(place, url), (setting, value)]).unwrap_err();
        assert_eq!(error.setting, setting, "{error}");
    }
}

#[test]
fn a_certificate_needs_its_key_and_a_key_its_certificate() {
    for (given, missing) in [
        ("DARDA_CACHE_KEY_FILE", "DARDA_CACHE_CERTIFICATE_FILE"),
        ("DARDA_CACHE_CERTIFICATE_FILE", "DARDA_CACHE_KEY_FILE"),
    ] {
        let error = read(&[("DARDA_CACHE", "rediss://h"), (given, "/file.pem")]).unwrap_err();
        assert!(
            error.setting == given || error.setting == missing,
            "{error}"
        );
    }
}

#[test]
fn the_readme_lists_every_setting_as_help_does() {
    let readme = include_str!("../README.md");
    for setting in settings::ALL {
        let default = match setting.default {
            "" => "(empty)".to_owned(),
            default => format!("`{default}`"),
        };
        let row = format!("| `{}` | {default} | {} |", setting.name, setting.meaning);
        assert!(readme.contains(&row), "{row}");
    }
}
