//! What is stored: short field names, binary ids, 64-bit positions. An entry's body stands in the
//! core's own form, so that it can be queried and a new kind of body needs no change here.

use std::sync::Arc;

use darda_core::model::{
    Body, ClientId, ConversationId, ConversationKind, Entry, EntryId, Epoch, HistoryStart, Marks,
    Member, Members, Position, Role, UserId,
};
use darda_core::{Error, Result};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson};
use serde::{Deserialize, Serialize};

use crate::error::unreadable;

/// Bytes of a conversation's or an entry's id.
const ID_BYTES: usize = 16;

pub(crate) fn binary(bytes: impl Into<Vec<u8>>) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: bytes.into(),
    }
}

pub(crate) fn conversation_key(id: ConversationId) -> Binary {
    binary(*id.as_bytes())
}

pub(crate) fn id_key(id: EntryId) -> Binary {
    binary(*id.as_bytes())
}

/// `_id` of an entry: big-endian, so that the order of the bytes is the order of the log.
pub(crate) fn entry_key(conversation: ConversationId, position: Position) -> Binary {
    let mut key = Vec::with_capacity(ID_BYTES + 8);
    key.extend_from_slice(conversation.as_bytes());
    key.extend_from_slice(&position.0.to_be_bytes());
    binary(key)
}

/// `_id` of a user's marks in a conversation.
pub(crate) fn mark_key(conversation: ConversationId, user: &UserId) -> Binary {
    let mut key = Vec::with_capacity(ID_BYTES + user.as_str().len());
    key.extend_from_slice(conversation.as_bytes());
    key.extend_from_slice(user.as_str().as_bytes());
    binary(key)
}

pub(crate) fn conversation_of(key: &Binary) -> Result<ConversationId> {
    <[u8; ID_BYTES]>::try_from(key.bytes.as_slice())
        .map(ConversationId::from_bytes)
        .map_err(|_| unreadable("a stored conversation's id is not 16 bytes"))
}

pub(crate) fn id_of(key: &Binary) -> Result<EntryId> {
    <[u8; ID_BYTES]>::try_from(key.bytes.as_slice())
        .map(EntryId::from_bytes)
        .map_err(|_| unreadable("a stored entry's id is not 16 bytes"))
}

/// The parts of an entry's `_id`.
pub(crate) fn place_of(key: &Binary) -> Result<(ConversationId, Position)> {
    let misshapen = || unreadable("a stored entry's key is not 24 bytes");
    let (conversation, position) = key.bytes.split_at_checked(ID_BYTES).ok_or_else(misshapen)?;
    let conversation = conversation.try_into().map_err(|_| misshapen())?;
    let position = position.try_into().map_err(|_| misshapen())?;
    Ok((
        ConversationId::from_bytes(conversation),
        Position(u64::from_be_bytes(position)),
    ))
}

/// BSON knows no unsigned numbers. Above the largest signed one (which no position reaches before
/// the year 294,000) they become negative, and come back as they were.
#[expect(clippy::cast_possible_wrap, reason = "it comes back by `unsigned`")]
pub(crate) const fn signed(number: u64) -> i64 {
    number as i64
}

#[expect(clippy::cast_sign_loss, reason = "the way back from `signed`")]
pub(crate) const fn unsigned(number: i64) -> u64 {
    number as u64
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// An entry in the log, in a head, or waiting for the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EntryDocument {
    /// Conversation ‖ position.
    #[serde(rename = "_id")]
    key: Binary,
    /// Conversation.
    c: Binary,
    /// Entry id.
    i: Binary,
    /// `prev`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    p: Option<i64>,
    /// Epoch.
    e: i64,
    /// Sender.
    s: UserId,
    /// Client id.
    n: ClientId,
    /// Body.
    b: Body,
    /// Incarnation of the cache.
    k: i64,
    /// Relocated.
    #[serde(skip_serializing_if = "is_false", default)]
    r: bool,
}

impl From<&Entry> for EntryDocument {
    fn from(entry: &Entry) -> Self {
        Self {
            key: entry_key(entry.conversation, entry.position),
            c: conversation_key(entry.conversation),
            i: id_key(entry.id),
            p: entry.prev.map(|prev| signed(prev.0)),
            e: signed(entry.epoch.0),
            s: entry.sender.clone(),
            n: entry.client_id.clone(),
            b: entry.body.clone(),
            k: signed(entry.incarnation),
            r: entry.relocated,
        }
    }
}

