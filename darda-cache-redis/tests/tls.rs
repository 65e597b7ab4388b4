//! Connections that are encrypted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it speaks for tests")]

mod support;

use darda_backends::{Redis, RedisOptions, or_skip};
use darda_cache_redis::{RedisConfig, RedisPorts};
use darda_core::adapter::{Identity, Tls};
use darda_core::{ErrorKind, Result};

use support::{Logged, kind, log, quick, send};

async fn sent(redis: &Redis, tls: Tls) -> Result<()> {
    let ports = RedisPorts::connect(quick(&redis.url()).with_tls(tls)).await?;
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
    let (logged, _guard) = Logged::listen();
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
async fn without_verification_anybody_is_believed_with_a_warning() {
    let (logged, _guard) = Logged::listen();
    let Some(redis) = or_skip(Redis::start(RedisOptions::default().with_tls()).await) else {
        return;
    };
    sent(&redis, Tls::default().without_verification())
        .await
        .unwrap();
    assert!(logged.text().contains("not verified"), "{}", logged.text());
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
