//! What a user does.

use darda_core::model::{ClientId, ConversationId, EntryId, Marks, MemberChange, Position, UserId};
use darda_sim::history::Request;
use serde_json::{Value, json};

use super::calls::Purpose;
use super::sending::Sending;
use super::state::State;

/// What a user does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Makes a group, whose id follows from the name.
    Create {
        name: ClientId,
        members: Vec<UserId>,
        joining: bool,
    },
    /// Opens a direct conversation.
    Open { user: UserId },
    /// Writes a message.
    Say { conversation: ConversationId },
    /// Writes the message whose way is watched.
    Probe { conversation: ConversationId },
    /// Edits, deletes or reacts to one of its own messages.
    Touch { conversation: ConversationId },
    /// Sends something again that was acknowledged.
    Repeat,
    /// Adds, removes, renames, promotes, leaves.
    Change {
        conversation: ConversationId,
        change: MemberChange,
    },
    /// Moves its marks to its cursor.
    Mark {
        conversation: ConversationId,
        seen: bool,
    },
    /// Types.
    Type { conversation: ConversationId },
    /// Looks at `members`, `receipts`, `presence` or a page of `history`.
    Look {
        conversation: ConversationId,
        what: &'static str,
    },
}

impl State {
    /// Does something. `false` if it cannot.
    pub(super) fn act(&mut self, act: &Act) -> bool {
        match act {
            Act::Create {
                name,
                members,
                joining,
            } => {
                let conversation = ConversationId::group(&self.user, name);
                let history = if *joining { "joining" } else { "beginning" };
                let fields = json!({
                    "title": name, "members": members, "history": history, "client_id": name
                });
                let change = MemberChange::Create {
                    title: name.to_string(),
                    members: members.clone(),
                    history: if *joining {
                        darda_core::model::HistoryStart::Joining
                    } else {
                        darda_core::model::HistoryStart::Beginning
                    },
                };
                self.send(
                    conversation,
                    name.clone(),
                    "create_group",
                    fields,
                    Some(change),
                )
            }
            Act::Open { user } => {
                let request = Request::Other {
                    what: "open_direct".to_owned(),
                };
                self.link.is_some() && {
                    self.ask("open_direct", json!({"user": user}), request, Purpose::Open);
                    true
                }
            }
            Act::Say { conversation } => {
                self.is_member(*conversation) && self.say(*conversation, "m")
            }
            Act::Probe { conversation } => {
                let name = self.name("p");
                name.is_some_and(|name| {
                    let id = EntryId::derive(*conversation, &self.user, &name);
                    self.probes.expect(*conversation, id);
                    self.send(*conversation, name, "send", json!({"text": "probe"}), None)
                })
            }
            Act::Touch { conversation } => self.touch(*conversation),
            Act::Repeat => {
                let own = self.rng.usize(..self.own.len().max(1));
                let sending = self.own.get(own).cloned();
                sending.is_some_and(|sending| {
                    // One that stayed connected may forget to say that it repeats itself.
                    let resend = self.rng.bool();
                    self.enqueue(Sending { resend, ..sending })
                })
            }
            Act::Change {
                conversation,
                change,
            } => self.is_member(*conversation) && self.change(*conversation, change),
            Act::Mark { conversation, seen } => self.mark(*conversation, *seen),
            Act::Type { conversation } => {
                let request = Request::Typing {
                    conversation: *conversation,
                };
                let fields = json!({"conversation": conversation, "active": true});
                self.beside(*conversation, "typing", fields, request, Purpose::Nothing)
            }
            Act::Look { conversation, what } => self.look(*conversation, what),
        }
    }

    fn is_member(&self, conversation: ConversationId) -> bool {
        self.talks.contains_key(&conversation)
    }

    /// A new name for a send, never used before by this user.
    fn name(&mut self, kind: &str) -> Option<ClientId> {
        self.names += 1;
        ClientId::new(format!("{kind}{}-{}", self.no, self.names)).ok()
    }

