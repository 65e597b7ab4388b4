//! RabbitMQ keeps the broker's contract.

#![expect(clippy::panic, reason = "a fixture that cannot be made fails its test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use darda_backends::{Rabbit, RabbitOptions, StartError};
use darda_core::conformance::{Backend, Disturbed};
use darda_core::ports::Broker;
use darda_transport_rabbit::{RabbitBroker, RabbitConfig};
use tokio::sync::Mutex;

const VARIABLE: &str = "DARDA_TEST_AMQP_URL";

/// A prefix that no other test has.
fn prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("darda-test-{}-{number}", std::process::id())
}

async fn shared(configure: impl FnOnce(RabbitConfig) -> RabbitConfig) -> Backend<Arc<dyn Broker>> {
    let Ok(url) = std::env::var(VARIABLE) else {
        return Backend::Missing(format!("{VARIABLE} is not set; `make test` starts one"));
    };
    // Few queues: each case makes its own.
    let config = RabbitConfig::new(url)
        .with_prefix(prefix())
        .with_persist_queues(2);
    match RabbitBroker::connect(configure(config)).await {
        Ok(broker) => Backend::Ready(Arc::new(broker)),
        Err(error) => panic!("{error}"),
    }
}

mod plain {
    use super::*;

    async fn broker() -> Backend<Arc<dyn Broker>> {
        shared(|config| config).await
    }
    darda_core::broker_conformance!(broker);
}

mod bounded {
    use super::*;

    async fn broker() -> Backend<Arc<dyn Broker>> {
        shared(|config| config.with_persist_limit(100).with_live_limit(100)).await
    }
    darda_core::broker_bounds_conformance!(broker);
}

mod restarting {
    use super::*;

    async fn broker() -> Backend<Disturbed<dyn Broker>> {
        let mut rabbit = match Rabbit::start(RabbitOptions::default()).await {
            Ok(rabbit) => rabbit,
            Err(StartError::Missing(why)) => return Backend::Missing(why),
            Err(error) => panic!("{error}"),
        };
        // A server that is being started takes its time on a busy machine.
        let config = RabbitConfig::new(rabbit.url())
            .with_persist_queues(2)
            .with_connect_timeout(Duration::from_secs(15));
        let broker = match RabbitBroker::connect(config).await {
            Ok(broker) => Arc::new(broker),
            Err(error) => panic!("{error}"),
        };
        if let Err(error) = broker.backlog().await {
            panic!("{error}");
        }
        // A server that is killed within a second of making a queue may forget it with all that is
        // in it: it writes its directory of queues a little later, and when it stops.
        rabbit.server().stop().await;
        if let Err(error) = rabbit.start_again().await {
            panic!("{error}");
        }
        let rabbit = Arc::new(Mutex::new(rabbit));
        Backend::Ready(Disturbed::new(broker, move || {
            let rabbit = rabbit.clone();
            Box::pin(async move {
                let mut rabbit = rabbit.lock().await;
                rabbit.server().kill().await;
                if let Err(error) = rabbit.start_again().await {
                    panic!("{error}");
                }
            })
        }))
    }
    darda_core::broker_restart_conformance!(broker);
}