impl TryFrom<EntryDocument> for Arc<Entry> {
    type Error = Error;

    fn try_from(document: EntryDocument) -> Result<Self> {
        let (conversation, position) = place_of(&document.key)?;
        Ok(Self::new(Entry {
            conversation,
            position,
            prev: document.p.map(|prev| Position(unsigned(prev))),
            epoch: Epoch(unsigned(document.e)),
            id: id_of(&document.i)?,
            sender: document.s,
            client_id: document.n,
            body: document.b,
            incarnation: unsigned(document.k),
            relocated: document.r,
        }))
    }
}

pub(crate) fn entries_of(documents: Vec<EntryDocument>) -> Result<Vec<Arc<Entry>>> {
    documents.into_iter().map(TryInto::try_into).collect()
}

/// A member within a conversation's document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MemberDocument {
    /// User.
    pub(crate) u: UserId,
    /// Role.
    r: Role,
    /// Since this epoch.
    s: i64,
    /// Visible from this position.
    v: i64,
}

impl MemberDocument {
    pub(crate) fn new(user: &UserId, member: &Member) -> Self {
        Self {
            u: user.clone(),
            r: member.role,
            s: signed(member.since.0),
            v: signed(member.visible_from.0),
        }
    }

    pub(crate) fn member(&self) -> Member {
        Member {
            role: self.r,
            since: Epoch(unsigned(self.s)),
            visible_from: Position(unsigned(self.v)),
        }
    }
}

/// A conversation, as it is written first and as it is read, in part or whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ConversationDocument {
    /// Conversation.
    #[serde(rename = "_id")]
    pub(crate) key: Binary,
    /// Kind.
    pub(crate) k: ConversationKind,
    /// Epoch.
    pub(crate) e: i64,
    /// Title.
    pub(crate) t: String,
    /// Where new members' history starts.
    pub(crate) h: HistoryStart,
    /// The two users of a direct conversation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) d: Option<[UserId; 2]>,
    /// Members.
    #[serde(default)]
    pub(crate) m: Vec<MemberDocument>,
    /// Epochs that were applied, the newest last.
    #[serde(default)]
    pub(crate) a: Vec<i64>,
    /// Entries of changes that the log may lack.
    #[serde(default)]
    pub(crate) x: Vec<EntryDocument>,
}

impl ConversationDocument {
    /// What it says of members, before any change is applied.
    pub(crate) fn of(members: &Members) -> Self {
        let mut users = members.list.keys().cloned();
        let direct = match members.kind {
            // Of a conversation with oneself there is one.
            ConversationKind::Direct => {
                users.next().map(|a| [a.clone(), users.next().unwrap_or(a)])
            }
            ConversationKind::Group => None,
        };
        let list = members.list.iter();
        Self {
            key: conversation_key(members.conversation),
            k: members.kind,
            e: signed(members.epoch.0),
            t: members.title.clone(),
            h: members.history,
            d: direct,
            m: list
                .map(|(user, member)| MemberDocument::new(user, member))
                .collect(),
            a: Vec::new(),
            x: Vec::new(),
        }
    }

    pub(crate) fn members(self) -> Result<Members> {
        let list = self.m.into_iter();
        Ok(Members {
            conversation: conversation_of(&self.key)?,
            kind: self.k,
            epoch: Epoch(unsigned(self.e)),
            title: self.t,
            history: self.h,
            list: list
                .map(|document| (document.u.clone(), document.member()))
                .collect(),
        })
    }

    /// The other user of a direct conversation; oneself, if there is no other.
    pub(crate) fn peer(&self, user: &UserId) -> Option<UserId> {
        let users = self.d.as_ref()?;
        let other = users.iter().find(|other| *other != user);
        other.or(users.first()).cloned()
    }
}

/// A user's receipts in a conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MarkDocument {
    /// Conversation ‖ user.
    #[serde(rename = "_id")]
    key: Binary,
    /// Conversation.
    pub(crate) c: Binary,
    /// User.
    pub(crate) u: UserId,
    /// Delivered.
    d: i64,
    /// Seen.
    s: i64,
}

impl MarkDocument {
    pub(crate) fn marks(&self) -> Marks {
        Marks {
            delivered: Position(unsigned(self.d)),
            seen: Position(unsigned(self.s)),
        }
    }
}

