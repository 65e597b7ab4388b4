//! What every implementation of a port has to keep: one case for each fact of its contract.
//!
//! Each port has lists of cases. A list is a macro that is given a function which makes a fresh
//! backend, and becomes one named test for each case:
//!
//! ```
//! use std::sync::Arc;
//! use darda_core::conformance::Backend;
//! use darda_core::{memory::MemoryCache, ports::Cache};
//!
//! async fn cache() -> Backend<Arc<dyn Cache>> {
//!     Backend::Ready(Arc::new(MemoryCache::new()))
//! }
//! darda_core::cache_conformance!(cache);
//! # fn main() {}
//! ```
//!
//! The crate that uses a list needs `tokio` with its macros and a runtime among its
//! dev-dependencies. Several lists in one file want a module each, since they are many names.
//!
//! A backend that is not there is [`Backend::Missing`]: the tests say so and pass, unless the
//! environment variable `DARDA_REQUIRE_BACKENDS` is `1`; then they fail.
//!
//! Cases use real time, wait for conditions, and name everything uniquely, so that they run against
//! real servers. What a list wants of its backend beyond the port is said at the list.

mod broker;
mod broker_bounds;
mod broker_restart;
mod cache_appends;
mod cache_bounds;
mod cache_epochs;
mod cache_loss;
mod cache_outbox;
mod cache_reads;
mod fixture;
mod live;
mod registry;
mod registry_loss;
mod store_blocks;
mod store_log;
mod store_members;
mod store_restart;

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::error::{Error, ErrorKind, Result};
use crate::ports::{Broker, Cache, SessionRegistry, Store};

/// What a list's function gives for each case.
#[derive(Debug)]
pub enum Backend<T> {
    /// A fresh backend.
    Ready(T),
    /// The backend is not there, and why.
    Missing(String),
}

/// A port whose backend the case can disturb: make it lose its memory, or restart it.
pub struct Disturbed<P: ?Sized> {
    /// The port.
    pub port: Arc<P>,
    /// Disturbs the backend; when it is over, so is the disturbance.
    pub disturb: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

impl<P: ?Sized> Disturbed<P> {
    /// A port with its disturbance.
    pub fn new(
        port: Arc<P>,
        disturb: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            port,
            disturb: Box::new(disturb),
        }
    }
}

impl<P: ?Sized> fmt::Debug for Disturbed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disturbed").finish_non_exhaustive()
    }
}

