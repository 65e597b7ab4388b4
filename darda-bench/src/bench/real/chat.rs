//! The mix of a real chat on two gateways: `darda load` plays it and finds the highest rate at which
//! messages are still with their last member in time; here the nodes are started and the answer is put
//! beside the other figures.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Result;
use crate::bench::Size;
use crate::process::{Kind, binary};
use crate::real::{BackEnds, System};
use crate::report::{Goal, Table, say};

/// Where `darda-backends` says which processes broker, cache and store are.
const PROCESSES: &str = "DARDA_TEST_PIDS";

/// How many talk, and how their limit is found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chat {
    pub(crate) sessions: usize,
    /// Messages a second, of all together: the first that is tried, or the only one.
    pub(crate) rate: u32,
    /// Seconds of one rate, after so many to warm up.
    pub(crate) seconds: u32,
    pub(crate) warm_up: u32,
    pub(crate) search: Option<Search>,
}

/// The highest rate is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search {
    /// Milliseconds in which 99 of 100 messages have to be with their last member.
    pub(crate) within: u32,
    /// How long it may take.
    pub(crate) minutes: u32,
}

pub(crate) fn run(size: &Size) -> Result<()> {
    if !size.kinds.contains(&Kind::Darda) {
        return Ok(());
    }
    let Some(back_ends) = BackEnds::find("real-chat")? else {
        return Ok(());
    };
    let system = System::start(&back_ends, 2)?;
    let answer = load(&system, size.chat)?;
    system.await_written()?;
    print(size.chat, &answer)
}

/// What the generator found.
fn load(system: &System, chat: Chat) -> Result<Value> {
    let file = std::env::temp_dir().join(format!("darda-{}.json", system.namespace()));
    let mut command = Command::new(binary("darda", "DARDA")?);
    command.args(arguments(chat)).arg("--json").arg(&file);
    for address in system.addresses() {
        command.arg("--server").arg(format!("ws://{address}"));
    }
    for part in parts(system) {
        command.arg("--pid").arg(part);
    }
    let status = command.stdin(Stdio::null()).status()?;
    let answer = std::fs::read(&file);
    // It may not be there; and one that stays does no harm.
    let _ = std::fs::remove_file(&file);
    if !status.success() {
        return Err(format!("darda load ended with {status}").into());
    }
    Ok(serde_json::from_slice(&answer?)?)
}

fn arguments(chat: Chat) -> Vec<String> {
    let mut arguments: Vec<_> = ["load", "--mix", "chat"].map(str::to_owned).into();
    let mut set = |name: &str, value: u32| arguments.extend([name.to_owned(), value.to_string()]);
    set("--rate", chat.rate);
    set("--seconds", chat.seconds);
    set("--warm-up", chat.warm_up);
    if let Some(Search { within, minutes }) = chat.search {
        set("--within", within);
        set("--find-minutes", minutes);
    }
    arguments.extend(["--sessions".to_owned(), chat.sessions.to_string()]);
    // One rate that any machine holds must lose nothing. A search loses something beyond the limit.
    let mode = if chat.search.is_some() {
        "--find-rate"
    } else {
        "--strict"
    };
    arguments.push(mode.to_owned());
    arguments
}

/// Whose CPU time is measured.
fn parts(system: &System) -> Vec<String> {
    let ids: Vec<_> = system
        .gateways
        .iter()
        .map(|it| it.id().to_string())
        .collect();
    let gateways = format!("gateways={}", ids.join(","));
    let writer = format!("writer={}", system.writer.id());
    let mut parts = vec![gateways, writer];
    match std::env::var(PROCESSES) {
        Ok(processes) => parts.extend(processes.split_ascii_whitespace().map(str::to_owned)),
        Err(_) => say(&format!(
            "\n{PROCESSES} is not set: broker, cache and store are not measured"
        )),
    }
    parts
}

fn print(chat: Chat, answer: &Value) -> Result<()> {
    let best = match chat.search {
        Some(_) => &answer["best"],
        None => answer,
    };
    let columns = [
        "",
        "messages/s",
        "deliveries/s",
        "p99 ms to the last member",
        "goal",
    ];
    let title = format!(
        "real servers: the mix of a chat, {} sessions",
        chat.sessions
    );
    let mut table = Table::new(title, &columns);
    if best.is_null() {
        table.row(["highest rate".into(), "none held".into()]);
        table.print();
        return Ok(());
    }
    let p99 = number(best, "/ms/with the last member/p99")?;
    table.row([
        if chat.search.is_some() {
            "highest rate"
        } else {
            "one rate"
        }
        .into(),
        format!("{:.0}", number(best, "/rate")?),
        format!("{:.0}", number(best, "/deliveries_per_s")?),
        format!("{p99:.0}"),
        chat.search.map_or_else(String::new, |search| {
            Goal::AtMost(search.within.into()).judge(p99, 0)
        }),
    ]);
    // What failed above it, where that says how far the answer is to be believed.
    if let Some(why) = answer["above"].as_str() {
        table.row(["above it".into(), why.into()]);
    }
    table.print();

    let columns = ["", "CPU µs/delivery", "cores", "MiB at most"];
    let mut table = Table::new("real servers: the chat's cost by part", &columns);
    for part in best["parts"].as_array().into_iter().flatten() {
        table.row([
            part["name"].as_str().unwrap_or_default().into(),
            format!("{:.1}", number(part, "/us_per_delivery")?),
            format!("{:.2}", number(part, "/cores")?),
            format!("{:.0}", number(part, "/mib_at_most")?),
        ]);
    }
    table.print();
    Ok(())
}

fn number(value: &Value, at: &str) -> Result<f64> {
    let found = value.pointer(at).and_then(Value::as_f64);
    found.ok_or_else(|| format!("darda load did not say {at}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: Chat = Chat {
        sessions: 60,
        rate: 20,
        seconds: 1,
        warm_up: 1,
        search: None,
    };

    #[test]
    fn one_rate_is_strict_and_a_search_is_not() {
        let has = |chat, flag: &str| arguments(chat).iter().any(|argument| argument == flag);
        assert!(has(CHAT, "--strict") && !has(CHAT, "--find-rate") && !has(CHAT, "--within"));
        let search = Some(Search {
            within: 200,
            minutes: 10,
        });
        let chat = Chat { search, ..CHAT };
        assert!(has(chat, "--find-rate") && has(chat, "--within") && !has(chat, "--strict"));
    }

    #[test]
    fn an_answer_without_a_figure_is_an_error_that_names_it() {
        let error = print(CHAT, &serde_json::json!({"rate": 20})).unwrap_err();
        assert!(error.to_string().contains("p99"), "{error}");
    }
}
