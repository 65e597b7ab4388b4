//! What goes wrong, at which port, and when it was said.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::draw::Draw;
use crate::error::{Error, Result};

/// Which port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// The [`Broker`](crate::ports::Broker).
    Broker,
    /// The [`Store`](crate::ports::Store).
    Store,
    /// The [`Cache`](crate::ports::Cache).
    Cache,
    /// The [`SessionRegistry`](crate::ports::SessionRegistry).
    Registry,
}

/// What goes wrong at a port. Chances lie between 0 (never, the default) and 1 (always).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trouble {
    fails_before: f64,
    fails_after: f64,
    fails_midway: f64,
    delay: Option<RangeInclusive<Duration>>,
    delay_each: Duration,
    hangs: bool,
    pub(super) cuts: f64,
    pub(super) drops_events: f64,
    pub(super) repeats: f64,
    pub(super) shuffles: f64,
    pub(super) holds_back: Option<(f64, Duration)>,
}

impl Trouble {
    /// Nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Calls fail as unavailable and take no effect.
    #[must_use]
    pub fn with_failures_before(mut self, chance: f64) -> Self {
        self.fails_before = chance;
        self
    }

    /// Calls fail as unavailable although they took effect.
    #[must_use]
    pub fn with_failures_after(mut self, chance: f64) -> Self {
        self.fails_after = chance;
        self
    }

    /// Calls with a batch to enqueue, publish, insert or settle fail as unavailable after a part of
    /// the batch took effect.
    #[must_use]
    pub fn with_failures_midway(mut self, chance: f64) -> Self {
        self.fails_midway = chance;
        self
    }

    /// Every call takes so long before its effect, and once more after it. Each time is drawn from
    /// the range.
    #[must_use]
    pub fn with_delay(mut self, range: RangeInclusive<Duration>) -> Self {
        self.delay = Some(range);
        self
    }

    /// Calls with a batch to enqueue, publish, insert or settle take so long for each element before
    /// their effect: a large batch takes longer than a small one.
    #[must_use]
    pub fn with_delay_each(mut self, each: Duration) -> Self {
        self.delay_each = each;
        self
    }

    /// Calls and streams hang until the trouble is over. A call that is dropped meanwhile takes no
    /// effect.
    #[must_use]
    pub fn with_hanging(mut self) -> Self {
        self.hangs = true;
        self
    }

    /// The broker's streams end with an error instead of their next batch.
    #[must_use]
    pub fn with_cuts(mut self, chance: f64) -> Self {
        self.cuts = chance;
        self
    }

    /// Live events are lost, each by itself.
    #[must_use]
    pub fn with_lost_events(mut self, chance: f64) -> Self {
        self.drops_events = chance;
        self
    }

    /// Live events and deliveries come twice, each by itself.
    #[must_use]
    pub fn with_repeats(mut self, chance: f64) -> Self {
        self.repeats = chance;
        self
    }

    /// Batches of live events are shuffled.
    #[must_use]
    pub fn with_shuffling(mut self, chance: f64) -> Self {
        self.shuffles = chance;
        self
    }

    /// Live events are held back, each by itself and for up to this long, so that later ones
    /// overtake them.
    #[must_use]
    pub fn with_events_held_back(mut self, chance: f64, up_to: Duration) -> Self {
        self.holds_back = Some((chance, up_to));
        self
    }
}

/// The switchboard of the fault wrappers. Clones switch the same.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    draw: Draw,
    troubles: BTreeMap<Port, Trouble>,
    injected: u64,
}

impl Faults {
    /// A switchboard on which nothing goes wrong yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State {
            draw: Draw::new(seed),
            troubles: BTreeMap::new(),
            injected: 0,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Notify::new(),
        }))
    }

    /// From now on, this goes wrong at the port, and nothing else.
    pub fn set(&self, port: Port, trouble: Trouble) {
        self.0.state.lock().troubles.insert(port, trouble);
        self.0.changed.notify_waiters();
    }

    /// From now on, nothing goes wrong at the port. What hangs goes on.
    pub fn heal(&self, port: Port) {
        self.set(port, Trouble::none());
    }

    /// From now on, nothing goes wrong at any port.
    pub fn heal_all(&self) {
        self.0.state.lock().troubles.clear();
        self.0.changed.notify_waiters();
    }

    /// How often something went wrong so far. Delays do not count.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.0.state.lock().injected
    }

    /// Asks what a port's trouble brings, and counts it if it brings something.
    pub(super) fn strikes(&self, port: Port, chance: impl FnOnce(&Trouble) -> f64) -> bool {
        let mut state = self.0.state.lock();
        let chance = state.troubles.get(&port).map_or(0.0, chance);
        let strikes = state.draw.happens(chance);
        state.injected += u64::from(strikes);
        strikes
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        self.0.state.lock().draw.below(bound)
    }

    /// For how long a live event is held back, if it is.
    pub(super) fn holds_back(&self, port: Port) -> Option<Duration> {
        let (_, up_to) = self.0.state.lock().troubles.get(&port)?.holds_back?;
        let chance = |trouble: &Trouble| trouble.holds_back.map_or(0.0, |(chance, _)| chance);
        self.strikes(port, chance).then(|| self.up_to(up_to))
    }

    fn up_to(&self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.below(micros.saturating_add(1)))
    }

    /// A call with its delays and failures around it.
    pub(super) async fn around<T>(
        &self,
        port: Port,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.before(port).await?;
        let answer = call.await?;
        self.delay(port).await;
        if self.strikes(port, |trouble| trouble.fails_after) {
            return Err(Error::unavailable("a fault after the call took effect"));
        }
        Ok(answer)
    }

    /// A call with a batch, which may be cut short; it counts then as failed.
    pub(super) async fn around_batch<I, T, F>(
        &self,
        port: Port,
        mut batch: Vec<I>,
        call: impl FnOnce(Vec<I>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let each = {
            let state = self.0.state.lock();
            state
                .troubles
                .get(&port)
                .map_or(Duration::ZERO, |it| it.delay_each)
        };
        if !each.is_zero() {
            sleep(each * u32::try_from(batch.len()).unwrap_or(u32::MAX)).await;
        }
        if batch.is_empty() || !self.strikes(port, |trouble| trouble.fails_midway) {
            return self.around(port, call(batch)).await;
        }
        self.before(port).await?;
        batch.truncate(usize::try_from(self.below(batch.len() as u64)).unwrap_or(0));
        call(batch).await?;
        self.delay(port).await;
        Err(Error::unavailable(
            "a fault after a part of the call took effect",
        ))
    }

    async fn before(&self, port: Port) -> Result<()> {
        self.delay(port).await;
        self.hang(port).await;
        if self.strikes(port, |trouble| trouble.fails_before) {
            return Err(Error::unavailable("a fault before the call took effect"));
        }
        Ok(())
    }

    async fn delay(&self, port: Port) {
        let range = self
            .0
            .state
            .lock()
            .troubles
            .get(&port)
            .and_then(|it| it.delay.clone());
        if let Some(range) = range {
            let more = self.up_to(range.end().saturating_sub(*range.start()));
            sleep(*range.start() + more).await;
        }
    }

    /// Waits for as long as the port hangs.
    pub(super) async fn hang(&self, port: Port) {
        let mut counted = false;
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            // Waits from before the look on, so that no change is missed.
            changed.as_mut().enable();
            {
                let mut state = self.0.state.lock();
                if !state
                    .troubles
                    .get(&port)
                    .is_some_and(|trouble| trouble.hangs)
                {
                    return;
                }
                state.injected += u64::from(!std::mem::replace(&mut counted, true));
            }
            changed.await;
        }
    }
}
