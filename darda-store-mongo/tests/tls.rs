//! TLS to a server whose certificate no public authority has signed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "it speaks for tests"
)]

mod support;

use std::time::Duration;

use darda_backends::{Logged, Mongo, MongoOptions, or_skip};
use darda_core::adapter::{Identity, Tls};
use darda_core::model::UserId;
use darda_core::ports::Store;
use darda_core::{ErrorKind, Result};
use darda_store_mongo::{MongoConfig, MongoStore};
use tokio::time::timeout;
use tracing::Level;

fn config(mongo: &Mongo, tls: Tls) -> MongoConfig {
    config_of(&mongo.url(), tls)
}

fn config_of(url: &str, tls: Tls) -> MongoConfig {
    MongoConfig::new(url, "darda_test")
        .with_tls(tls)
        .with_operation_timeout(Duration::from_secs(3))
}

async fn accepted(config: MongoConfig) {
    let store = MongoStore::connect(config).await.unwrap();
    timeout(support::PATIENCE, store.ready())
        .await
        .expect("it answers")
        .unwrap();
    store.close().await;
}

async fn refused(config: MongoConfig) {
    let store = MongoStore::connect(config).await.unwrap();
    let answer: Result<_> = store.blocks(UserId::new("alice").unwrap()).await;
    assert_eq!(
        answer.map_err(|error| error.kind()),
        Err(ErrorKind::Unavailable)
    );
    store.close().await;
}

#[tokio::test]
async fn a_server_is_believed_by_its_authority_or_not_at_all() {
    let started = Mongo::start(MongoOptions::default().with_tls()).await;
    let Some(mongo) = or_skip(started) else {
        return;
    };
    let certificates = mongo.certificates().unwrap();
    refused(config(&mongo, Tls::default())).await;
    let (logged, listening) = Logged::listen(Level::INFO);
    accepted(config(
        &mongo,
        Tls::default().with_authorities(certificates.authority()),
    ))
    .await;
    assert!(!logged.text().contains("not verified"), "{}", logged.text());
    for _ in 0..2 {
        accepted(config(&mongo, Tls::default().without_verification())).await;
    }
    drop(listening);
    assert_eq!(
        logged.text().matches("not verified").count(),
        2,
        "{}",
        logged.text()
    );
}

#[tokio::test]
async fn a_name_that_the_certificate_does_not_bear_is_refused_unless_nothing_is_verified() {
    let started = Mongo::start(MongoOptions::default().with_tls()).await;
    let Some(mongo) = or_skip(started) else {
        return;
    };
    let url = mongo.url().replace("127.0.0.1", "localhost");
    let tls = Tls::default().with_authorities(mongo.certificates().unwrap().authority());
    refused(config_of(&url, tls.clone())).await;
    accepted(config_of(&url, tls.without_verification())).await;
}

#[tokio::test]
async fn a_server_that_demands_a_certificate_gets_it_from_two_files_or_one() {
    let started = Mongo::start(MongoOptions::default().with_client_certificate()).await;
    let Some(mongo) = or_skip(started) else {
        return;
    };
    let certificates = mongo.certificates().unwrap();
    let tls = Tls::default().with_authorities(certificates.authority());
    refused(config(&mongo, tls.clone())).await;
    let identity = Identity {
        certificates: certificates.client(),
        key: certificates.client_key(),
    };
    accepted(config(&mongo, tls.clone().with_identity(identity))).await;
    let both = certificates.folder().join("both.pem");
    let parts = [certificates.client_key(), certificates.client()];
    std::fs::write(
        &both,
        parts.map(|part| std::fs::read(part).unwrap()).concat(),
    )
    .unwrap();
    let identity = Identity {
        certificates: both.clone(),
        key: both,
    };
    accepted(config(&mongo, tls.with_identity(identity))).await;
}

#[tokio::test]
async fn options_of_tls_without_tls_are_refused() {
    let config = MongoConfig::new("mongodb://u:s3cret@127.0.0.1:1/", "chat");
    let config = config.with_tls(Tls::default().without_verification());
    let refused = MongoStore::connect(config).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named() {
    let folder = std::env::temp_dir();
    let empty = folder.join(format!("{}.pem", support::database_name()));
    std::fs::write(&empty, "no certificate").unwrap();
    for file in [empty.clone(), folder.join("darda-there-is-none.pem")] {
        let identity = Identity {
            certificates: file.clone(),
            key: file.clone(),
        };
        for tls in [
            Tls::default().with_authorities(&file),
            Tls::default().with_identity(identity),
        ] {
            let config = MongoConfig::new("mongodb://127.0.0.1:1/?tls=true", "chat");
            let refused = MongoStore::connect(config.with_tls(tls)).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            assert!(refused.to_string().contains(&name), "{refused}");
        }
    }
    std::fs::remove_file(empty).unwrap();
}

#[tokio::test]
async fn a_url_that_switches_verification_off_warns_too_and_shows_no_password() {
    let (logged, listening) = Logged::listen(Level::INFO);
    let url = "mongodb://u:s3cret@127.0.0.1:1/?tls=true&tlsInsecure=true";
    let store = MongoStore::connect(MongoConfig::new(url, "chat"))
        .await
        .unwrap();
    assert!(!format!("{store:?}").contains("s3cret"));
    store.close().await;
    drop(listening);
    let text = logged.text();
    assert!(
        text.contains("not verified") && !text.contains("s3cret"),
        "{text}"
    );
}
