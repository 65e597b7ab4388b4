//! What a small fleet asks of the ports, and that a seed says all.

use std::time::Duration;

use darda_core::model::limits::SMALL_CONVERSATION;
use darda_sim::scale::{
    ChangesPlan, Disturbance, Failed, IdlePlan, Op, Routed, RoutingPlan, Waved, WavesPlan, changes,
    idle, routing, waves,
};

const NODES: usize = 20;

fn routed(sizes: &[(usize, usize)], online: f64) -> Result<Vec<Routed>, Failed> {
    let plan = RoutingPlan {
        nodes: NODES,
        sizes: sizes.to_vec(),
        online,
        seed: 1,
    };
    routing(&plan)
}

fn waved(disturbance: Disturbance) -> Result<Waved, Failed> {
    let plan = WavesPlan {
        nodes: NODES,
        sessions: 10,
        conversations: 4,
        disturbances: vec![disturbance],
        seed: 1,
    };
    Ok(waves(&plan)?.remove(0))
}

#[test]
fn a_direct_message_goes_to_the_peers_node_and_to_no_other() {
    let row = &routed(&[(2, 40)], 1.0).unwrap()[0];
    // Two draws of twenty are one node at times.
    assert!(row.other_nodes > 0.8 && row.other_nodes < 1.0, "{row:?}");
    assert_eq!(row.quiet.calls(Op::LIVE_COPIES), row.other_nodes);
    assert_eq!(row.quiet.calls(Op::LIVE_MESSAGES), row.other_nodes);
    assert_eq!(row.quiet.calls(Op::NODES_OF), 1.0);
    assert_eq!(row.in_vain, 0.0);
}

#[test]
fn a_message_to_nobody_who_is_there_is_not_sent_to_any_node() {
    for row in routed(&[(2, 5), (8, 5)], 0.0).unwrap() {
        assert_eq!(row.quiet.calls(Op::LIVE_MESSAGES), 0.0);
        assert_eq!(row.quiet.calls(Op::NODES_OF), 1.0);
        assert_eq!(
            row.quiet.calls(Op::INSERT),
            1.0,
            "it is stored all the same"
        );
    }
}

#[test]
fn a_small_groups_message_goes_to_the_nodes_with_a_member_who_is_there() {
    for online in [0.3, 1.0] {
        for row in routed(&[(8, 10), (SMALL_CONVERSATION, 5)], online).unwrap() {
            assert_eq!(row.quiet.calls(Op::LIVE_COPIES), row.other_nodes, "{row:?}");
            assert!(row.quiet.calls(Op::LIVE_MESSAGES) <= 1.0);
            assert_eq!(row.in_vain, 0.0);
        }
    }
}

#[test]
fn above_the_small_size_a_message_goes_to_all_nodes_without_a_look_up() {
    let row = &routed(&[(SMALL_CONVERSATION + 1, 3)], 0.1).unwrap()[0];
    assert_eq!(row.quiet.calls(Op::LIVE_COPIES), (NODES - 1) as f64);
    assert_eq!(row.quiet.calls(Op::NODES_OF), 0.0);
    let without_a_member = (NODES - 1) as f64 - row.other_nodes;
    assert!((row.in_vain - without_a_member).abs() < 1e-9, "{row:?}");
}

#[test]
fn a_batch_of_sends_shares_its_look_up_and_its_live_message() {
    let row = &routed(&[(8, 5)], 1.0).unwrap()[0];
    assert_eq!(row.hundred.calls(Op::APPEND), 1.0);
    for op in [Op::NODES_OF, Op::LIVE_MESSAGES, Op::ENQUEUE, Op::INSERT] {
        assert_eq!(row.hundred.calls(op), 0.01, "{}", op.name());
        assert_eq!(row.ten.calls(op), 0.1, "{}", op.name());
    }
    // Nothing is read from the store for a conversation that is known.
    for op in [Op::MEMBERS, Op::STORE_FIND, Op::PAGE, Op::MEMBERSHIPS] {
        assert_eq!(row.quiet.calls(op), 0.0, "{}", op.name());
    }
}

#[test]
fn a_killed_gateways_clients_come_back_once_and_nobody_elses_move() {
    let nothing = waved(Disturbance::None).unwrap();
    let wave = waved(Disturbance::Killed { gateways: 2 }).unwrap();
    assert_eq!(nothing.came_back, 0);
    assert!(wave.came_back > 0 && wave.came_back < wave.clients as u64 / 2);
    assert_eq!(wave.counted.calls(Op::REGISTER), wave.came_back);
    // It has missed nothing: the heads say so, and no log is read.
    assert_eq!(wave.counted.calls(Op::RECENT), 0);
    assert_eq!(wave.counted.calls(Op::PAGE), 0);
    assert!(wave.all_back < Duration::from_secs(1));
    // One reading of its list when it connects; what it may miss until all routes know of it, the
    // cache's heads say.
    assert_eq!(wave.counted.calls(Op::MEMBERSHIPS), wave.came_back);
    assert_eq!(wave.counted.calls(Op::EPOCHS), wave.came_back);
}

