//! TLS to RabbitMQ: who is believed.

use darda_backends::{Rabbit, RabbitOptions, or_skip};
use darda_core::ErrorKind;
use darda_core::adapter::{Identity, Tls};
use darda_core::ports::Broker;
use darda_transport_rabbit::{RabbitBroker, RabbitConfig};

async fn answers(rabbit: &Rabbit, tls: Tls) -> Result<u64, ErrorKind> {
    let config = RabbitConfig::new(rabbit.url()).with_tls(tls);
    let broker = RabbitBroker::connect(config).await;
    let broker = broker.map_err(|error| error.kind())?;
    broker.backlog().await.map_err(|error| error.kind())
}

#[tokio::test]
async fn a_stranger_is_refused_and_one_whose_authority_is_named_is_believed() {
    let Some(rabbit) = or_skip(Rabbit::start(RabbitOptions::default().with_tls()).await) else {
        return;
    };
    let refused = answers(&rabbit, Tls::default()).await;
    assert_eq!(refused, Err(ErrorKind::Unavailable));
    let authority = rabbit.certificates().unwrap().authority();
    let believed = answers(&rabbit, Tls::default().with_authorities(authority)).await;
    assert_eq!(believed, Ok(0));
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_is_shown_one() {
    let options = RabbitOptions::default().with_client_certificate();
    let Some(rabbit) = or_skip(Rabbit::start(options).await) else {
        return;
    };
    let certificates = rabbit.certificates().unwrap();
    let believing = Tls::default().with_authorities(certificates.authority());
    let refused = answers(&rabbit, believing.clone()).await;
    assert_eq!(refused, Err(ErrorKind::Unavailable));
    let identity = Identity {
        certificates: certificates.client(),
        key: certificates.client_key(),
    };
    assert_eq!(
        answers(&rabbit, believing.with_identity(identity)).await,
        Ok(0)
    );
}
