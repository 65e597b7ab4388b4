//! The handle that an app holds.

mod calls;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};

use crate::connection::parse;
use crate::driver::{Call, Driver};
use crate::id::{ClientId, ConversationId};
use crate::settings::Settings;
use crate::status::{State, Status};
use crate::storage::{Item, Storage};
use crate::updates::{Handled, Sending, Updates};
use crate::wire::{Append, Command};
use crate::{Error, Result};

/// Calls that wait for the client's task; more wait in their own.
const CALLS: usize = 64;
/// Updates that wait for the app in the channel; the rest waits beside it, see `with_max_updates`.
const UPDATES: usize = 64;

/// One user's device: keeps a connection, takes what is sent to the server however often that needs to be
/// tried, and knows what was missed. Cheap to clone; it is closed when the last clone is dropped, or by
/// [`Client::close`].
#[derive(Debug, Clone)]
pub struct Client {
    calls: mpsc::Sender<Call>,
    status: watch::Receiver<Status>,
}

impl Client {
    /// Starts a client. It connects by itself, now and whenever the connection is lost.
    ///
    /// The [`Updates`] have to be read: see [`Settings::with_max_updates`]. Who does not want them drops
    /// them.
    ///
    /// # Errors
    /// `Storage` when the storage cannot be read.
    ///
    /// # Cancellation
    /// Safe: nothing was started.
    pub async fn start(settings: Settings, storage: impl Storage) -> Result<(Self, Updates)> {
        let stored = storage.load().await?;
        let handled = Arc::new(Handled::default());
        let (calls, called) = mpsc::channel(CALLS);
        let (tell, updates) = mpsc::channel(UPDATES);
        let (set_status, status) = watch::channel(Status::new(State::Connecting, None));
        let driver = Driver::new(
            settings,
            Arc::new(storage),
            stored,
            handled.clone(),
            set_status,
        );
        // It ends when the last handle is gone or closes it, and `close` waits for that.
        tokio::spawn(driver.run(called, tell));
        Ok((Self { calls, status }, Updates::new(updates, handled)))
    }

    /// How it stands with the server.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Waits until the status is one that is asked for.
    ///
    /// # Errors
    /// `Stopped` when the client is closed before.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn wait_for(&self, wanted: impl FnMut(&Status) -> bool) -> Result<Status> {
        let mut status = self.status.clone();
        let found = status
            .wait_for(wanted)
            .await
            .map_err(|_| Error::stopped())?;
        Ok(found.clone())
    }

    /// Sends something to a conversation, under a new client id. Returns when the storage has it: from
    /// then on it will be sent, also by a later start on the same storage.
    ///
    /// # Errors
    /// `Full` when too much waits already, `Storage` when it cannot be kept, `Stopped` when the client is
    /// closed.
    ///
    /// # Cancellation
    /// Not safe: dropped before it returns, it may be sent or not.
    pub async fn append(&self, conversation: &ConversationId, append: Append) -> Result<Sending> {
        self.append_as(conversation, ClientId::draw(), append).await
    }

    /// As [`Client::append`], under a client id of the app's own. It must be new among all that this user
    /// ever sent in the conversation, or be the same thing again.
    ///
    /// # Errors
    /// As `append`; `Full` also when this client id waits already.
    ///
    /// # Cancellation
    /// Safe if the call is repeated with the same client id: it is one entry.
    pub async fn append_as(
        &self,
        conversation: &ConversationId,
        client_id: ClientId,
        append: Append,
    ) -> Result<Sending> {
        let (stored, kept) = oneshot::channel();
        let (answer, acked) = oneshot::channel();
        let item = Item {
            conversation: conversation.clone(),
            client_id: client_id.clone(),
            peer: None,
            append,
        };
        self.call(Call::Append {
            item,
            stored,
            answer,
        })
        .await?;
        kept.await.map_err(|_| Error::stopped())??;
        Ok(Sending {
            client_id,
            answer: acked,
        })
    }

    /// Tries to connect now instead of when the wait is over: the network is back, or the user has signed
    /// in again.
    ///
    /// # Errors
    /// `Stopped` when the client is closed.
    ///
    /// # Cancellation
    /// Safe: it is asked for or not.
    pub async fn reconnect(&self) -> Result<()> {
        self.call(Call::Reconnect).await
    }

    /// Closes the connection, writes down what the app has handled, and lets the storage go. What waits to
    /// be sent stays in the storage. Does nothing if the client is closed already.
    ///
    /// # Cancellation
    /// Safe: the client closes all the same.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.call(Call::Close { done }).await.is_ok() {
            // It ends in any case.
            let _ = closed.await;
        }
    }

    async fn call(&self, call: Call) -> Result<()> {
        self.calls.send(call).await.map_err(|_| Error::stopped())
    }

    /// Asks the server for something.
    async fn ask<T: DeserializeOwned>(&self, command: Command) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.call(Call::Ask { command, answer }).await?;
        let ok = answered.await.map_err(|_| Error::stopped())??;
        parse(ok.get())
    }
}
