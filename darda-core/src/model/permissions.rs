//! Who may do what: one table.
//!
//! | action | not a member | member | admin | owner |
//! |---|---|---|---|---|
//! | read, send, react, mark, type | no | yes | yes | yes |
//! | edit one's own message | no | yes | yes | yes |
//! | edit another's message | no | no | no | no |
//! | delete one's own message | no | yes | yes | yes |
//! | delete another's message | no | no | yes | yes |
//! | rename the group | no | no | yes | yes |
//! | add members | no | no | yes | yes |
//! | remove a member | no | no | yes | yes |
//! | remove an admin | no | no | no | yes |
//! | remove the owner | no | no | no | no |
//! | make a member an admin, or an admin a member | no | no | no | yes |
//! | hand over the ownership | no | no | no | yes |
//! | leave | no | yes | yes | yes |
//!
//! The two users of a direct conversation are members of it.

use serde::{Deserialize, Serialize};

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads and writes.
    Member,
    /// Looks after members and messages.
    Admin,
    /// The one who may do everything. A group has exactly one.
    Owner,
}

/// What somebody wants to do in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Read, send, react, mark, type.
    Participate,
    /// Edit a message.
    Edit {
        /// Whether it is one's own.
        own: bool,
    },
    /// Delete a message.
    Delete {
        /// Whether it is one's own.
        own: bool,
    },
    /// Give the group a new title.
    Rename,
    /// Add members.
    AddMembers,
    /// Remove a member who has this role.
    Remove(Role),
    /// Give a member another role.
    SetRole {
        /// The role the member has.
        from: Role,
        /// The role the member is to have.
        to: Role,
    },
    /// Leave.
    Leave,
}

/// Whether somebody with this role (`None`: not a member) may do this.
#[must_use]
pub fn allowed(role: Option<Role>, action: Action) -> bool {
    let Some(role) = role else { return false };
    match action {
        Action::Participate | Action::Leave => true,
        Action::Edit { own } => own,
        Action::Delete { own } => own || role >= Role::Admin,
        Action::Rename | Action::AddMembers => role >= Role::Admin,
        Action::Remove(target) => role >= Role::Admin && target < role,
        Action::SetRole { from, .. } => role == Role::Owner && from != Role::Owner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_as_documented() {
        use Role::{Admin, Member, Owner};
        let roles = [None, Some(Member), Some(Admin), Some(Owner)];
        let (yes, no) = (true, false);
        let table = [
            (Action::Participate, [no, yes, yes, yes]),
            (Action::Edit { own: true }, [no, yes, yes, yes]),
            (Action::Edit { own: false }, [no, no, no, no]),
            (Action::Delete { own: true }, [no, yes, yes, yes]),
            (Action::Delete { own: false }, [no, no, yes, yes]),
            (Action::Rename, [no, no, yes, yes]),
            (Action::AddMembers, [no, no, yes, yes]),
            (Action::Remove(Member), [no, no, yes, yes]),
            (Action::Remove(Admin), [no, no, no, yes]),
            (Action::Remove(Owner), [no, no, no, no]),
            (
                Action::SetRole {
                    from: Member,
                    to: Admin,
                },
                [no, no, no, yes],
            ),
            (
                Action::SetRole {
                    from: Admin,
                    to: Member,
                },
                [no, no, no, yes],
            ),
            (
                Action::SetRole {
                    from: Member,
                    to: Owner,
                },
                [no, no, no, yes],
            ),
            (
                Action::SetRole {
                    from: Admin,
                    to: Owner,
                },
                [no, no, no, yes],
            ),
            (
                Action::SetRole {
                    from: Owner,
                    to: Member,
                },
                [no, no, no, no],
            ),
            (Action::Leave, [no, yes, yes, yes]),
        ];
        for (action, expected) in table {
            for (role, expected) in roles.into_iter().zip(expected) {
                assert_eq!(allowed(role, action), expected, "{role:?} {action:?}");
            }
        }
    }
}
