//! Runs a plan: clients and faults by its times, then quiet, then a last look at everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use darda_core::model::limits::MAX_PAGE;
use darda_core::ports::{Range, Store};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::acts::Cast;
use crate::device::Device;
use crate::history::{History, Log, Record, Reply, Request, Shown, What};
use crate::panics::Watch;
use crate::plan::{Plan, QUIET_MS};
use crate::recorder::Recorder;
use crate::world::World;

/// No call may take longer, in simulated time: a send waits for its append and then for the broker,
/// each within the engine's request timeout of 5 s.
const PATIENCE: Duration = Duration::from_secs(11);
/// At the end, clients may take so long to catch up.
const SETTLE: Duration = Duration::from_secs(120);
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
const READ_ATTEMPTS: usize = 20;

/// Runs a plan in a world and a time of its own. The same plan gives the same history.
///
/// # Errors
/// When no runtime can be made.
pub fn run(plan: &Plan) -> std::io::Result<History> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let watch = Watch::begin();
    let mut history = runtime.block_on(Box::pin(live(plan)));
    // What tasks do when they are dropped counts too.
    drop(runtime);
    let at = history.records.last().map_or(0, |record| record.at);
    let panics = watch.end().into_iter();
    let panics = panics.map(|message| Record {
        at,
        what: What::Panicked { message },
    });
    history.records.extend(panics);
    Ok(history)
}

async fn live(plan: &Plan) -> History {
    let recorder = Recorder::new();
    let world = World::new(plan, &recorder);
    let cast = Arc::new(Cast::of(plan));
    let devices: Vec<_> = (0..)
        .zip(&plan.devices)
        .map(|(no, user)| {
            let user = cast.users[*user].clone();
            Device::new(no, user, plan.seed, recorder.clone(), world.clone())
        })
        .collect();
    let clients: Vec<_> = devices.iter().map(Device::start).collect();
    let mut beside = JoinSet::new();
    beside.spawn(break_parts(plan.clone(), world.clone(), recorder.start()));
    beside.spawn(measure(world.clone(), recorder.clone()));
    for step in &plan.steps {
        sleep_until(recorder.start() + Duration::from_millis(step.at_ms)).await;
        devices[step.device].act(&cast, plan, &step.act);
    }
    sleep_until(recorder.start() + Duration::from_millis(plan.active_ms)).await;
    world.heal();
    let healed = Instant::now();
    // A session that was made while a part was away may have been told only later that it lives.
    sleep(Duration::from_millis(QUIET_MS)).await;
    devices.iter().for_each(|device| device.note_rest(healed));
    settle(&recorder, &devices).await;
    let mut history = History {
        conditions: world.conditions(),
        ..History::default()
    };
    history.conditions.patience_us = u64::try_from(PATIENCE.as_micros()).unwrap_or(u64::MAX);
    history.outcome.logs = logs(&world, &cast).await;
    history.outcome.views = devices.iter().flat_map(|device| device.shown()).collect();
    history.outcome.reads = reads(&devices, &cast, &history.outcome.logs).await;
    world.measure(&recorder);
    world.measure_rest(&recorder).await;
    clients.iter().for_each(tokio::task::JoinHandle::abort);
    beside.abort_all();
    history.records = recorder.take();
    history
}

async fn break_parts(plan: Plan, world: Arc<World>, start: Instant) {
    let mut times: BTreeMap<(u64, usize), bool> = BTreeMap::new();
    for (number, fault) in plan.faults.iter().enumerate() {
        times.insert((fault.at_ms, number * 2), true);
        times.insert((fault.at_ms + fault.for_ms, number * 2 + 1), false);
    }
    for ((at_ms, number), begins) in times {
        if at_ms >= plan.active_ms {
            return;
        }
        sleep_until(start + Duration::from_millis(at_ms)).await;
        let fault = &plan.faults[number / 2];
        if begins {
            world.begin(number / 2, &fault.breakage);
        } else {
            world.end(number / 2, &fault.breakage);
        }
    }
}

async fn measure(world: Arc<World>, recorder: Recorder) {
    loop {
        sleep(SAMPLE_EVERY).await;
        world.measure(&recorder);
    }
}

/// Everybody connects again and catches up. Who cannot within the time has a call that never ends.
async fn settle(recorder: &Recorder, devices: &[Arc<Device>]) {
    for device in devices {
        device.leave();
        device.want(true);
    }
    let deadline = Instant::now() + SETTLE;
    // At least once around: the old sessions are to end first.
    sleep(Duration::from_secs(5)).await;
    while !devices.iter().all(|device| device.is_settled()) && Instant::now() < deadline {
        sleep(Duration::from_secs(1)).await;
    }
    for device in devices.iter().filter(|device| !device.is_settled()) {
        let session = device.last_session();
        let call = u32::MAX - device.no;
        let request = Request::Other {
            what: device.unsettled(),
        };
        recorder.note(What::Asked {
            call,
            session,
            request,
        });
        recorder.note(What::Answered {
            call,
            reply: Reply::Hung,
        });
    }
}

async fn logs(world: &World, cast: &Cast) -> Vec<Log> {
    let store = &world.memory.store;
    let mut logs = Vec::new();
    for conversation in &cast.talks {
        let mut entries = Vec::new();
        let mut range = Range::OLDEST;
        while let Ok(page) = store.page(*conversation, range, MAX_PAGE).await {
            let Some(last) = page.last() else { break };
            range = Range::After(last.position);
            entries.extend(page.iter().map(|entry| (**entry).clone()));
        }
        let members = store.members(*conversation).await.ok().flatten();
        let marks = store.marks(*conversation).await.unwrap_or_default();
        logs.push(Log {
            conversation: *conversation,
            entries,
            members,
            marks,
        });
    }
    logs
}

/// Every member reads every conversation from its beginning.
async fn reads(devices: &[Arc<Device>], cast: &Cast, logs: &[Log]) -> Vec<Shown> {
    let mut reads = Vec::new();
    for device in devices {
        let first = devices.iter().find(|other| other.user == device.user);
        if first.is_some_and(|first| first.no != device.no) {
            continue;
        }
        for (conversation, log) in cast.talks.iter().zip(logs) {
            if log.visible_to(&device.user).next().is_none() {
                continue;
            }
            let mut entries = Vec::new();
            for _ in 0..READ_ATTEMPTS {
                if let Ok(Some(read)) = device.read_all(*conversation).await {
                    entries = read
                        .iter()
                        .map(|entry| (entry.position, entry.id))
                        .collect();
                    break;
                }
                sleep(Duration::from_secs(1)).await;
            }
            reads.push(Shown {
                user: device.user.clone(),
                device: device.no,
                conversation: *conversation,
                entries,
            });
        }
    }
    reads
}
