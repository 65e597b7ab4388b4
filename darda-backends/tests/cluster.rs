//! Three RabbitMQ nodes become one cluster.

use darda_backends::{RabbitCluster, or_skip};

#[tokio::test]
async fn three_nodes_make_a_cluster() {
    let Some(mut cluster) = or_skip(RabbitCluster::start().await) else {
        return;
    };
    let [first, _, _] = cluster.nodes() else {
        panic!("not three nodes")
    };
    let status = first.control(&["cluster_status"]).await.unwrap();
    let (_, running) = status.split_once("Running Nodes").unwrap();
    let (running, _) = running.split_once("Versions").unwrap();
    assert_eq!(running.matches("@localhost").count(), 3, "{status}");
}
