//! The commands of the protocol, as calls.
//!
//! Those that put something into a log go through the outbox: they return when the storage has it. All
//! others ask the server: they wait for a connection, are asked again after a reconnect and up to eight
//! times when the server cannot answer now, and can be dropped at any time.

use serde::de::IgnoredAny;

use super::Client;
use crate::Result;
use crate::driver::Call;
use crate::id::{ClientId, ConversationId, EntryId, Position, UserId};
use crate::updates::Sending;
use crate::wire::{
    Append, Command, Created, HistoryStart, Listed, Members, Message, Opened, Page, Presence,
    PresenceReply, Receipt, Receipts, Role, Summary, Users,
};

/// What is put into a log. Errors and cancellation are those of [`Client::append`].
impl Client {
    /// Sends a message.
    #[expect(clippy::missing_errors_doc, reason = "those of append")]
    pub async fn send(
        &self,
        conversation: &ConversationId,
        message: impl Into<Message>,
    ) -> Result<Sending> {
        self.append(conversation, Append::Send(message.into()))
            .await
    }

    /// Gives a message of one's own new content.
    #[expect(clippy::missing_errors_doc, reason = "those of append")]
    pub async fn edit(
        &self,
        conversation: &ConversationId,
        target: EntryId,
        message: impl Into<Message>,
    ) -> Result<Sending> {
        let message = message.into();
        self.append(conversation, Append::Edit { target, message })
            .await
    }

    /// Ends a message.
    #[expect(clippy::missing_errors_doc, reason = "those of append")]
    pub async fn delete(&self, conversation: &ConversationId, target: EntryId) -> Result<Sending> {
        self.append(conversation, Append::Delete { target }).await
    }

    /// Reacts to a message.
    #[expect(clippy::missing_errors_doc, reason = "those of append")]
    pub async fn react(
        &self,
        conversation: &ConversationId,
        target: EntryId,
        reaction: impl Into<String>,
    ) -> Result<Sending> {
        let reaction = reaction.into();
        self.append(conversation, Append::React { target, reaction })
            .await
    }
}

/// What is asked. While there is no connection, a call waits for one; whoever does not want to wait
/// puts a time limit around it.
///
/// # Errors
/// `Refused` with the server's code, `Full` when 256 calls wait already, `Stopped` when the client is
/// closed or the user is not let in.
///
/// # Cancellation
/// Safe: dropped, it is asked or not, and what it changes can be asked for again.
#[expect(clippy::missing_errors_doc, reason = "they stand above, once")]
impl Client {
    /// The direct conversation with a user. It comes into being with its first message.
    pub async fn open_direct(&self, user: impl Into<UserId>) -> Result<ConversationId> {
        let user = user.into();
        let command = Command::OpenDirect { user: user.clone() };
        let opened: Opened = self.ask(command).await?;
        let conversation = opened.conversation;
        self.call(Call::Peer(conversation.clone(), user)).await?;
        Ok(conversation)
    }

    /// Makes a group of at most 100 members besides the user, who is its owner. Dropped, it may be made or
    /// not; [`Client::create_group_as`] can be repeated.
    pub async fn create_group(
        &self,
        title: impl Into<String>,
        members: Vec<UserId>,
        history: HistoryStart,
    ) -> Result<ConversationId> {
        let id = ClientId::draw();
        self.create_group_as(id, title, members, history).await
    }

    /// As [`Client::create_group`]: the same client id again is the same group.
    pub async fn create_group_as(
        &self,
        client_id: ClientId,
        title: impl Into<String>,
        members: Vec<UserId>,
        history: HistoryStart,
    ) -> Result<ConversationId> {
        let command = Command::CreateGroup {
            client_id,
            title: title.into(),
            members,
            history,
            resend: false,
        };
        let created: Created = self.ask(command).await?;
        Ok(created.conversation)
    }

