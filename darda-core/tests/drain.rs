//! A node that asks its sessions to move.

use std::time::Duration;

use darda_core::model::UserId;
use darda_core::ports::EventBody;
use darda_core::{Chat, Options, Ports};
use tokio::task::JoinSet;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn sessions_come_to_other_nodes_evenly() {
    const SESSIONS: usize = 100;
    const GRACE: Duration = Duration::from_secs(10);
    let chat = Chat::start(Ports::in_memory(), Options::default());
    let start = Instant::now();
    let mut moves = JoinSet::new();
    for number in 0..SESSIONS {
        let user = UserId::new(format!("user{number}")).unwrap();
        let session = chat.connect(user).await.unwrap();
        moves.spawn(async move {
            let mut events = Vec::new();
            assert!(session.events(&mut events).await);
            let EventBody::Draining { reconnect_within } = events[0].body() else {
                unreachable!("{events:?}");
            };
            // As clients do: any time within.
            let told = start.elapsed();
            assert!(told + *reconnect_within <= GRACE);
            let wait = reconnect_within.mul_f64(number as f64 * 0.618 % 1.0);
            tokio::time::sleep(wait).await;
            start.elapsed()
        });
    }
    chat.drain(GRACE).await;
    let moved = moves.join_all().await;
    assert_eq!(moved.len(), SESSIONS);
    for second in 0..10 {
        let in_it = moved.iter().filter(|at| at.as_secs() == second).count();
        assert!(
            in_it <= SESSIONS * 3 / 20,
            "{in_it} of {SESSIONS} in one second"
        );
    }
}
