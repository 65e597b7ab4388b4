//! The three servers that many tests share: those that are named, or else ones of our own.

use std::process::Command;

use crate::{Mongo, MongoOptions, Rabbit, RabbitOptions, Redis, RedisOptions, Result, StartError};

/// Where the shared servers are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Urls {
    /// RabbitMQ.
    pub amqp: Option<String>,
    /// Redis.
    pub redis: Option<String>,
    /// A MongoDB-compatible database.
    pub mongo: Option<String>,
}

impl Urls {
    /// The environment's variables for these, which tests read.
    pub const VARIABLES: [&'static str; 3] = [
        "DARDA_TEST_AMQP_URL",
        "DARDA_TEST_REDIS_URL",
        "DARDA_TEST_MONGO_URL",
    ];

    /// Those that the environment names.
    #[must_use]
    pub fn named() -> Self {
        let [amqp, redis, mongo] =
            Self::VARIABLES.map(|name| std::env::var(name).ok().filter(|url| !url.is_empty()));
        Self { amqp, redis, mongo }
    }

    /// Each variable with its URL, where there is one.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let urls = [&self.amqp, &self.redis, &self.mongo];
        Self::VARIABLES
            .into_iter()
            .zip(urls)
            .filter_map(|(name, url)| Some((name, url.as_deref()?)))
    }

    fn is_complete(&self) -> bool {
        self.amqp.is_some() && self.redis.is_some() && self.mongo.is_some()
    }
}

/// The three servers, and how they end with this value.
#[derive(Debug, Default)]
pub struct Shared {
    urls: Urls,
    rabbit: Option<Rabbit>,
    redis: Option<Redis>,
    mongo: Option<Mongo>,
    compose: Option<Compose>,
}

impl Shared {
    /// Takes the servers that the environment names; starts the others: by Docker Compose where
    /// Docker runs, else from packages.
    ///
    /// # Errors
    /// `Missing` on a machine where neither is possible, `Failed` when one does not come up.
    pub async fn start() -> Result<Self> {
        let mut shared = Self {
            urls: Urls::named(),
            ..Self::default()
        };
        if shared.urls.is_complete() {
            return Ok(shared);
        }
        if Compose::is_possible() {
            let compose = Compose::up()?;
            let urls = &mut shared.urls;
            urls.amqp
                .get_or_insert_with(|| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned());
            urls.redis
                .get_or_insert_with(|| "redis://127.0.0.1:6379".to_owned());
            urls.mongo.get_or_insert_with(|| {
                "mongodb://127.0.0.1:27017/?directConnection=true".to_owned()
            });
            shared.compose = Some(compose);
            return Ok(shared);
        }
        if shared.urls.amqp.is_none() {
            let rabbit = Rabbit::start(RabbitOptions::default()).await?;
            shared.urls.amqp = Some(rabbit.url());
            shared.rabbit = Some(rabbit);
        }
        if shared.urls.redis.is_none() {
            let redis = Redis::start(RedisOptions::default()).await?;
            shared.urls.redis = Some(redis.url());
            shared.redis = Some(redis);
        }
        if shared.urls.mongo.is_none() {
            let mongo = Mongo::start(MongoOptions::default()).await?;
            shared.urls.mongo = Some(mongo.url());
            shared.mongo = Some(mongo);
        }
        Ok(shared)
    }

    /// Where they are.
    #[must_use]
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// The environment's variable for [`processes`](Self::processes).
    pub const PROCESSES: &'static str = "DARDA_TEST_PIDS";

    /// The processes of those that it started from packages, for whoever measures them: a word for each
    /// part, `broker=7 cache=8 store=9,10`. Each process stands for its children as well. `None` where it
    /// started none: what Docker runs, and what others named, it does not know.
    #[must_use]
    pub fn processes(&mut self) -> Option<String> {
        let broker = self.rabbit.iter_mut().map(|rabbit| rabbit.server().id());
        let cache = self.redis.iter_mut().map(|redis| redis.server().id());
        let store = self
            .mongo
            .iter_mut()
            .flat_map(|mongo| [mongo.server().id(), mongo.keeper().id()]);
        named([
            ("broker", broker.collect()),
            ("cache", cache.collect()),
            ("store", store.collect()),
        ])
    }
}

fn named(parts: [(&str, Vec<u32>); 3]) -> Option<String> {
    let known = parts.iter().filter(|(_, processes)| !processes.is_empty());
    let words: Vec<_> = known
        .map(|(part, processes)| {
            let processes: Vec<_> = processes.iter().map(ToString::to_string).collect();
            format!("{part}={}", processes.join(","))
        })
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The services of `compose.yaml`.
#[derive(Debug)]
struct Compose;

impl Compose {
    fn command() -> Command {
        let mut command = Command::new("docker");
        command
            .args(["compose", "--project-directory"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .args(["--project-name", "darda-tests"]);
        command
    }

    fn is_possible() -> bool {
        let engine = Command::new("docker").arg("info").output();
        let compose = Command::new("docker").args(["compose", "version"]).output();
        [engine, compose]
            .into_iter()
            .all(|output| output.is_ok_and(|output| output.status.success()))
    }

    fn up() -> Result<Self> {
        let status = Self::command()
            .args(["up", "--detach", "--wait", "rabbitmq", "redis", "mongo"])
            .status()?;
        if status.success() {
            Ok(Self)
        } else {
            Err(StartError::Failed(format!("docker compose up: {status}")))
        }
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        // Whoever started it can stop it by hand.
        let _ = Self::command().args(["down", "--volumes"]).status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_was_not_started_has_no_processes() {
        let some = [
            ("broker", vec![7]),
            ("cache", vec![]),
            ("store", vec![9, 10]),
        ];
        assert_eq!(named(some).as_deref(), Some("broker=7 store=9,10"));
        let none = [("broker", vec![]), ("cache", vec![]), ("store", vec![])];
        assert_eq!(named(none), None);
    }
}