    /// The newest entries of a conversation, or those just before a position: at most 200, ascending.
    pub async fn history(
        &self,
        conversation: &ConversationId,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Page> {
        self.ask(Command::History {
            conversation: conversation.clone(),
            before,
            after: None,
            limit,
        })
        .await
    }

    /// The entries just after a position: at most 200, ascending.
    pub async fn history_after(
        &self,
        conversation: &ConversationId,
        after: Position,
        limit: usize,
    ) -> Result<Page> {
        self.ask(Command::History {
            conversation: conversation.clone(),
            before: None,
            after: Some(after),
            limit,
        })
        .await
    }

    /// The user's conversations, the one with the newest entry first: at most 100. For the next page,
    /// `before` is the `head` of the last one.
    pub async fn conversations(
        &self,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<Summary>> {
        let listed: Listed = self.ask(Command::Conversations { before, limit }).await?;
        Ok(listed.conversations)
    }

    /// Who is in a conversation.
    pub async fn members(&self, conversation: &ConversationId) -> Result<Members> {
        let conversation = conversation.clone();
        self.ask(Command::Members { conversation }).await
    }

    /// How far the members have come; who has no marks may be missing.
    pub async fn receipts(&self, conversation: &ConversationId) -> Result<Vec<Receipt>> {
        let conversation = conversation.clone();
        let receipts: Receipts = self.ask(Command::Receipts { conversation }).await?;
        Ok(receipts.receipts)
    }

    /// Everything up to a position reached this device. One call for the newest says it all.
    pub async fn delivered(&self, conversation: &ConversationId, position: Position) -> Result<()> {
        let conversation = conversation.clone();
        self.tell(Command::Delivered {
            conversation,
            position,
        })
        .await
    }

    /// Everything up to a position was seen. One call for the newest says it all.
    pub async fn seen(&self, conversation: &ConversationId, position: Position) -> Result<()> {
        let conversation = conversation.clone();
        self.tell(Command::Seen {
            conversation,
            position,
        })
        .await
    }

    /// Whether the user types: repeat it every few seconds. Without a connection it is `Offline` at once.
    pub async fn typing(&self, conversation: &ConversationId, active: bool) -> Result<()> {
        let conversation = conversation.clone();
        self.tell(Command::Typing {
            conversation,
            active,
        })
        .await
    }

    /// Who of the other members is connected; of large groups, the first 100.
    pub async fn presence(&self, conversation: &ConversationId) -> Result<Vec<Presence>> {
        let conversation = conversation.clone();
        let reply: PresenceReply = self.ask(Command::Presence { conversation }).await?;
        Ok(reply.presence)
    }

    /// Between two users of whom one has blocked the other no direct message is sent, and neither brings the
    /// other into a group.
    pub async fn block(&self, user: impl Into<UserId>) -> Result<()> {
        self.tell(Command::Block { user: user.into() }).await
    }

    /// The end of that.
    pub async fn unblock(&self, user: impl Into<UserId>) -> Result<()> {
        self.tell(Command::Unblock { user: user.into() }).await
    }

    /// Whom the user has blocked.
    pub async fn blocks(&self) -> Result<Vec<UserId>> {
        let users: Users = self.ask(Command::Blocks).await?;
        Ok(users.users)
    }

    /// Asks for nothing but an answer.
    pub async fn ping(&self) -> Result<()> {
        self.tell(Command::Ping).await
    }

    /// Asks for something that is answered with nothing.
    async fn tell(&self, command: Command) -> Result<()> {
        let _: IgnoredAny = self.ask(command).await?;
        Ok(())
    }
}

/// Changes of a group. Errors and cancellation are those of [`Client::append`].
#[expect(clippy::missing_errors_doc, reason = "those of append")]
impl Client {
    /// A group gets another title.
    pub async fn rename(
        &self,
        group: &ConversationId,
        title: impl Into<String>,
    ) -> Result<Sending> {
        let title = title.into();
        self.append(group, Append::Rename { title }).await
    }

    /// At most 100 users join a group.
    pub async fn add(&self, group: &ConversationId, users: Vec<UserId>) -> Result<Sending> {
        self.append(group, Append::Add { users }).await
    }

    /// A member is taken out of a group.
    pub async fn remove(&self, group: &ConversationId, user: impl Into<UserId>) -> Result<Sending> {
        let user = user.into();
        self.append(group, Append::Remove { user }).await
    }

    /// The user leaves a group.
    pub async fn leave(&self, group: &ConversationId) -> Result<Sending> {
        self.append(group, Append::Leave).await
    }

    /// A member of a group may do more or less.
    pub async fn set_role(
        &self,
        group: &ConversationId,
        user: impl Into<UserId>,
        role: Role,
    ) -> Result<Sending> {
        let user = user.into();
        self.append(group, Append::SetRole { user, role }).await
    }
}
