//! Connections that are encrypted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it speaks for tests")]

mod support;

use darda_backends::{Logged, Redis, RedisOptions, or_skip};
use darda_cache_redis::{RedisConfig, RedisPorts};
use darda_core::adapter::{Identity, Tls};
use darda_core::{ErrorKind, Result};
use tracing::Level;

use support::{kind, log, persist, quick, send};

async fn sent(redis: &Redis, tls: Tls) -> Result<()> {
    sent_to(&redis.url(), tls).await
}

async fn sent_to(url: &str, tls: Tls) -> Result<()> {
    let ports = RedisPorts::connect(quick(url).with_tls(tls)).await?;
    send(&*ports.cache(), log("log"), "1").await.map(drop)
}

#[tokio::test]
async fn an_unknown_authority_is_refused() {
    let Some(redis) = or_skip(Redis::start(RedisOptions::default().with_tls()).await) else {
        return;
    };
    assert_eq!(
        kind(sent(&redis, Tls::default()).await),
        ErrorKind::Unavailable
    );
}

#[tokio::test]
async fn an_authority_of_a_file_is_believed() {
    let (logged, _guard) = Logged::listen(Level::TRACE);
    let Some(redis) = or_skip(Redis::start(RedisOptions::default().with_tls()).await) else {
        return;
    };
    let authority = redis.certificates().unwrap().authority();
    sent(&redis, Tls::default().with_authorities(authority))
        .await
        .unwrap();
    assert!(!logged.text().contains("not verified"));
}

#[tokio::test]
async fn without_verification_anybody_is_believed_with_a_warning_at_every_start() {
    let (logged, _guard) = Logged::listen(Level::TRACE);
    let Some(redis) = or_skip(Redis::start(RedisOptions::default().with_tls()).await) else {
        return;
    };
    let config = quick(&redis.url()).with_tls(Tls::default().without_verification());
    for start in 1..=2 {
        let ports = RedisPorts::connect(config.clone()).await.unwrap();
        ports.ping().await.unwrap();
        let text = logged.text();
        assert_eq!(text.matches("not verified").count(), start, "{text}");
    }
}

#[tokio::test]
async fn a_name_that_the_certificate_does_not_bear_is_refused_unless_nothing_is_verified() {
    let Some(redis) = or_skip(Redis::start(RedisOptions::default().with_tls()).await) else {
        return;
    };
    let url = redis.url().replace("127.0.0.1", "localhost");
    let tls = Tls::default().with_authorities(redis.certificates().unwrap().authority());
    assert_eq!(
        kind(sent_to(&url, tls.clone()).await),
        ErrorKind::Unavailable
    );
    sent_to(&url, tls.without_verification()).await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_is_demanded_is_shown() {
    let options = RedisOptions::default().with_client_certificate();
    let Some(redis) = or_skip(Redis::start(options).await) else {
        return;
    };
    let certificates = redis.certificates().unwrap();
    let tls = Tls::default().with_authorities(certificates.authority());
    assert_eq!(
        kind(sent(&redis, tls.clone()).await),
        ErrorKind::Unavailable
    );
    let identity = Identity {
        certificates: certificates.client(),
        key: certificates.client_key(),
    };
    sent(&redis, tls.with_identity(identity)).await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_refused_at_once() {
    let tls = Tls::default().with_authorities("/nowhere.pem");
    let config = RedisConfig::new("rediss://127.0.0.1:1").with_tls(tls);
    assert_eq!(kind(RedisPorts::connect(config).await), ErrorKind::Invalid);
}

/// A cluster of one server, which the cluster itself names again.
#[tokio::test]
async fn a_cluster_is_encrypted_as_well() {
    let options = RedisOptions::default()
        .with_client_certificate()
        .with_setting("cluster-enabled", "yes")
        .with_setting("cluster-announce-ip", "127.0.0.1")
        .with_setting("tls-cluster", "yes");
    let Some(redis) = or_skip(Redis::start(options).await) else {
        return;
    };
    let certificates = redis.certificates().unwrap();
    let read = |file| std::fs::read(file).unwrap();
    let client = redis::TlsCertificates {
        client_tls: Some(redis::ClientTlsConfig {
            client_cert: read(certificates.client()),
            client_key: read(certificates.client_key()),
        }),
        root_cert: Some(read(certificates.authority())),
    };
    let identity = Identity {
        certificates: certificates.client(),
        key: certificates.client_key(),
    };
    let believing = Tls::default()
        .with_authorities(certificates.authority())
        .with_identity(identity.clone());
    let any = Tls::default()
        .without_verification()
        .with_identity(identity.clone());
    let url = redis.url().replace("rediss", "rediss+cluster");
    let config = |tls| quick(&url).with_tls(tls);
    // This also chooses the crypto library, which the driver wants to be done.
    let ports = RedisPorts::connect(config(believing)).await.unwrap();

    let client = redis::Client::build_with_tls(redis.url(), client).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    let slots = ["ADDSLOTSRANGE", "0", "16383"];
    let slots = redis::cmd("CLUSTER").arg(&slots).clone();
    slots.exec_async(&mut raw).await.unwrap();

    let cache = ports.cache();
    persist(|| send(&*cache, log("log"), "1")).await;
    let ports = RedisPorts::connect(config(any)).await.unwrap();
    let cache = ports.cache();
    persist(|| send(&*cache, log("log"), "2")).await;
    let strangers = Tls::default().with_identity(identity);
    let ports = RedisPorts::connect(config(strangers)).await.unwrap();
    assert_eq!(kind(ports.ping().await), ErrorKind::Unavailable);
}
