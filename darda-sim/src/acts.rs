//! What a plan's step makes a client do.

use std::sync::Arc;
use std::time::Duration;

use darda_core::model::{
    Body, ClientId, ConversationId, EntryId, HistoryStart, Marks, MemberChange, Message, Position,
    Role, UserId,
};
use darda_core::ports::Range;
use darda_core::{Mark, Result};

use crate::device::{Device, Live};
use crate::history::{Reply, Request, Seen, Via, What};
use crate::plan::{Act, Plan, Reading, Talk};
use crate::sending::{Content, Sending};

/// Who and what a plan's numbers stand for.
#[derive(Debug)]
pub(crate) struct Cast {
    /// The users.
    pub(crate) users: Vec<UserId>,
    /// The conversations.
    pub(crate) talks: Vec<ConversationId>,
    changes: Vec<Option<(ClientId, MemberChange)>>,
}

fn name(text: impl AsRef<str>) -> Option<ClientId> {
    ClientId::new(text).ok()
}

impl Cast {
    /// The cast of a plan.
    #[must_use]
    pub(crate) fn of(plan: &Plan) -> Self {
        let users: Vec<_> = (0..plan.users)
            .filter_map(|user| UserId::new(format!("u{user}")).ok())
            .collect();
        let (mut talks, mut changes) = (Vec::new(), Vec::new());
        for (number, talk) in plan.talks.iter().enumerate() {
            match talk {
                Talk::Direct(a, b) => {
                    talks.push(ConversationId::direct(&users[*a], &users[*b]));
                    changes.push(None);
                }
                Talk::Group {
                    device,
                    members,
                    joining,
                } => {
                    let Some(client_id) = name(format!("group{number}")) else {
                        continue;
                    };
                    let owner = &users[plan.devices[*device]];
                    talks.push(ConversationId::group(owner, &client_id));
                    let history = if *joining {
                        HistoryStart::Joining
                    } else {
                        HistoryStart::Beginning
                    };
                    let members = members.iter().map(|user| users[*user].clone()).collect();
                    let title = format!("group {number}");
                    changes.push(Some((
                        client_id,
                        MemberChange::Create {
                            title,
                            members,
                            history,
                        },
                    )));
                }
            }
        }
        Self {
            users,
            talks,
            changes,
        }
    }
}

impl Device {
    /// Does a step.
    pub(crate) fn act(self: &Arc<Self>, cast: &Cast, plan: &Plan, act: &Act) {
        match act {
            Act::Connect => self.want(true),
            Act::Drop => self.want(false),
            Act::Move => self.leave(),
            Act::Lag { ms } => self.lag(Duration::from_millis(*ms)),
            Act::Open { talk } => match (&cast.changes[*talk], &plan.talks[*talk]) {
                (Some((name, change)), _) => {
                    self.send(
                        cast.talks[*talk],
                        name.clone(),
                        Content::Change(change.clone()),
                    );
                }
                (None, Talk::Direct(_, other)) => self.open(cast.users[*other].clone()),
                (None, Talk::Group { .. }) => {}
            },
            Act::Send { talk, burst } => {
                for number in 0..*burst {
                    let body = Body::Message(Message::text(format!("message {number}")));
                    self.say(cast.talks[*talk], Content::Body(body));
                }
            }
            Act::SendAgain { pick, marked } => {
                if let Some(mut sending) = self.earlier(*pick) {
                    sending.resend = *marked;
                    self.enqueue(sending);
                }
            }
            Act::Edit { pick } => {
                self.answer(*pick, |target| Body::Edit {
                    target,
                    message: "edited".into(),
                });
            }
            Act::Delete { pick } => self.answer(*pick, |target| Body::Delete { target }),
            Act::React { pick, back } => self.answer(*pick, |target| {
                let reaction = "+1".to_owned();
                if *back {
                    Body::Unreact { target, reaction }
                } else {
                    Body::React { target, reaction }
                }
            }),
            Act::Add { talk, user } => {
                let change = MemberChange::Add {
                    users: vec![cast.users[*user].clone()],
                };
                self.say(cast.talks[*talk], Content::Change(change));
            }
            Act::Remove { talk, user } => {
                let change = MemberChange::Remove {
                    user: cast.users[*user].clone(),
                };
                self.say(cast.talks[*talk], Content::Change(change));
            }
            Act::Promote { talk, user } => {
                let user = cast.users[*user].clone();
                let change = MemberChange::Role {
                    user,
                    role: Role::Admin,
                };
                self.say(cast.talks[*talk], Content::Change(change));
            }
            Act::Leave { talk } => {
                self.say(cast.talks[*talk], Content::Change(MemberChange::Leave))
            }
            Act::Rename { talk } => {
                let change = MemberChange::Rename {
                    title: "renamed".to_owned(),
                };
                self.say(cast.talks[*talk], Content::Change(change));
            }
            Act::Mark { talk, seen } => self.mark(cast.talks[*talk], *seen),
            Act::Type { talk } => self.type_in(cast.talks[*talk]),
            Act::Read { talk, what, pick } => self.look(cast.talks[*talk], *what, *pick),
        }
    }

    fn live(&self) -> Option<Live> {
        self.state.lock().live.clone()
    }

    /// Sends something new.
    fn say(self: &Arc<Self>, conversation: ConversationId, what: Content) {
        let number = {
            let mut state = self.state.lock();
            state.names += 1;
            state.names
        };
        if let Some(client_id) = name(format!("d{}-{number}", self.no)) {
            self.send(conversation, client_id, what);
        }
    }

