//! Each command, as a call of the session, and its reply.

use std::sync::Arc;

use darda_core::{ErrorKind, Result, Session};

use super::work::Outcome;
use crate::error::Failure;
use crate::wire::{
    self, AckView, AttachedView, BlocksView, Command, ConversationsView, Empty, GroupCreatedView,
    MembersView, OpenedView, PageView, PresenceListView, ReceiptsView, ResumedView,
};

/// Carries a command out.
pub(crate) async fn run(session: Arc<Session>, id: u64, command: Command) -> Outcome {
    let mut reply = Vec::new();
    match answer(&session, id, command, &mut reply).await {
        Ok(()) => Outcome::Replied {
            reply,
            limited: false,
        },
        Err(error) => {
            let limited = error.kind() == ErrorKind::RateLimited;
            wire::failed(&mut reply, Some(id), &Failure::from(error));
            Outcome::Replied { reply, limited }
        }
    }
}

async fn answer(session: &Session, id: u64, command: Command, out: &mut Vec<u8>) -> Result<()> {
    match command {
        Command::Append(send) => {
            let ack = session.send(send).await?;
            wire::ok(out, id, &AckView::from(ack));
        }
        Command::OpenDirect { user } => {
            let conversation = session.open_direct(user).await?;
            wire::ok(out, id, &OpenedView { conversation });
        }
        Command::CreateGroup {
            client_id,
            title,
            members,
            history,
        } => {
            let (conversation, ack) = session
                .create_group(client_id, title, members, history)
                .await?;
            wire::ok(
                out,
                id,
                &GroupCreatedView {
                    conversation,
                    ack: ack.into(),
                },
            );
        }
        Command::ChangeMembers {
            conversation,
            client_id,
            change,
        } => {
            let ack = session
                .change_members(conversation, client_id, change)
                .await?;
            wire::ok(out, id, &AckView::from(ack));
        }
        Command::Attach {
            conversation,
            cursor,
        } => {
            let attached = session.attach(conversation, cursor).await?;
            wire::ok(out, id, &AttachedView::from(&attached));
        }
        Command::Resume { cursors } => {
            let resumed = session.resume(cursors).await?;
            wire::ok(out, id, &ResumedView::from(resumed.as_slice()));
        }
        Command::History {
            conversation,
            range,
            limit,
        } => {
            let page = session.history(conversation, range, limit).await?;
            wire::ok(out, id, &PageView::from(&page));
        }
        Command::Conversations { before, limit } => {
            let summaries = session.conversations(before, limit).await?;
            wire::ok(out, id, &ConversationsView::from(summaries.as_slice()));
        }
        Command::Members { conversation } => {
            let members = session.members(conversation).await?;
            wire::ok(out, id, &MembersView::from(members.as_ref()));
        }
        Command::Receipts { conversation } => {
            let receipts = session.receipts(conversation).await?;
            wire::ok(out, id, &ReceiptsView::from(receipts.as_slice()));
        }
        Command::Mark { conversation, mark } => {
            session.mark(conversation, mark).await?;
            wire::ok(out, id, &Empty {});
        }
        Command::Typing {
            conversation,
            active,
        } => {
            session.typing(conversation, active).await?;
            wire::ok(out, id, &Empty {});
        }
        Command::Presence { conversation } => {
            let presence = session.presence(conversation).await?;
            wire::ok(out, id, &PresenceListView::from(presence.as_slice()));
        }
        Command::Block { user } => {
            session.block(user).await?;
            wire::ok(out, id, &Empty {});
        }
        Command::Unblock { user } => {
            session.unblock(user).await?;
            wire::ok(out, id, &Empty {});
        }
        Command::Blocks => {
            let users = session.blocks().await?;
            wire::ok(out, id, &BlocksView::from(users));
        }
        Command::Ping => wire::ok(out, id, &Empty {}),
    }
    Ok(())
}
