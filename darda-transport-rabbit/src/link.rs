//! The connection that publishes: kept, and made anew when it breaks.

use std::sync::Arc;

use backon::{BackoffBuilder, ExponentialBuilder};
use darda_core::{ErrorKind, Result};
use lapin::Channel;
use lapin::options::ConfirmSelectOptions;
use tokio::sync::watch;
use tokio::time::{Duration, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::connection::{Connection, Dialer};
use crate::error::{from_driver, unavailable};

const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Jitter adds up to as much again. What a recovery goes unnoticed costs more than an attempt a second.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A connection with its channels. What must last and what may be lost do not wait for each other.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    pub(crate) connection: Arc<Connection>,
    pub(crate) durable: Channel,
    pub(crate) live: Channel,
    pub(crate) asking: Channel,
}

/// Keeps the lines.
#[derive(Debug)]
pub(crate) struct Link {
    lines: watch::Receiver<Option<Lines>>,
    patience: Duration,
}

impl Link {
    /// Starts connecting; the task ends when the token falls.
    pub(crate) fn start(dialer: Dialer, stop: CancellationToken) -> Self {
        let (sender, lines) = watch::channel(None);
        let patience = dialer.config().connect_timeout;
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = keep(&dialer, &sender) => {}
            }
            sender.send_replace(None);
        });
        Self { lines, patience }
    }

    /// The lines, as soon as there are any.
    pub(crate) async fn lines(&self) -> Result<Lines> {
        let mut lines = self.lines.clone();
        let there = timeout(self.patience, lines.wait_for(Option::is_some)).await;
        match there {
            Ok(Ok(lines)) => match &*lines {
                Some(lines) => Ok(lines.clone()),
                None => Err(unavailable("rabbitmq is away")),
            },
            _ => Err(unavailable("rabbitmq is away")),
        }
    }
}

async fn keep(dialer: &Dialer, lines: &watch::Sender<Option<Lines>>) {
    let waits = ExponentialBuilder::new()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .without_max_times()
        .with_jitter();
    let mut wait = waits.build();
    let mut away = false;
    loop {
        match dial(dialer).await {
            Ok(made) => {
                if away {
                    tracing::info!("rabbitmq is there again");
                }
                away = false;
                wait = waits.build();
                let dead = made.connection.dead().clone();
                lines.send_replace(Some(made));
                dead.cancelled().await;
                lines.send_replace(None);
            }
            Err(error) => {
                if !away {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, "rabbitmq is away");
                }
                away = true;
                debug_assert_eq!(error.kind(), ErrorKind::Unavailable);
            }
        }
        sleep(wait.next().unwrap_or(LONGEST_WAIT)).await;
    }
}

async fn dial(dialer: &Dialer) -> Result<Lines> {
    let connection = dialer.dial("publisher").await?;
    let channels = async {
        let durable = connection.channel().await?;
        let live = connection.channel().await?;
        let asking = connection.channel().await?;
        for channel in [&durable, &live] {
            channel
                .confirm_select(ConfirmSelectOptions::default())
                .await
                .map_err(from_driver)?;
        }
        Ok((durable, live, asking))
    };
    let (durable, live, asking) = timeout(dialer.config().connect_timeout, channels)
        .await
        .map_err(|_| unavailable("rabbitmq opens no channel in time"))??;
    Ok(Lines {
        connection,
        durable,
        live,
        asking,
    })
}
