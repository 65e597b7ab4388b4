//! A page of history in a long log against the same in a short one, through a gateway and from the
//! store itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use darda_core::model::{ClientId, ConversationId, Entry, EntryId, Epoch, Position, UserId};
use darda_core::ports::{Inserted, Range, Store};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use crate::bench::Size;
use crate::client::Client;
use crate::process::Kind;
use crate::real::{self, BackEnds, System};
use crate::report::{Goal, Rounds, Table, say};
use crate::{Result, darda, stamp};

const SHORT: u64 = 1_000;
const PAGE: usize = 50;
/// Entries of one insert, and inserts side by side.
const BATCH: u64 = 1_000;
const INSERTS: usize = 2;
/// Where a log's first entry stands: long before anything that is sent now.
const FIRST: u64 = 1_600_000_000_000_000;
/// Between two entries.
const STEP: u64 = 1_000;

pub(crate) fn run(size: &Size) -> Result<()> {
    if !size.kinds.contains(&Kind::Darda) {
        return Ok(());
    }
    let Some(back_ends) = BackEnds::find("real-history")? else {
        return Ok(());
    };
    let system = System::start(&back_ends, 1)?;
    let runtime = real::runtime()?;
    let store = runtime.block_on(real::store(&back_ends, system.namespace()))?;
    let mut client = Client::new(system.gateways[0].address)?;
    let logs = [("short", SHORT), ("long", size.entries)];
    let [short, long] = logs.map(|(peer, entries)| Log::open(&mut client, peer, entries));
    let logs = [short?, long?];
    system.await_written()?;
    let start = Instant::now();
    for log in &logs {
        runtime.block_on(log.fill(&store, size.text))?;
    }
    say(&format!(
        "\n{SHORT} and {} entries were stored in {:.0} s",
        size.entries,
        start.elapsed().as_secs_f64()
    ));

    let title = format!(
        "real servers: a page of {PAGE}, ms, median of {}",
        size.pages
    );
    let long = format!("in {}", size.entries);
    let columns = ["", "", "in 1000", long.as_str(), "ratio", "goal"];
    let mut table = Table::new(title, &columns);
    for way in [Way::Gateway, Way::Store] {
        for place in [Place::Newest, Place::Oldest, Place::Middle] {
            let mut figures: [Rounds; 2] = Default::default();
            for _ in 0..size.rounds {
                let mut times: [Rounds; 2] = Default::default();
                for page in 0..size.pages {
                    for (log, times) in logs.iter().zip(&mut times) {
                        let range = place.range(log, page, size.pages);
                        let start = Instant::now();
                        let count = match way {
                            Way::Gateway => log.ask(&mut client, range)?,
                            Way::Store => {
                                let page = store.page(log.conversation, range, PAGE);
                                runtime.block_on(page)?.len()
                            }
                        };
                        let time = start.elapsed();
                        if count != PAGE {
                            return Err(format!("a page of {count} where there are more").into());
                        }
                        times.push(milliseconds(time));
                    }
                }
                for (figure, times) in figures.iter_mut().zip(times) {
                    figure.push(times.median());
                }
            }
            let [short, long] = figures;
            let ratio = long.over(&short);
            table.row([
                way.name().into(),
                place.name().into(),
                short.show(2),
                long.show(2),
                ratio.show(2),
                Goal::AtMost(1.2).judge(ratio.median(), 1),
            ]);
        }
    }
    table.print();
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Gateway,
    Store,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Store => "store alone",
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Newest,
    Oldest,
    Middle,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Middle => "middle",
        }
    }

    /// The page's range. Pages in the middle lie all over the middle half, as readers' do.
    fn range(self, log: &Log, page: usize, pages: usize) -> Range {
        match self {
            Self::Newest => Range::NEWEST,
            Self::Oldest => Range::OLDEST,
            Self::Middle => {
                let share = log.entries / 2 * page as u64 / pages as u64;
                Range::Before(position(log.entries / 4 + share + PAGE as u64))
            }
        }
    }
}

/// A conversation of a reader with one peer.
struct Log {
    socket: usize,
    name: String,
    conversation: ConversationId,
    sender: UserId,
    entries: u64,
}

impl Log {
    /// Makes the conversation known, by a message.
    fn open(client: &mut Client, peer: &str, entries: u64) -> Result<Self> {
        let reader = format!("reader of {peer}");
        let path = darda::path(&reader.replace(' ', "%20"));
        let socket = client.connect_all([path], &mut darda::ignore)?.start;
        let open = json!({"cmd": "open_direct", "user": peer});
        let name = darda::id_of(&darda::ask_one(client, socket, open)?)?;
        let send =
            json!({"cmd": "send", "conversation": name, "client_id": "now", "text": "the newest"});
        darda::ask_one(client, socket, send)?;
        let sender = UserId::new(peer)?;
        Ok(Self {
            socket,
            name,
            conversation: ConversationId::direct(&UserId::new(reader)?, &sender),
            sender,
            entries,
        })
    }

    /// Stores the entries before that message.
    async fn fill(&self, store: &dyn Store, text: usize) -> Result<()> {
        stream::iter((0..self.entries).step_by(BATCH as usize))
            .map(|first| async move {
                let numbers = first..(first + BATCH).min(self.entries);
                let entries = numbers.map(|number| self.entry(number, text));
                let inserted = store.insert(entries.collect::<Result<_>>()?).await?;
                if inserted.iter().all(|inserted| *inserted == Inserted::New) {
                    return Ok(());
                }
                Err("the store refuses an entry".into())
            })
            .buffer_unordered(INSERTS)
            .try_collect()
            .await
    }

    fn entry(&self, number: u64, text: usize) -> Result<Arc<Entry>> {
        let client_id = ClientId::new(number.to_string())?;
        let text = String::from_utf8(stamp::text(number, text))?;
        Ok(Arc::new(Entry {
            conversation: self.conversation,
            position: position(number),
            prev: number.checked_sub(1).map(position),
            epoch: Epoch(0),
            id: EntryId::derive(self.conversation, &self.sender, &client_id),
            sender: self.sender.clone(),
            client_id,
            body: darda_core::model::Message::text(text).into(),
            incarnation: FIRST,
            relocated: false,
        }))
    }

    fn ask(&self, client: &mut Client, range: Range) -> Result<usize> {
        let mut command = json!({"cmd": "history", "conversation": self.name, "limit": PAGE});
        match range {
            Range::NEWEST => {}
            Range::Before(position) => command["before"] = position.0.into(),
            Range::After(position) => command["after"] = position.0.into(),
        }
        let page = darda::ask_one(client, self.socket, command)?;
        Ok(page["entries"].as_array().map_or(0, Vec::len))
    }
}

fn position(number: u64) -> Position {
    Position(FIRST + number * STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_in_the_middle_has_enough_before_it_and_lies_within_the_log() {
        let log = Log {
            socket: 0,
            name: String::new(),
            conversation: ConversationId::from_bytes([0; 16]),
            sender: UserId::new("peer").unwrap(),
            entries: SHORT,
        };
        for page in 0..200 {
            let Range::Before(before) = Place::Middle.range(&log, page, 200) else {
                unreachable!("it reads backwards");
            };
            assert!(before >= position(PAGE as u64), "{page}");
            assert!(before < position(SHORT), "{page}");
        }
    }
}
