//! `darda-server`: reads its settings, wires the parts, serves, and drains when it is told to stop.

mod healthcheck;
mod ports;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use darda_core::model::NodeId;
use darda_core::{Chat, Encoder, Options, Roles};
use darda_server::settings::{self, LogFormat, Settings};
use darda_server::{DevAuthenticator, MetricsSource, RouterOptions, ServeOptions, observe};
use healthcheck::Question;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpSocket;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing_subscriber::EnvFilter;

/// Connections that the system holds until they are accepted.
const BACKLOG: u32 = 4096;
/// How often the metrics' histograms are kept small.
const UPKEEP: Duration = Duration::from_secs(5);
/// Buckets of times and of batches.
const SECONDS: [f64; 9] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
const ENTRIES: [f64; 7] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0];
/// How long connections may take to end after the drain.
const LAST_GOODBYES: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("--help" | "-h") => return say(&settings::help()),
        Some("--version" | "-V") => {
            return say(concat!("darda-server ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        Some("healthcheck") => return healthcheck(),
        Some(other) => {
            return fail(&format!(
                "{other:?} is not an argument; --help lists the settings"
            ));
        }
    }
    let settings = match Settings::from_environment() {
        Ok(settings) => settings,
        Err(error) => return fail(&error.to_string()),
    };
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

/// Is the server that has the same environment, or the one that a URL names, well?
fn healthcheck() -> ExitCode {
    let question = match std::env::args().nth(2) {
        Some(url) => Question::parse(&url),
        None => settings::listen_address()
            .map(Question::to_own)
            .map_err(|error| error.to_string()),
    };
    match question.and_then(|question| question.ask()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn say(text: &str) -> ExitCode {
    let mut stdout = std::io::stdout();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(message: &str) -> ExitCode {
    // If even that fails there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "darda-server: {message}");
    ExitCode::FAILURE
}

fn run(settings: Settings) -> Result<(), Box<dyn Error>> {
    log(&settings)?;
    raise_file_limit();
    // Before the chat: it looks its metrics up when it starts.
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_batch_entries".to_owned()), &ENTRIES)?
        .install_recorder()?;
    describe();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(settings, metrics))
}

fn log(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_new(&settings.log)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

/// Each connection is a file to the system, and its usual limit is low.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn describe() {
    for (name, meaning) in darda_core::observe::ALL.iter().chain(observe::ALL) {
        if name.ends_with("_total") {
            metrics::describe_counter!(*name, *meaning);
        } else {
            metrics::describe_gauge!(*name, *meaning);
        }
    }
}

async fn serve(settings: Settings, metrics: PrometheusHandle) -> Result<(), Box<dyn Error>> {
    let listener = listen(&settings)?;
    let address = listener.local_addr()?;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let ports = ports::open(&settings.back_ends, &settings.resilience).await?;
    let chat = Chat::start(ports.resilient(&settings.resilience), options(&settings));
    ports::await_servers(&chat, settings.startup_wait).await;

    let render = metrics.clone();
    let router_options = RouterOptions::default()
        .with_allowed_origins(settings.allowed_origins.clone())
        .with_heartbeat(settings.heartbeat)
        .with_metrics(MetricsSource::new(move || render.render()))
        .with_tasks(tasks.clone());
    let router_options = if settings.rate_limits {
        router_options
    } else {
        router_options.without_http_rate_limit()
    };
    let router = if settings.role == Roles::Writer {
        darda_server::operations(chat.clone(), router_options)
    } else {
        let authenticator = Arc::new(DevAuthenticator::new());
        darda_server::router(chat.clone(), authenticator, router_options)
    };
    let serve_options = ServeOptions::default()
        .with_max_sockets(settings.max_sockets)
        .with_header_timeout(settings.header_timeout);
    let server = darda_server::serve(listener, router, serve_options, tasks.clone(), stop.clone());
    let mut server = tokio::spawn(server);
    tasks.spawn(keep_up(metrics, stop.clone()));

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    writeln!(std::io::stdout(), "listening on http://{address}")?;
    std::io::stdout().flush()?;
    tracing::info!(%address, node = %chat.node(), role = ?settings.role, "started");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = &mut server => return Ok(ended?),
    }

    tracing::info!(sessions = chat.session_count(), grace = ?settings.drain, "draining");
    tokio::select! {
        () = chat.drain(settings.drain) => {}
        _ = terminate.recv() => tracing::warn!("told again: stopping at once"),
        _ = interrupt.recv() => tracing::warn!("told again: stopping at once"),
    }
    stop.cancel();
    server.await?;
    tasks.close();
    if tokio::time::timeout(LAST_GOODBYES, tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(left = tasks.len(), "connections did not end in time");
    }
    chat.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

fn listen(settings: &Settings) -> Result<tokio::net::TcpListener, Box<dyn Error>> {
    let bind = || {
        let socket = if settings.listen.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(settings.listen)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|error| format!("cannot listen on {}: {error}", settings.listen).into())
}

fn options(settings: &Settings) -> Options {
    let options = Options::default()
        .with_roles(settings.role)
        .with_request_timeout(settings.request_timeout())
        .with_session_queue(settings.session_queue)
        .with_receipt_window(settings.receipt_window)
        .with_writer_window(settings.writer_window)
        .with_encoder(Encoder::new(darda_server::wire::encode_event));
    let options = match &settings.node {
        Some(name) => options.with_node(NodeId::new(name)),
        None => options,
    };
    if settings.rate_limits {
        options
    } else {
        options.without_rate_limits()
    }
}

async fn keep_up(metrics: PrometheusHandle, stop: CancellationToken) {
    let mut every = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => metrics.run_upkeep(),
        }
    }
}
