//! How often a gateway asks for memory to deliver a message, counted by dhat. What the ports in memory
//! ask for is counted too; the clients here ask for none.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a fixture that cannot be made fails its test; the counts are worth reading"
)]

#[path = "support/server.rs"]
mod server;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use darda_core::Roles;
use darda_server::{RouterOptions, ServeOptions};
use server::{Server, options};

#[global_allocator]
static ALLOC: dhat::Alloc = dhat::Alloc;

const MESSAGES: u64 = 500;
/// A direct message's, from its frame to the peer's.
const DIRECT: f64 = 12.0;
/// Of each more member that gets a message: none but where a burst outgrows a queue's own room.
const MEMBER: f64 = 0.2;

/// A client that keeps to one buffer.
struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Raw {
    fn connect(address: SocketAddr, user: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!(
            "GET /v1/ws?id={user} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: darda.v1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut raw = Self {
            stream,
            buffer: vec![0; 64 * 1024],
            start: 0,
            end: 0,
        };
        let head = loop {
            raw.read();
            let read = &raw.buffer[..raw.end];
            if let Some(at) = read.windows(4).position(|it| it == b"\r\n\r\n") {
                break at + 4;
            }
        };
        raw.start = head;
        raw.until(b"{\"event\":\"hello\"");
        raw
    }

    fn read(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let read = self.stream.read(&mut self.buffer[self.end..]).unwrap();
        assert!(read > 0, "the server closed the connection");
        self.end += read;
    }

    /// Where the next frame's text is.
    fn next(&mut self) -> std::ops::Range<usize> {
        loop {
            let come = &self.buffer[self.start..self.end];
            let (head, length) = match *come {
                [_, short @ 0..=125, ..] => (2, usize::from(short)),
                [_, 126, a, b, ..] => (4, usize::from(u16::from_be_bytes([a, b]))),
                _ => (usize::MAX, 0),
            };
            if let Some(from) = head.checked_add(self.start)
                && from + length <= self.end
            {
                self.start = from + length;
                return from..self.start;
            }
            self.read();
        }
    }

    /// Reads on to a frame that begins so, and returns it.
    fn until(&mut self, beginning: &[u8]) -> &[u8] {
        loop {
            let frame = self.next();
            if self.buffer[frame.clone()].starts_with(beginning) {
                return &self.buffer[frame];
            }
        }
    }

    /// Sends a text of 126 to 65,535 bytes, under a mask of zeros.
    fn send(&mut self, frame: &mut Vec<u8>, text: &[u8]) {
        frame.clear();
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        frame.extend_from_slice(&[0x81, 0x80 | 126, length[0], length[1], 0, 0, 0, 0]);
        frame.extend_from_slice(text);
        self.stream.write_all(frame).unwrap();
    }

    fn ask(&mut self, command: &str) -> serde_json::Value {
        self.send(&mut Vec::new(), format!("{command:<200}").as_bytes());
        let reply = self.until(b"{\"id\":");
        let reply: serde_json::Value = serde_json::from_slice(reply).unwrap();
        assert!(reply.get("ok").is_some(), "{reply}");
        reply["ok"].clone()
    }
}

/// Allocations of one message, sent by the first and received by the others.
fn each(clients: &mut [Raw], conversation: &str) -> f64 {
    let (mut frame, mut text) = (Vec::with_capacity(1024), Vec::with_capacity(1024));
    let mut send = |clients: &mut [Raw], number: u64| {
        text.clear();
        write!(
            text,
            r#"{{"id":{number},"cmd":"send","conversation":"{conversation}","client_id":"m{number}","text":"{:a<100}"}}"#,
            ""
        )
        .unwrap();
        let (sender, receivers) = clients.split_first_mut().unwrap();
        sender.send(&mut frame, &text);
        let reply = sender.until(b"{\"id\":");
        assert!(reply.windows(5).any(|it| it == b"\"ok\":"));
        for receiver in receivers {
            receiver.until(b"{\"event\":\"entry\"");
        }
    };
    // What is remembered of a conversation is made by its first messages.
    (0..MESSAGES).for_each(|number| send(clients, number));
    let before = dhat::HeapStats::get().total_blocks;
    (MESSAGES..2 * MESSAGES).for_each(|number| send(clients, number));
    let asked = dhat::HeapStats::get().total_blocks - before;
    asked as f64 / MESSAGES as f64
}

#[test]
fn a_message_and_each_more_member_cost_no_more_allocations_than_allowed() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let options = options().with_roles(Roles::Gateway).without_rate_limits();
    let server = Server::with(options, RouterOptions::default(), ServeOptions::default());
    let server = runtime.block_on(server);
    let connect = |names: &[String]| -> Vec<Raw> {
        let clients = names.iter().map(|user| Raw::connect(server.address, user));
        clients.collect()
    };
    let mut pair = connect(&["alice".to_owned(), "bob".to_owned()]);
    let opened = pair[0].ask(r#"{"id":1,"cmd":"open_direct","user":"bob"}"#);
    let direct = each(&mut pair, opened["conversation"].as_str().unwrap());

    let group = |name: &str, members: usize| {
        let users: Vec<_> = (0..members).map(|at| format!("{name}-{at}")).collect();
        let mut clients = connect(&users);
        let others = serde_json::to_string(&users[1..]).unwrap();
        let made = clients[0].ask(&format!(
            r#"{{"id":1,"cmd":"create_group","client_id":"g","title":"{name}","members":{others}}}"#
        ));
        each(&mut clients, made["conversation"].as_str().unwrap())
    };
    let (few, many) = (group("few", 11), group("many", 91));
    let member = (many - few) / 80.0;
    println!("direct {direct:.1}, group of 11 {few:.1}, of 91 {many:.1}: {member:.2} a member");
    assert!(
        direct <= DIRECT,
        "{direct} allocations for a direct message"
    );
    assert!(
        member <= MEMBER,
        "{member} allocations for each more member"
    );
}
