//! TLS to RabbitMQ: who is believed.

#![allow(clippy::unwrap_used, reason = "it speaks for tests")]

use darda_backends::{Certificates, Logged, Rabbit, RabbitOptions, or_skip};
use darda_core::adapter::{Identity, Tls};
use darda_core::ports::Broker;
use darda_core::{Error, ErrorKind};
use darda_transport_rabbit::{RabbitBroker, RabbitConfig};
use tracing::Level;

/// How often it was said that nobody was verified.
fn warnings(logged: &Logged) -> usize {
    logged.text().matches("not verified").count()
}

async fn answers(url: &str, tls: Tls) -> Result<u64, ErrorKind> {
    let config = RabbitConfig::new(url).with_tls(tls);
    let broker = RabbitBroker::connect(config).await;
    let broker = broker.map_err(|error| error.kind())?;
    broker.backlog().await.map_err(|error| error.kind())
}

async fn rejected(url: &str, tls: Tls) -> Error {
    let config = RabbitConfig::new(url).with_tls(tls);
    RabbitBroker::connect(config).await.unwrap_err()
}

#[tokio::test]
async fn a_stranger_is_refused_and_one_whose_authority_is_named_is_believed() {
    let Some(rabbit) = or_skip(Rabbit::start(RabbitOptions::default().with_tls()).await) else {
        return;
    };
    let (logged, _guard) = Logged::listen(Level::INFO);
    let refused = answers(&rabbit.url(), Tls::default()).await;
    assert_eq!(refused, Err(ErrorKind::Unavailable));
    let other = Certificates::new().unwrap();
    let refused = Tls::default().with_authorities(other.authority());
    let refused = answers(&rabbit.url(), refused).await;
    assert_eq!(refused, Err(ErrorKind::Unavailable));
    let authority = rabbit.certificates().unwrap().authority();
    let believed = answers(&rabbit.url(), Tls::default().with_authorities(authority)).await;
    assert_eq!(believed, Ok(0));
    assert_eq!(warnings(&logged), 0, "{}", logged.text());
}

#[tokio::test]
async fn without_verification_anybody_is_believed_with_a_warning_at_every_start() {
    let Some(rabbit) = or_skip(Rabbit::start(RabbitOptions::default().with_tls()).await) else {
        return;
    };
    let (logged, _guard) = Logged::listen(Level::INFO);
    for start in 1..=2 {
        let tls = Tls::default().without_verification();
        assert_eq!(answers(&rabbit.url(), tls).await, Ok(0));
        assert_eq!(warnings(&logged), start, "{}", logged.text());
    }
    assert!(!logged.text().contains("guest:guest"), "{}", logged.text());
}

#[tokio::test]
async fn a_name_that_the_certificate_does_not_bear_is_refused_unless_nothing_is_verified() {
    let Some(rabbit) = or_skip(Rabbit::start(RabbitOptions::default().with_tls()).await) else {
        return;
    };
    let url = rabbit.url().replace("127.0.0.1", "localhost");
    let authority = rabbit.certificates().unwrap().authority();
    let tls = Tls::default().with_authorities(authority);
    let refused = answers(&url, tls.clone()).await;
    assert_eq!(refused, Err(ErrorKind::Unavailable));
    assert_eq!(answers(&url, tls.without_verification()).await, Ok(0));
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_is_shown_one() {
    let options = RabbitOptions::default().with_client_certificate();
    let Some(rabbit) = or_skip(Rabbit::start(options).await) else {
        return;
    };
    let certificates = rabbit.certificates().unwrap();
    let identity = Identity {
        certificates: certificates.client(),
        key: certificates.client_key(),
    };
    for tls in [
        Tls::default().with_authorities(certificates.authority()),
        Tls::default().without_verification(),
    ] {
        let refused = answers(&rabbit.url(), tls.clone()).await;
        assert_eq!(refused, Err(ErrorKind::Unavailable));
        let shown = answers(&rabbit.url(), tls.with_identity(identity.clone())).await;
        assert_eq!(shown, Ok(0));
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named_at_once() {
    let certificates = Certificates::new().unwrap();
    let empty = certificates.folder().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    for file in [empty, certificates.folder().join("there-is-none.pem")] {
        let wrong = Identity {
            certificates: file.clone(),
            key: certificates.client_key(),
        };
        let keyless = Identity {
            certificates: certificates.client(),
            key: file.clone(),
        };
        for tls in [
            Tls::default().with_authorities(&file),
            Tls::default().with_identity(wrong),
            Tls::default().with_identity(keyless),
        ] {
            let error = rejected("amqps://127.0.0.1:1/%2f", tls).await;
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let name = file.display().to_string();
            assert!(error.to_string().contains(&name), "{error}");
        }
    }
}

#[tokio::test]
async fn options_of_tls_without_tls_are_refused() {
    let tls = Tls::default().without_verification();
    let error = rejected("amqp://127.0.0.1:1/%2f", tls).await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