#[test]
fn after_the_brokers_restart_the_cache_is_asked_at_once_and_the_store_bit_by_bit() {
    let plan = WavesPlan {
        nodes: 2,
        sessions: 2_000,
        conversations: 2,
        disturbances: vec![Disturbance::BrokerRestarts],
        seed: 1,
    };
    let wave = waves(&plan).unwrap().remove(0);
    let clients = wave.clients as u64;
    // Those who have no conversation are not asked for.
    assert!(wave.counted.calls(Op::EPOCHS) > clients * 3 / 4, "{wave:?}");
    assert!(wave.counted.peak(Op::EPOCHS) > clients * 3 / 4, "{wave:?}");
    assert_eq!(wave.counted.calls(Op::MEMBERSHIPS), clients);
    assert!(
        wave.counted.peak(Op::MEMBERSHIPS) < clients * 2 / 3,
        "{wave:?}"
    );
}

#[test]
fn a_new_groups_first_event_goes_to_its_members_nodes_only() {
    let plan = ChangesPlan {
        nodes: NODES,
        sizes: vec![8],
        seed: 1,
    };
    let row = &changes(&plan).unwrap()[0];
    assert!(row.nodes < NODES / 2);
    let copies = row.created.calls(Op::LIVE_COPIES);
    // The entry, and that they are members now.
    assert!(
        copies <= 2 * row.nodes as u64,
        "{copies} to {} nodes",
        row.nodes
    );
    assert!(copies > 0);
}

#[test]
fn gateways_that_are_replaced_spread_their_clients_moves() {
    let drain = Duration::from_secs(10);
    let wave = waved(Disturbance::Replaced { at_once: 20, drain }).unwrap();
    assert!(wave.came_back >= wave.clients as u64);
    // Those who are told early have longer: the middle of the time has more than its share.
    let fair = wave.counted.calls(Op::REGISTER) as f64 / drain.as_secs_f64();
    let peak = wave.counted.peak(Op::REGISTER) as f64;
    assert!(peak <= fair * 2.5, "{peak} in a second, {fair} on average");
    assert!(wave.all_back <= drain + Duration::from_secs(1));
}

#[test]
fn a_registry_that_forgets_is_told_by_each_gateway_in_one_call() {
    let wave = waved(Disturbance::RegistryForgets).unwrap();
    assert_eq!(wave.counted.calls(Op::REGISTER), NODES as u64);
    assert_eq!(wave.counted.items(Op::REGISTER), wave.clients as u64);
}

#[test]
fn an_idle_fleet_asks_in_proportion_to_its_gateways_and_its_clients() {
    let plan = |nodes, sessions| IdlePlan {
        nodes,
        writers: 1,
        sessions,
        conversations: 4,
        seed: 1,
    };
    let small = idle(&plan(10, 10)).unwrap();
    let twice = idle(&plan(20, 10)).unwrap();
    // Three renewals of a lease of 15 s; a pulse each 30 s or so.
    assert_eq!(small.calls(Op::RENEW), 2.0);
    assert_eq!(twice.calls(Op::RENEW), 4.0);
    for idled in [&small, &twice] {
        let lists = idled.counted.calls(Op::MEMBERSHIPS) as f64 / idled.clients as f64;
        assert!(lists > 1.7 && lists < 2.3, "{lists} in a minute");
    }
    assert_eq!(twice.calls(Op::LIVE_MESSAGES), 0.0);
    assert_eq!(twice.calls(Op::REGISTER), 0.0);
}

#[test]
fn clients_that_connected_together_are_not_told_their_lists_together() {
    let plan = IdlePlan {
        nodes: 5,
        writers: 1,
        sessions: 100,
        conversations: 2,
        seed: 1,
    };
    let idled = idle(&plan).unwrap();
    let fair = idled.counted.calls(Op::MEMBERSHIPS) / 60;
    assert!(
        idled.counted.peak(Op::MEMBERSHIPS) <= fair * 4,
        "{fair} a second on average: {idled:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_counts() {
    let sizes = [(2, 5), (8, 3), (40, 1)];
    assert_eq!(routed(&sizes, 0.5).unwrap(), routed(&sizes, 0.5).unwrap());
    let kill = Disturbance::Killed { gateways: 3 };
    assert_eq!(waved(kill).unwrap(), waved(kill).unwrap());
    let plan = ChangesPlan {
        nodes: NODES,
        sizes: vec![8, 40],
        seed: 1,
    };
    assert_eq!(changes(&plan).unwrap(), changes(&plan).unwrap());
}