/// A value in the form in which it is stored.
pub(crate) fn to_bson(value: &impl Serialize) -> Result<Bson> {
    mongodb::bson::serialize_to_bson(value)
        .map_err(|error| unreadable("a value could not be stored").with_source(error))
}

#[cfg(test)]
mod tests {
    use darda_core::model::{MemberChange, Message};
    use mongodb::bson::{Document, deserialize_from_slice, serialize_to_vec};

    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn entry(body: Body, relocated: bool) -> Entry {
        let conversation = ConversationId::from_bytes([7; 16]);
        let (sender, client_id) = (user("alice"), ClientId::new("42").unwrap());
        Entry {
            conversation,
            position: Position(1_700_000_000_000_001),
            prev: relocated.then_some(Position(1_700_000_000_000_000)),
            epoch: Epoch(1_600_000_000_000_000),
            id: EntryId::derive(conversation, &sender, &client_id),
            sender,
            client_id,
            body,
            incarnation: u64::MAX,
            relocated,
        }
    }

    fn bodies() -> Vec<Body> {
        let target = EntryId::from_bytes([9; 16]);
        let message = Message::text("text")
            .with_reply_to(target)
            .with_mentions([user("bob")])
            .with_metadata("{}");
        vec![
            "text".into(),
            Body::Edit { target, message },
            Body::Delete { target },
            Body::React {
                target,
                reaction: "x".into(),
            },
            Body::Unreact {
                target,
                reaction: "x".into(),
            },
            Body::Members {
                base: Epoch(1_600_000_000_000_000),
                change: MemberChange::Create {
                    title: "title".into(),
                    members: vec![user("bob")],
                    history: HistoryStart::Joining,
                },
            },
            Body::Opaque(vec![0, 1, 255].into()),
        ]
    }

    fn stored(value: &impl Serialize) -> String {
        let bytes = serialize_to_vec(value).unwrap();
        let document: Document = deserialize_from_slice(&bytes).unwrap();
        let fields = document.iter();
        let fields = fields.map(|(name, value)| format!("{name}: {value:?}\n"));
        fields.collect()
    }

    #[test]
    fn the_documents_of_entries_are_these() {
        let documents = bodies().into_iter().zip([true, false].into_iter().cycle());
        let documents = documents.map(|(body, moved)| EntryDocument::from(&entry(body, moved)));
        let stored: Vec<_> = documents.map(|document| stored(&document)).collect();
        insta::assert_snapshot!(stored.join("\n"));
    }

    #[test]
    fn the_documents_of_conversations_are_these() {
        let direct = ConversationDocument::of(&Members::direct(&user("bob"), &user("alice")));
        let mut members = Members::nobody(ConversationId::from_bytes([7; 16]));
        let member = Member {
            role: Role::Owner,
            since: Epoch(3),
            visible_from: Position(4),
        };
        members.list.insert(user("alice"), member);
        let mut group = ConversationDocument::of(&members);
        group.a.push(3);
        let waiting = entry(bodies().remove(5), false);
        group.x.push(EntryDocument::from(&waiting));
        insta::assert_snapshot!([stored(&direct), stored(&group)].join("\n"));
    }

    #[test]
    fn every_entry_reads_back_as_it_was() {
        for body in bodies() {
            for relocated in [true, false] {
                let entry = Arc::new(entry(body.clone(), relocated));
                let bytes = serialize_to_vec(&EntryDocument::from(&*entry)).unwrap();
                let document: EntryDocument = deserialize_from_slice(&bytes).unwrap();
                assert_eq!(Arc::<Entry>::try_from(document).unwrap(), entry);
            }
        }
    }

    #[test]
    fn keys_are_in_the_order_of_positions() {
        let conversation = ConversationId::from_bytes([7; 16]);
        let positions = [0, 1, 255, 256, 1 << 53, i64::MAX as u64, u64::MAX].map(Position);
        let keys = positions.map(|position| entry_key(conversation, position));
        assert!(keys.is_sorted_by(|a, b| a.bytes < b.bytes));
        for (key, position) in keys.iter().zip(positions) {
            assert_eq!(place_of(key).unwrap(), (conversation, position));
        }
    }

    #[test]
    fn a_key_of_another_length_is_no_place() {
        for length in [0, 16, 23, 25] {
            assert!(place_of(&binary(vec![0; length])).is_err());
        }
    }
}
