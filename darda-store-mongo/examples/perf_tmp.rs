use darda_core::model::*;
use darda_core::ports::*;
use darda_store_mongo::*;
use mongodb::bson::{Document, doc};
use mongodb::{Client, options::*};
use std::sync::Arc;
use std::time::{Duration, Instant};
fn user(n: &str) -> UserId {
    UserId::new(n).unwrap()
}
fn conv(n: u64) -> ConversationId {
    ConversationId::group(&user("alice"), &ClientId::new(format!("g{n}")).unwrap())
}
fn entry(c: ConversationId, pos: u64) -> Arc<Entry> {
    let s = user("alice");
    let id = ClientId::new(pos.to_string()).unwrap();
    Arc::new(Entry {
        conversation: c,
        position: Position(1_700_000_000_000_000 + pos * 7),
        prev: Some(Position(1)),
        epoch: Epoch(1),
        id: EntryId::derive(c, &s, &id),
        sender: s,
        client_id: id,
        body: "hello there, this is a message of some length, as people write".into(),
        incarnation: 5,
        relocated: false,
    })
}
fn median(mut v: Vec<f64>) -> f64 {
    v.sort_by(f64::total_cmp);
    v[v.len() / 2]
}
#[tokio::main]
async fn main() {
    let url = std::env::var("DARDA_TEST_MONGO_URL").unwrap();
    let name = format!("darda_perf_{}", std::process::id());
    let store = MongoStore::connect(
        MongoConfig::new(&url, &name).with_operation_timeout(Duration::from_secs(60)),
    )
    .await
    .unwrap();
    store.ready().await.unwrap();
    let client = Client::with_uri_str(&url).await.unwrap();
    let db = client.database(&name);
    // bare: same documents read back raw, other collection with the same unique index
    let bare = db.collection::<Document>("bare");
    bare.create_index(
        mongodb::IndexModel::builder()
            .keys(doc! {"c":1,"i":1})
            .options(IndexOptions::builder().unique(true).build())
            .build(),
    )
    .await
    .unwrap();
    let big = conv(1);
    let mut a = vec![];
    let mut b = vec![];
    let total: u64 = std::env::args()
        .nth(1)
        .map(|s| s.parse().unwrap())
        .unwrap_or(200_000);
    let mut n = 0;
    let mut small_ms = 0.0;
    let page = async |c, base: u64, at: u64, store: &MongoStore| {
        let mut v = vec![];
        for i in 0..60 {
            let p = 1_700_000_000_000_000 + (base + (at + i * 13) % at.max(1)) * 7;
            let t = Instant::now();
            let r = store.page(c, Range::Before(Position(p)), 50).await.unwrap();
            v.push(t.elapsed().as_secs_f64() * 1e3);
            assert_eq!(r.len(), 50);
        }
        median(v)
    };
    while n < total {
        let batch: Vec<_> = (n..n + 1000).map(|p| entry(big, p)).collect();
        let t = Instant::now();
        store.insert(batch).await.unwrap();
        a.push(t.elapsed().as_secs_f64());
        if n < 40_000 {
            let docs: Vec<Document> = db
                .collection::<Document>("entries")
                .find(doc! {})
                .sort(doc! {"_id":-1})
                .limit(1000)
                .await
                .unwrap()
                .with_type_collect()
                .await;
            let t = Instant::now();
            bare.insert_many(docs)
                .ordered(false)
                .write_concern(WriteConcern::majority())
                .await
                .unwrap();
            b.push(t.elapsed().as_secs_f64());
        }
        n += 1000;
        if n == 1000 {
            small_ms = page(big, 100, 800, &store).await;
            println!("page of 50 at 1,000: {small_ms:.3} ms");
        }
    }
    let k = b.len();
    let (sa, sb): (f64, f64) = (a[..k].iter().sum(), b.iter().sum());
    println!(
        "insert batches of 1000 (first {k}): store {:.0}/s bare {:.0}/s ratio {:.2}; all {:.0}/s",
        k as f64 * 1000.0 / sa,
        k as f64 * 1000.0 / sb,
        sb / sa,
        n as f64 / a.iter().sum::<f64>()
    );
    let small = conv(2);
    store
        .insert((0..1000).map(|p| entry(small, p)).collect())
        .await
        .unwrap();
    for _ in 0..3 {
        let x = page(big, 100, total - 200, &store).await;
        let y = page(small, 100, 800, &store).await;
        println!(
            "page of 50: in {total} {x:.3} ms, in the small log beside it {y:.3} ms, ratio {:.2}",
            x / y
        );
        let t = Instant::now();
        for _ in 0..50 {
            store.page(big, Range::NEWEST, 50).await.unwrap();
        }
        let x = t.elapsed().as_secs_f64() * 20.0;
        let t = Instant::now();
        for _ in 0..50 {
            store.page(small, Range::NEWEST, 50).await.unwrap();
        }
        println!(
            "newest: big {x:.3} small {:.3}",
            t.elapsed().as_secs_f64() * 20.0
        );
        let t = Instant::now();
        for i in 0..50 {
            store
                .find(big, entry(big, i * 997 % total).id)
                .await
                .unwrap()
                .unwrap();
        }
        println!("find by id {:.3} ms", t.elapsed().as_secs_f64() * 20.0);
    }
    let t = Instant::now();
    let r = store
        .insert((0..1000).map(|p| entry(big, p)).collect())
        .await
        .unwrap();
    println!("1000 repeats {:?} {:?}", t.elapsed(), r[0]);
    let t = Instant::now();
    let r = store
        .insert(
            (0..1000)
                .map(|p| {
                    let mut e = (*entry(big, p)).clone();
                    e.position = Position(1_900_000_000_000_000 + p);
                    Arc::new(e)
                })
                .collect(),
        )
        .await
        .unwrap();
    println!("1000 duplicates {:?} {:?}", t.elapsed(), r[0]);
    // memberships
    let me = user("me");
    for i in 0..200u64 {
        if i % 2 == 0 {
            store
                .open_direct(me.clone(), user(&format!("p{i}")))
                .await
                .unwrap();
        } else {
            let c = conv(100 + i);
            let m = |r| Member {
                role: r,
                since: Epoch(1),
                visible_from: Position(0),
            };
            let mut up: Vec<_> = (0..50)
                .map(|k| (user(&format!("m{i}-{k}")), m(Role::Member)))
                .collect();
            up.push((me.clone(), m(Role::Owner)));
            let mut e = (*entry(c, 1)).clone();
            e.body = Body::Members {
                base: Epoch(0),
                change: MemberChange::Rename { title: "t".into() },
            };
            let d = MembersDelta {
                conversation: c,
                base: Epoch(0),
                epoch: Epoch(1),
                title: "t".into(),
                history: HistoryStart::Beginning,
                upsert: up,
                remove: vec![],
            };
            store.commit_members(d, Arc::new(e)).await.unwrap();
            store
                .set_heads(vec![(
                    c,
                    Head {
                        position: Position(3),
                        last_message: Some(entry(c, 2)),
                    },
                )])
                .await
                .unwrap();
            store
                .mark(vec![MarkUpdate {
                    conversation: c,
                    user: me.clone(),
                    marks: Marks {
                        delivered: Position(2),
                        seen: Position(2),
                    },
                }])
                .await
                .unwrap();
        }
    }
    let mut v = vec![];
    for _ in 0..20 {
        let t = Instant::now();
        assert_eq!(store.memberships(me.clone()).await.unwrap().len(), 200);
        v.push(t.elapsed().as_secs_f64() * 1e3);
    }
    println!(
        "memberships, 200 conversations (100 groups of 51): {:.2} ms",
        median(v)
    );
    let hs: Vec<_> = (0..100u64)
        .map(|i| {
            let c = conv(101 + 2 * i);
            (
                c,
                Head {
                    position: Position(9),
                    last_message: Some(entry(c, 9)),
                },
            )
        })
        .collect();
    let t = Instant::now();
    store.set_heads(hs).await.unwrap();
    println!("100 heads {:?}", t.elapsed());
    let ms: Vec<_> = (0..100u64)
        .map(|i| MarkUpdate {
            conversation: conv(101 + 2 * i),
            user: me.clone(),
            marks: Marks {
                delivered: Position(9),
                seen: Position(9),
            },
        })
        .collect();
    let t = Instant::now();
    store.mark(ms).await.unwrap();
    println!("100 marks {:?}", t.elapsed());
    let c = conv(9999);
    let up: Vec<_> = (0..10000)
        .map(|k| {
            (
                user(&format!("{k:0>40}")),
                Member {
                    role: Role::Member,
                    since: Epoch(1),
                    visible_from: Position(0),
                },
            )
        })
        .collect();
    let mut e = (*entry(c, 1)).clone();
    e.body = Body::Members {
        base: Epoch(0),
        change: MemberChange::Rename { title: "t".into() },
    };
    let t = Instant::now();
    store
        .commit_members(
            MembersDelta {
                conversation: c,
                base: Epoch(0),
                epoch: Epoch(1),
                title: "t".into(),
                history: HistoryStart::Beginning,
                upsert: up,
                remove: vec![],
            },
            Arc::new(e.clone()),
        )
        .await
        .unwrap();
    println!("make 10,000 members {:?}", t.elapsed());
    let t = Instant::now();
    store
        .commit_members(
            MembersDelta {
                conversation: c,
                base: Epoch(1),
                epoch: Epoch(2),
                title: "t".into(),
                history: HistoryStart::Beginning,
                upsert: vec![(
                    user("x"),
                    Member {
                        role: Role::Member,
                        since: Epoch(2),
                        visible_from: Position(0),
                    },
                )],
                remove: vec![],
            },
            Arc::new(e),
        )
        .await
        .unwrap();
    println!("change among 10,000 {:?}", t.elapsed());
    let t = Instant::now();
    store.members(c).await.unwrap();
    println!("read 10,000 members {:?}", t.elapsed());
    let t = Instant::now();
    store
        .memberships(user(&format!("{:0>40}", 7)))
        .await
        .unwrap();
    println!("memberships of one of 10,000 {:?}", t.elapsed());
    let t = Instant::now();
    store
        .mark(
            (0..200)
                .map(|k| MarkUpdate {
                    conversation: c,
                    user: user(&format!("{k:0>40}")),
                    marks: Marks {
                        delivered: Position(9),
                        seen: Position(9),
                    },
                })
                .collect(),
        )
        .await
        .unwrap();
    println!("200 marks in 10,000 {:?}", t.elapsed());
    let t = Instant::now();
    for i in 0..50 {
        store
            .blocked_between(user("q"), user(&format!("{i}")))
            .await
            .unwrap();
    }
    println!("blocked_between {:?}", t.elapsed() / 50);
    db.drop().await.unwrap();
}
trait C {
    async fn with_type_collect(self) -> Vec<Document>;
}
impl C for mongodb::Cursor<Document> {
    async fn with_type_collect(self) -> Vec<Document> {
        futures::TryStreamExt::try_collect(self).await.unwrap()
    }
}