    fn send(
        &mut self,
        conversation: ConversationId,
        client_id: ClientId,
        cmd: &'static str,
        mut fields: Value,
        change: Option<MemberChange>,
    ) -> bool {
        // A group that is made has no id to name yet.
        if cmd != "create_group" {
            fields["conversation"] = conversation.to_string().into();
        }
        fields["client_id"] = client_id.as_str().into();
        let id = EntryId::derive(conversation, &self.user, &client_id);
        self.enqueue(Sending {
            conversation,
            client_id,
            id,
            cmd,
            fields,
            change,
            resend: false,
            due: None,
            tried: None,
            failures: 0,
        })
    }

    fn say(&mut self, conversation: ConversationId, kind: &str) -> bool {
        let Some(name) = self.name(kind) else {
            return false;
        };
        let text = format!("message {name}");
        self.send(conversation, name, "send", json!({"text": text}), None)
    }

    fn touch(&mut self, conversation: ConversationId) -> bool {
        let own: Vec<_> = self
            .own
            .iter()
            .filter(|it| it.conversation == conversation)
            .collect();
        let Some(target) = own.get(self.rng.usize(..own.len().max(1))).map(|it| it.id) else {
            return false;
        };
        let (cmd, fields) = match self.rng.u8(..10) {
            0..4 => ("edit", json!({"target": target, "text": "edited"})),
            4..6 => ("delete", json!({"target": target})),
            6..9 => ("react", json!({"target": target, "reaction": "+1"})),
            _ => ("unreact", json!({"target": target, "reaction": "+1"})),
        };
        let name = self.name("t");
        name.is_some_and(|name| self.send(conversation, name, cmd, fields, None))
    }

    fn change(&mut self, conversation: ConversationId, change: &MemberChange) -> bool {
        let (cmd, fields) = match change {
            MemberChange::Rename { title } => ("rename", json!({"title": title})),
            MemberChange::Add { users } => ("add", json!({"users": users})),
            MemberChange::Remove { user } => ("remove", json!({"user": user})),
            MemberChange::Leave => ("leave", json!({})),
            MemberChange::Role { user, role } => {
                let role = format!("{role:?}").to_lowercase();
                ("set_role", json!({"user": user, "role": role}))
            }
            _ => return false,
        };
        let name = self.name("c");
        name.is_some_and(|name| self.send(conversation, name, cmd, fields, Some(change.clone())))
    }

    fn mark(&mut self, conversation: ConversationId, seen: bool) -> bool {
        let Some(at) = self.cursor(conversation).filter(|at| *at > Position(0)) else {
            return false;
        };
        let marks = Marks {
            delivered: at,
            seen: if seen { at } else { Position(0) },
        };
        let request = Request::Mark {
            conversation,
            marks,
        };
        let cmd = if seen { "seen" } else { "delivered" };
        let fields = json!({"conversation": conversation, "position": at});
        self.beside(conversation, cmd, fields, request, Purpose::Nothing)
    }

    fn look(&mut self, conversation: ConversationId, what: &'static str) -> bool {
        let request = Request::Read {
            conversation,
            what: what.to_owned(),
        };
        let mut fields = json!({"conversation": conversation});
        let purpose = match what {
            "receipts" => {
                // One at a time, so that the order of the answers is that of the questions.
                if self.calls.values().any(super::calls::Call::asks_receipts) {
                    return false;
                }
                Purpose::Receipts { conversation }
            }
            "history" => {
                fields["limit"] = self.rng.usize(1..20).into();
                Purpose::Glance
            }
            _ => Purpose::Nothing,
        };
        self.beside(conversation, what, fields, request, purpose)
    }

    /// Something that is not repeated when it fails: a later one does as well.
    fn beside(
        &mut self,
        conversation: ConversationId,
        cmd: &str,
        fields: Value,
        request: Request,
        purpose: Purpose,
    ) -> bool {
        /// Commands that are not sends, on their way.
        const AT_ONCE: usize = 24;
        let live = self.link.as_ref().is_some_and(|link| link.resumed);
        let can =
            live && self.is_member(conversation) && self.calls.len() < AT_ONCE + self.sends.len();
        if can {
            self.ask(cmd, fields, request, purpose);
        }
        can
    }
}
