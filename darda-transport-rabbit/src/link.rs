//! A connection that publishes: kept, and made anew when it breaks.

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
use crate::topology::Purpose;

const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Jitter adds up to as much again. What a recovery goes unnoticed costs more than an attempt a second.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A connection with a channel whose publishes are confirmed.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) connection: Arc<Connection>,
    pub(crate) channel: Channel,
}

impl Line {
    /// Looks at what came of a publish. A channel that the server closed by itself, since an exchange is
    /// gone say, does not come back on this connection.
    pub(crate) fn noted(&self, outcome: Result<()>) -> Result<()> {
        if outcome.is_err() && !self.channel.status().connected() {
            self.connection.give_up();
        }
        outcome
    }
}

/// Keeps a line.
#[derive(Debug)]
pub(crate) struct Link {
    line: watch::Receiver<Option<Line>>,
    patience: Duration,
}

impl Link {
    /// Starts connecting; the task ends when the token falls.
    pub(crate) fn start(dialer: Dialer, purpose: Purpose, stop: CancellationToken) -> Self {
        let (sender, line) = watch::channel(None);
        let patience = dialer.config().connect_timeout;
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = keep(&dialer, purpose, &sender) => {}
            }
            sender.send_replace(None);
        });
        Self { line, patience }
    }

    /// The line, as soon as there is one.
    pub(crate) async fn line(&self) -> Result<Line> {
        let mut line = self.line.clone();
        let there = timeout(self.patience, line.wait_for(Option::is_some)).await;
        match there {
            Ok(Ok(line)) => match &*line {
                Some(line) => Ok(line.clone()),
                None => Err(unavailable("rabbitmq is away")),
            },
            _ => Err(unavailable("rabbitmq is away")),
        }
    }
}

async fn keep(dialer: &Dialer, purpose: Purpose, line: &watch::Sender<Option<Line>>) {
    let waits = ExponentialBuilder::new()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .without_max_times()
        .with_jitter();
    let mut wait = waits.build();
    let mut away = false;
    loop {
        match dial(dialer, purpose).await {
            Ok(made) => {
                if away {
                    tracing::info!(%purpose, "rabbitmq is there again");
                }
                away = false;
                wait = waits.build();
                let dead = made.connection.dead().clone();
                line.send_replace(Some(made));
                dead.cancelled().await;
                line.send_replace(None);
            }
            Err(error) => {
                if !away {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%purpose, %error, cause, "rabbitmq is away");
                }
                away = true;
                debug_assert_eq!(error.kind(), ErrorKind::Unavailable);
            }
        }
        sleep(wait.next().unwrap_or(LONGEST_WAIT)).await;
    }
}

async fn dial(dialer: &Dialer, purpose: Purpose) -> Result<Line> {
    let connection = dialer.dial(purpose).await?;
    let confirming = async {
        let channel = connection.channel().await?;
        let options = ConfirmSelectOptions::default();
        channel.confirm_select(options).await.map_err(from_driver)?;
        Ok(channel)
    };
    let channel = timeout(dialer.config().connect_timeout, confirming)
        .await
        .map_err(|_| unavailable("rabbitmq opens no channel in time"))??;
    Ok(Line {
        connection,
        channel,
    })
}