/// Runs one case; the lists' tests call it.
///
/// # Errors
/// What the port said, or `Unavailable` if the backend is missing but required.
pub async fn run<T, Made, Ran>(
    name: &str,
    make: impl FnOnce() -> Made,
    case: impl FnOnce(T) -> Ran,
) -> Result<()>
where
    Made: Future<Output = Backend<T>>,
    Ran: Future<Output = Result<()>>,
{
    match make().await {
        Backend::Ready(backend) => case(backend).await,
        Backend::Missing(why) => missing(name, &why),
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test is said loudly")]
fn missing(name: &str, why: &str) -> Result<()> {
    if std::env::var_os("DARDA_REQUIRE_BACKENDS").is_some_and(|value| value == "1") {
        return Err(Error::new(
            ErrorKind::Unavailable,
            format!("the backend is missing: {why}"),
        ));
    }
    eprintln!("SKIPPED {name}: the backend is missing: {why}");
    Ok(())
}

/// Makes a list: its macro, and a public module with its cases. The cases themselves are private,
/// so that one which no list names is dead code, and one which does not exist does not compile.
macro_rules! list {
    (
        $d:tt $(#[$doc:meta])* $list:ident: $module:ident($port:ty)
        $($file:ident: [$($case:ident),* $(,)?])*
    ) => {
        $(#[$doc])*
        #[macro_export]
        macro_rules! $list {
            ($d make:expr) => {$($(
                #[tokio::test]
                async fn $case() -> $d crate::Result<()> {
                    $d crate::conformance::run(
                        stringify!($case),
                        $d make,
                        $d crate::conformance::$module::$case,
                    )
                    .await
                }
            )*)*};
        }

        #[doc(hidden)]
        #[allow(missing_docs, clippy::missing_errors_doc)]
        pub mod $module {
            use super::*;
            $($(
                pub async fn $case(port: $port) -> Result<()> {
                    super::$file::$case(port).await
                }
            )*)*
        }
    };
}

list! {
    $
    /// The cases of a [`Cache`](crate::ports::Cache). The function makes an
    /// `Arc<dyn Cache>` that holds nothing.
    cache_conformance: cache_cases(Arc<dyn Cache>)
    cache_appends: [
        positions_increase,
        a_position_is_the_time_in_microseconds,
        the_first_append_has_no_prev,
        prev_is_the_position_appended_before,
        an_append_keeps_all_that_it_was_given,
        logs_do_not_share_positions,
        a_resend_returns_the_first_position,
        a_repeat_of_a_settled_entry_is_not_pending,
        a_repeat_is_answered_before_its_epoch_is_checked,
        concurrent_appends_of_one_id_take_effect_once,
        concurrent_appends_form_one_chain,
        the_last_10000_ids_are_remembered,
    ]
    cache_epochs: [
        an_unknown_log_wants_a_fresh_copy,
        a_fresh_copy_teaches_the_epoch,
        a_copy_older_than_the_log_is_refused,
        a_refused_append_leaves_nothing,
        a_newer_copy_passes_and_raises_the_epoch,
        a_membership_change_sets_the_epoch_to_its_position,
        a_raised_epoch_refuses_older_copies,
        a_lower_raise_changes_nothing,
        epochs_come_in_the_order_asked,
        recent_tells_the_epoch,
        a_relocated_append_passes_and_keeps_its_epoch,
        withdrawing_the_change_that_set_the_epoch_forgets_it,
        withdrawing_another_entry_keeps_the_epoch,
    ]
    cache_reads: [
        recent_of_an_unknown_log_is_empty,
        recent_after_gives_the_next_entries,
        recent_before_gives_the_newest_entries,
        recent_gives_what_only_the_outbox_holds,
        the_window_keeps_200_entries_after_they_are_settled,
        the_window_keeps_200_of_the_largest_entries,
        recent_tells_the_head,
        recent_tells_the_last_position_given,
        heads_come_in_the_order_asked,
        a_head_names_the_newest_message,
        find_gives_an_entry_by_its_id,
        find_gives_what_only_the_outbox_holds,
    ]
    cache_outbox: [
        settling_clears_once,
        settling_answers_in_order,
        settling_at_another_position_clears_nothing,
        settling_an_unknown_entry_of_another_incarnation_says_lost,
        an_entry_of_another_incarnation_that_was_cleared_is_not_lost,
        an_entry_of_another_incarnation_in_the_outbox_is_lost,
        changes_gives_the_membership_changes_of_the_outbox,
        withdrawing_takes_an_entry_out_of_everything,
        withdrawing_at_another_position_does_nothing,
        a_withdrawn_id_can_be_appended_again,
        an_entry_is_overdue_after_its_age,
        overdue_entries_come_oldest_first_up_to_the_limit,
        a_claimed_entry_waits_twice_as_long_each_time,
        a_settled_entry_is_never_overdue,
        the_outbox_is_counted,
    ]
}

list! {
    $
    /// The cases of a [`Cache`](crate::ports::Cache)'s bound. The function makes an
    /// `Arc<dyn Cache>` whose outbox holds at most 100 entries of one shard.
    cache_bounds_conformance: cache_bounds_cases(Arc<dyn Cache>)
    cache_bounds: [
        a_full_outbox_is_busy,
        a_full_outbox_answers_repeats,
        a_full_outbox_takes_relocated_entries,
        a_full_outbox_takes_more_when_entries_are_settled,
    ]
}

list! {
    $
    /// The cases of a [`Cache`](crate::ports::Cache) that loses its memory. The function makes a
    /// `Disturbed<dyn Cache>` whose disturbance makes it forget everything.
    cache_loss_conformance: cache_loss_cases(Disturbed<dyn Cache>)
    cache_loss: [
        after_a_loss_the_first_append_has_no_prev,
        after_a_loss_positions_begin_a_second_past_the_clock,
        after_a_loss_a_log_wants_a_fresh_copy,
        after_a_loss_epochs_are_unknown,
        after_a_loss_what_was_in_the_outbox_is_lost,
        after_a_loss_what_waits_to_be_stored_is_known_to_be_lost,
        after_a_loss_new_entries_settle_as_ever,
    ]
}

list! {
    $
    /// The cases of a [`Store`](crate::ports::Store). The function makes an `Arc<dyn Store>`; it
    /// may hold what other cases stored.
    store_conformance: store_cases(Arc<dyn Store>)
    store_log: [
        an_inserted_entry_reads_back_as_it_was,
        a_second_insert_is_a_repeat,
        an_id_at_another_position_is_a_duplicate,
        a_taken_position_is_refused,
        a_refused_entry_does_not_keep_the_others_from_being_stored,
        repeats_within_one_batch_are_recognised,
        concurrent_inserts_of_one_id_store_one,
        logs_are_apart,
        a_page_after_gives_the_next_entries,
        a_page_before_gives_the_newest_entries,
        a_page_leaves_out_its_end_point,
        pages_put_together_are_the_log,
        entries_stored_out_of_order_read_in_order,
        find_gives_an_entry_or_nothing,
        a_relocated_entry_is_at_its_new_position_only,
        relocating_again_changes_nothing,
        an_entry_is_never_relocated_back,
        an_entry_is_not_relocated_to_a_taken_position,
        relocating_an_unknown_entry_stores_it,
        a_relocated_entry_inserted_at_its_old_position_is_a_duplicate,
        a_relocated_entrys_old_position_is_free,
    ]
    store_members: [
        an_unknown_conversation_has_no_members,
        a_direct_conversation_has_its_two_users,
        opening_a_direct_conversation_again_changes_nothing,
        base_0_makes_a_group,
        a_change_is_applied_completely,
        a_change_of_another_base_is_a_conflict_and_changes_nothing,
        a_change_of_an_unknown_group_is_a_conflict,
        a_repeated_change_is_recognised_after_63_others,
        of_concurrent_changes_of_one_base_one_is_applied,
        memberships_tell_all_of_a_users_conversations,
        a_removed_member_has_no_membership,
        memberships_are_bounded,
        a_changes_entry_is_kept_until_it_is_stored,
        a_conflicting_changes_entry_is_not_kept,
        a_changes_entry_whose_position_is_taken_is_kept,
        unlogged_changes_are_bounded,
        marks_only_move_forward,
        a_seen_mark_pulls_delivered_along,
        marks_of_strangers_are_not_shown,
        marks_come_by_user,
        concurrent_marks_keep_the_furthest,
        heads_only_move_forward,
        heads_of_unknown_conversations_are_not_shown,
    ]
    store_blocks: [
        a_block_counts_in_both_directions,
        blocking_again_changes_nothing,
        unblocking_ends_a_block,
        blocks_come_in_the_order_of_ids,
        blocks_are_bounded,
    ]
}

list! {
    $
    /// The cases of a [`Store`](crate::ports::Store) of which a process dies. The function makes a
    /// `Disturbed<dyn Store>` whose disturbance ends any one process.
    store_restart_conformance: store_restart_cases(Disturbed<dyn Store>)
    store_restart: [
        what_was_stored_survives,
        what_members_changed_survives,
    ]
}

list! {
    $
    /// The cases of a [`Broker`](crate::ports::Broker). The function makes an `Arc<dyn Broker>` with
    /// empty queues of its own.
    broker_conformance: broker_cases(Arc<dyn Broker>)
    broker: [
        an_enqueued_entry_is_delivered_as_it_was,
        an_entry_enqueued_before_there_is_a_consumer_waits,
        entries_of_a_conversation_come_in_order,
        a_batch_is_no_larger_than_asked,
        a_batch_is_as_large_as_what_waits,
        a_done_entry_comes_no_more,
        an_entry_to_do_again_comes_again,
        a_dead_entry_comes_no_more,
        unsettled_entries_of_a_dropped_stream_go_to_the_next,
        an_entry_settled_by_itself_comes_no_more,
        what_waits_beyond_a_batch_is_not_settled_with_it,
        one_consumer_is_given_all_of_a_shard,
        another_consumer_takes_over,
        a_verdict_after_the_stream_ended_is_ignored,
        an_unknown_tag_is_ignored,
        the_backlog_counts_what_is_not_settled,
        an_empty_batch_is_nothing,
    ]
    live: [
        an_event_reaches_the_nodes_it_is_for,
        an_event_for_all_but_one_reaches_all_others,
        an_event_arrives_as_it_was,
        an_events_encoding_is_carried_along,
        a_second_subscription_replaces_the_first,
        publishing_to_nobody_succeeds,
        a_dropped_subscription_can_be_made_again,
    ]
}

list! {
    $
    /// The cases of a [`Broker`](crate::ports::Broker)'s bounds. The function makes an
    /// `Arc<dyn Broker>` with empty queues of its own, which hold at most 100 entries of one shard
    /// and at most 100 live events of one node.
    broker_bounds_conformance: broker_bounds_cases(Arc<dyn Broker>)
    broker_bounds: [
        a_full_queue_is_busy,
        a_full_queue_takes_more_when_entries_are_settled,
        a_full_live_queue_drops_its_oldest_events,
    ]
}

list! {
    $
    /// The cases of a [`Broker`](crate::ports::Broker) that restarts. The function makes a
    /// `Disturbed<dyn Broker>` with empty queues of its own, whose disturbance restarts it.
    broker_restart_conformance: broker_restart_cases(Disturbed<dyn Broker>)
    broker_restart: [
        a_restart_ends_the_streams,
        enqueued_entries_survive_a_restart,
        unsettled_entries_come_again_after_a_restart,
        dead_entries_stay_dead_after_a_restart,
        events_flow_again_after_a_restart,
    ]
}

list! {
    $
    /// The cases of a [`SessionRegistry`](crate::ports::SessionRegistry). The function makes an
    /// `Arc<dyn SessionRegistry>` with a lease of at most two seconds.
    registry_conformance: registry_cases(Arc<dyn SessionRegistry>)
    registry: [
        a_registered_session_counts_at_once,
        a_user_nobody_has_seen_is_offline,
        the_last_session_to_end_makes_a_user_offline,
        a_session_registered_twice_counts_once,
        an_unregistered_session_can_be_unregistered_again,
        nodes_come_once_in_the_order_of_their_ids,
        presence_comes_in_the_order_asked,
        removing_a_node_ends_its_sessions,
        a_renewed_lease_is_held,
        renewing_keeps_a_node,
        registering_renews_the_lease,
        a_node_that_does_not_renew_is_in_no_answer,
        an_expired_lease_is_forgotten_once,
    ]
}

list! {
    $
    /// The cases of a [`SessionRegistry`](crate::ports::SessionRegistry) that loses its memory. The
    /// function makes a `Disturbed<dyn SessionRegistry>` whose disturbance makes it forget
    /// everything.
    registry_loss_conformance: registry_loss_cases(Disturbed<dyn SessionRegistry>)
    registry_loss: [
        after_a_loss_renewing_says_so_once,
        a_registration_does_not_hide_a_loss,
        after_a_loss_sessions_can_be_registered_again,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_backend_fails_only_where_backends_are_required() {
        let required = std::env::var("DARDA_REQUIRE_BACKENDS").is_ok_and(|value| value == "1");
        let make = async || Backend::<()>::Missing("no server".into());
        let ran = run("a case", make, async |()| {
            panic!("it ran without a backend")
        })
        .await;
        assert_eq!(ran.is_err(), required);
    }
}
