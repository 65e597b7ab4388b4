//! What the tests of this crate share: ports with keys of their own, and their removal.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "it speaks for tests")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use darda_cache_redis::{RedisCache, RedisConfig, RedisPorts, RedisRegistry};
use darda_core::model::{ClientId, ConversationId, Entry, EntryId, Epoch, UserId};
use darda_core::ports::{Admission, Append, Appended, Cache};
use darda_core::{ErrorKind, Result};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Prefixes in use, to remove their keys afterwards.
static USED: Mutex<Vec<Used>> = Mutex::new(Vec::new());

struct Used {
    prefix: String,
    cache: Weak<RedisCache>,
    registry: Weak<RedisRegistry>,
}

impl Used {
    fn is_over(&self) -> bool {
        self.cache.strong_count() + self.registry.strong_count() == 0
    }
}

pub(crate) fn url() -> Option<String> {
    std::env::var("DARDA_TEST_REDIS_URL")
        .ok()
        .filter(|url| !url.is_empty())
}

pub(crate) const MISSING: &str = "DARDA_TEST_REDIS_URL is not set; `make test` starts one";

/// A prefix that nobody else uses.
pub(crate) fn prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (process, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    format!("darda-test:{:x}-{process:x}-{next:x}:", since.as_micros())
}

/// Ports with keys of their own on servers that other tests use too.
pub(crate) async fn shared(servers: &[String], config: RedisConfig) -> (RedisPorts, String) {
    let over: Vec<_> = {
        let mut used = USED.lock().unwrap();
        let over: Vec<_> = used.extract_if(.., |used| used.is_over()).collect();
        over
    };
    for used in over {
        remove(servers, &used.prefix).await;
    }
    let prefix = prefix();
    let ports = RedisPorts::connect(config.with_prefix(&prefix))
        .await
        .unwrap();
    USED.lock().unwrap().push(Used {
        prefix: prefix.clone(),
        cache: Arc::downgrade(&ports.cache()),
        registry: Arc::downgrade(&ports.registry()),
    });
    (ports, prefix)
}

/// Removes all keys with this prefix.
pub(crate) async fn remove(servers: &[String], prefix: &str) {
    for server in servers {
        let client = redis::Client::open(server.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut cursor = 0_u64;
        loop {
            let (next, keys): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(format!("{prefix}*"))
                .arg("COUNT")
                .arg(1000)
                .query_async(&mut connection)
                .await
                .unwrap();
            for key in keys {
                let unlink = redis::cmd("UNLINK").arg(key).clone();
                unlink.exec_async(&mut connection).await.unwrap();
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
    }
}

/// Ports on a server of the test's own, with timeouts that suit a test.
pub(crate) async fn connect(url: &str) -> RedisPorts {
    RedisPorts::connect(quick(url)).await.unwrap()
}

pub(crate) fn quick(url: &str) -> RedisConfig {
    RedisConfig::new(url)
        .with_connect_timeout(Duration::from_secs(1))
        .with_response_timeout(Duration::from_millis(500))
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A log with a name of its own.
pub(crate) fn log(name: &str) -> ConversationId {
    ConversationId::group(&user(name), &ClientId::new("1").unwrap())
}

pub(crate) fn append(log: ConversationId, client: &str, fresh: bool) -> Append {
    let client_id = ClientId::new(client).unwrap();
    let sender = user("sender");
    Append {
        conversation: log,
        id: EntryId::derive(log, &sender, &client_id),
        sender,
        client_id,
        body: client.into(),
        admission: Admission::Checked {
            epoch: Epoch(0),
            fresh,
        },
    }
}

/// Appends what is new.
pub(crate) async fn send(
    cache: &dyn Cache,
    log: ConversationId,
    client: &str,
) -> Result<Arc<Entry>> {
    match cache.append(append(log, client, true)).await? {
        Appended::New(entry) => Ok(entry),
        other => panic!("not new: {other:?}"),
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Repeats a call while Redis is away.
pub(crate) async fn persist<T, F>(mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T>>,
{
    let begun = std::time::Instant::now();
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => {
                assert!(error.is_transient(), "{error:?}");
                assert!(begun.elapsed() < PATIENCE, "redis stays away: {error:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}
