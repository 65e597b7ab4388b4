//! The servers do what tests ask of them.

use std::time::Duration;

use darda_backends::{
    Mongo, MongoOptions, Passage, Proxy, Rabbit, RabbitOptions, Redis, RedisCluster, RedisOptions,
    Sentinel, or_skip,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const SOON: Duration = Duration::from_millis(300);

#[tokio::test]
async fn redis_comes_back_empty_unless_it_is_persistent() {
    for (options, kept) in [
        (RedisOptions::default(), "\n"),
        (RedisOptions::default().persistent(), "here\n"),
    ] {
        let Some(mut redis) = or_skip(Redis::start(options).await) else {
            return;
        };
        redis.cli(&["set", "key", "here"]).await.unwrap();
        // Its file is written at once, and forced to the disk within a second.
        redis.cli(&["waitaof", "0", "0", "0"]).await.ok();
        redis.server().kill().await;
        assert!(
            TcpStream::connect(("127.0.0.1", redis.port()))
                .await
                .is_err()
        );
        redis.start_again().await.unwrap();
        assert_eq!(redis.cli(&["get", "key"]).await.unwrap(), kept);
    }
}

#[tokio::test]
async fn a_paused_server_takes_connections_and_does_not_answer() {
    let Some(mut redis) = or_skip(Redis::start(RedisOptions::default()).await) else {
        return;
    };
    redis.server().pause();
    let mut connection = TcpStream::connect(("127.0.0.1", redis.port()))
        .await
        .unwrap();
    connection.write_all(b"PING\r\n").await.unwrap();
    let mut answer = [0; 7];
    assert!(
        timeout(SOON, connection.read_exact(&mut answer))
            .await
            .is_err()
    );
    redis.server().resume();
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

#[tokio::test]
async fn sentinel_promotes_the_replica_of_a_dead_master() {
    let Some(mut sentinel) = or_skip(Sentinel::start().await) else {
        return;
    };
    let old = sentinel.master().await.unwrap().port();
    sentinel.fail_over().await.unwrap();
    assert_ne!(sentinel.master().await.unwrap().port(), old);
}

#[tokio::test]
async fn the_cluster_serves_all_slots() {
    let Some(mut cluster) = or_skip(RedisCluster::start().await) else {
        return;
    };
    for node in cluster.nodes() {
        let info = node.cli(&["cluster", "info"]).await.unwrap();
        assert!(info.contains("cluster_slots_ok:16384"), "{info}");
    }
}

#[tokio::test]
async fn rabbitmq_closes_connections_on_demand_and_comes_back() {
    let Some(mut rabbit) = or_skip(Rabbit::start(RabbitOptions::default()).await) else {
        return;
    };
    rabbit.control(&["add_vhost", "kept"]).await.unwrap();
    rabbit.close_all_connections().await.unwrap();
    rabbit.server().kill().await;
    // Its sockets close when the last of its processes is torn down.
    while TcpStream::connect(("127.0.0.1", rabbit.port()))
        .await
        .is_ok()
    {}
    rabbit.start_again().await.unwrap();
    let hosts = rabbit.control(&["list_vhosts"]).await.unwrap();
    assert!(hosts.contains("kept"), "{hosts}");
}

#[tokio::test]
async fn the_memory_alarm_rises_and_ends() {
    let Some(rabbit) = or_skip(Rabbit::start(RabbitOptions::default()).await) else {
        return;
    };
    let alarmed = async || {
        let status = rabbit.control(&["status"]).await.unwrap();
        status.contains("Memory alarm on node")
    };
    assert!(!alarmed().await);
    rabbit.raise_memory_alarm().await.unwrap();
    while !alarmed().await {}
    rabbit.end_memory_alarm().await.unwrap();
    while alarmed().await {}
}

#[tokio::test]
async fn the_database_comes_back_on_its_port() {
    let Some(mut mongo) = or_skip(Mongo::start(MongoOptions::default()).await) else {
        return;
    };
    mongo.server().kill().await;
    mongo.keeper().kill().await;
    assert!(
        TcpStream::connect(("127.0.0.1", mongo.port()))
            .await
            .is_err()
    );
    mongo.start_again().await.unwrap();
    TcpStream::connect(("127.0.0.1", mongo.port()))
        .await
        .unwrap();
}

#[expect(clippy::unwrap_used, reason = "a part of tests")]
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = socket.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn a_swallowing_proxy_keeps_connections_open_and_delivers_later() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut connection = TcpStream::connect(proxy.address()).await.unwrap();
    let mut answer = [0; 2];
    connection.write_all(b"hi").await.unwrap();
    connection.read_exact(&mut answer).await.unwrap();
    proxy.set(Passage::Swallowing);
    connection.write_all(b"yo").await.unwrap();
    assert!(
        timeout(SOON, connection.read_exact(&mut answer))
            .await
            .is_err()
    );
    proxy.set(Passage::Open);
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"yo");
}

#[tokio::test]
async fn a_proxy_cuts_what_is_open_and_takes_new_connections() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut connection = TcpStream::connect(proxy.address()).await.unwrap();
    let mut answer = [0; 2];
    connection.write_all(b"hi").await.unwrap();
    connection.read_exact(&mut answer).await.unwrap();
    proxy.cut();
    assert!(!matches!(connection.read(&mut answer).await, Ok(1..)));
    let mut connection = TcpStream::connect(proxy.address()).await.unwrap();
    connection.write_all(b"hi").await.unwrap();
    connection.read_exact(&mut answer).await.unwrap();
}

#[tokio::test]
async fn a_refusing_proxy_closes_new_connections() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    proxy.set(Passage::Refusing);
    let mut connection = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(!matches!(connection.read(&mut [0; 1]).await, Ok(1..)));
}