    fn send(self: &Arc<Self>, conversation: ConversationId, client_id: ClientId, what: Content) {
        let id = EntryId::derive(conversation, &self.user, &client_id);
        self.enqueue(Sending {
            conversation,
            client_id,
            id,
            what,
            resend: false,
        });
    }

    fn enqueue(self: &Arc<Self>, sending: Sending) {
        let client_id = sending.client_id.clone();
        let live = {
            let mut state = self.state.lock();
            if state.unacked.contains_key(&client_id) {
                return;
            }
            state.unacked.insert(client_id.clone(), sending);
            state.live.clone()
        };
        // Without a session it is sent once there is one.
        if let Some(live) = live {
            self.deliver(&live, client_id);
        }
    }

    fn earlier(&self, pick: u32) -> Option<Sending> {
        let state = self.state.lock();
        let sent = |sending: &&Sending| matches!(sending.what, Content::Body(_));
        let sent: Vec<_> = state.acked.iter().filter(sent).collect();
        sent.get(pick as usize % sent.len().max(1))
            .map(|sending| (*sending).clone())
    }

    /// Sends something about a message that is shown.
    fn answer(self: &Arc<Self>, pick: u32, body: impl FnOnce(EntryId) -> Body) {
        let target = {
            let state = self.state.lock();
            let shown: Vec<_> = state
                .views
                .iter()
                .flat_map(|(conversation, view)| {
                    view.shown()
                        .into_iter()
                        .map(move |(_, id)| (*conversation, id))
                })
                .collect();
            shown.get(pick as usize % shown.len().max(1)).copied()
        };
        if let Some((conversation, id)) = target {
            self.say(conversation, Content::Body(body(id)));
        }
    }

    fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        live: &Live,
        request: Request,
        made: impl Future<Output = Result<T>> + Send + 'static,
        after: impl FnOnce(&Self, T) + Send + 'static,
    ) {
        let device = self.clone();
        let no = live.no;
        self.beside(live, async move {
            let made = device
                .recorder
                .call(no, request, |_| Reply::Done, made)
                .await;
            if let Ok(value) = made {
                after(&device, value);
            }
        });
    }

    fn open(self: &Arc<Self>, other: UserId) {
        let Some(live) = self.live() else { return };
        let session = live.session.clone();
        let request = Request::Other {
            what: "open_direct".to_owned(),
        };
        let made = async move { session.open_direct(other).await };
        self.aside(&live, request, made, |device, conversation| {
            device.need(conversation, Duration::ZERO, false);
        });
    }

    fn mark(self: &Arc<Self>, conversation: ConversationId, seen: bool) {
        let Some(live) = self.live() else { return };
        let cursor = {
            let state = self.state.lock();
            state
                .views
                .get(&conversation)
                .and_then(crate::view::View::cursor)
        };
        let Some(at) = cursor.filter(|at| *at > Position(0)) else {
            return;
        };
        let (mark, marks) = if seen {
            (
                Mark::Seen(at),
                Marks {
                    delivered: at,
                    seen: at,
                },
            )
        } else {
            (
                Mark::Delivered(at),
                Marks {
                    delivered: at,
                    seen: Position(0),
                },
            )
        };
        let session = live.session.clone();
        let made = async move { session.mark(conversation, mark).await };
        self.aside(
            &live,
            Request::Mark {
                conversation,
                marks,
            },
            made,
            |_, ()| {},
        );
    }

    fn type_in(self: &Arc<Self>, conversation: ConversationId) {
        let Some(live) = self.live() else { return };
        let session = live.session.clone();
        let made = async move { session.typing(conversation, true).await };
        self.aside(&live, Request::Typing { conversation }, made, |_, ()| {});
    }

    fn look(self: &Arc<Self>, conversation: ConversationId, what: Reading, pick: u32) {
        let Some(live) = self.live() else { return };
        let (session, no) = (live.session.clone(), live.no);
        let request = |what: &str| Request::Read {
            conversation,
            what: what.to_owned(),
        };
        match what {
            Reading::Members => {
                let made = async move { session.members(conversation).await };
                self.aside(&live, request("members"), made, |_, _| {});
            }
            Reading::Presence => {
                let made = async move { session.presence(conversation).await };
                self.aside(&live, request("presence"), made, |_, _| {});
            }
            Reading::Receipts => {
                // One at a time, so that the order of answers is the order of the questions.
                if std::mem::replace(&mut self.state.lock().reading, true) {
                    return;
                }
                let free = Free(self.clone());
                let made = async move {
                    let _free = free;
                    session.receipts(conversation).await
                };
                self.aside(&live, request("receipts"), made, move |device, receipts| {
                    for (user, marks) in receipts {
                        device.recorder.note(What::Marked {
                            session: no,
                            conversation,
                            user,
                            marks,
                            asked: true,
                        });
                    }
                });
            }
            Reading::History => {
                let limit = 1 + pick as usize % 20;
                let range = if pick.is_multiple_of(2) {
                    Range::NEWEST
                } else {
                    Range::OLDEST
                };
                let made = async move { session.history(conversation, range, limit).await };
                self.aside(&live, request("history"), made, move |device, page| {
                    for entry in &page.entries {
                        let entry = Seen::from(&**entry);
                        device.recorder.note(What::Got {
                            session: no,
                            entry,
                            via: Via::Glance,
                        });
                    }
                });
            }
        }
    }
}

/// Lets the next question for receipts pass.
struct Free(Arc<Device>);

impl Drop for Free {
    fn drop(&mut self) {
        self.0.state.lock().reading = false;
    }
}
