//! Where the real servers are.

use crate::Result;
use crate::report::say;

const AMQP: &str = "DARDA_TEST_AMQP_URL";
const REDIS: &str = "DARDA_TEST_REDIS_URL";
const MONGO: &str = "DARDA_TEST_MONGO_URL";
const REQUIRED: &str = "DARDA_REQUIRE_BACKENDS";

/// The URLs of RabbitMQ, Redis and a MongoDB-protocol database.
#[derive(Clone)]
pub(crate) struct BackEnds {
    pub(crate) amqp: String,
    pub(crate) redis: String,
    pub(crate) mongo: String,
}

impl BackEnds {
    /// Those that the environment names. `None`, and said aloud, where one is missing and none is
    /// required.
    pub(crate) fn find(benchmark: &str) -> Result<Option<Self>> {
        let read = |name: &str| std::env::var(name).ok().filter(|url| !url.is_empty());
        let [amqp, redis, mongo] = [AMQP, REDIS, MONGO].map(|name| read(name).ok_or(name));
        match (amqp, redis, mongo) {
            (Ok(amqp), Ok(redis), Ok(mongo)) => Ok(Some(Self { amqp, redis, mongo })),
            (amqp, redis, mongo) => {
                let missing: Vec<_> = [amqp, redis, mongo]
                    .into_iter()
                    .filter_map(std::result::Result::err)
                    .collect();
                let why = format!("{} not set", missing.join(", "));
                if read(REQUIRED).is_some_and(|required| required == "1") {
                    return Err(format!("{benchmark} needs real servers: {why}").into());
                }
                say(&format!("\nSKIPPED {benchmark}: {why}"));
                Ok(None)
            }
        }
    }
}
