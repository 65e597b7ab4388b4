// One socket, from its opening to its end: frames, the reply to each command, and the heartbeat that
// finds a dead peer. It never comes back; `Connection` makes the next one.

import { CommandError, LineLost } from './errors.js';

const SUBPROTOCOL = 'darda.v1';
const HELLO_WITHIN_MS = 10_000;
/** A reply that takes longer counts as lost; what was asked may have been done. */
const REPLY_WITHIN_MS = 10_000;
/** Commands that wait for a reply. More are refused, so that a stuck server fills no memory. */
const MAX_PENDING = 1000;
const LATE = { code: 'unavailable', message: 'no reply came in time', retry_after_ms: 100 };

export class Wire {
  #socket;
  #on;
  #pending = new Map();
  #nextId = 1;
  #timer;
  #heard = true;
  #ended = false;

  /** `on` has `hello(frame)`, `event(frame)` and `end(code)`; `end` comes exactly once. */
  constructor(url, on, Socket = globalThis.WebSocket) {
    this.#on = on;
    this.#socket = new Socket(url, SUBPROTOCOL);
    this.#socket.onmessage = ({ data }) => this.#frame(data);
    this.#socket.onclose = ({ code }) => this.#end(code);
    this.#timer = setTimeout(() => this.abandon(), HELLO_WITHIN_MS);
  }

  /** Sends a command. The promise ends with its reply, `CommandError` or `LineLost`. */
  request(cmd, fields = {}) {
    if (this.#ended) return Promise.reject(new LineLost());
    if (this.#pending.size >= MAX_PENDING) {
      const message = 'too many commands wait for a reply';
      return Promise.reject(new CommandError({ code: 'busy', message, retry_after_ms: 1000 }));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#reply({ id, error: LATE }), REPLY_WITHIN_MS);
      this.#pending.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ id, cmd, ...fields }));
    });
  }

  get idle() {
    return this.#pending.size === 0;
  }

  /** A goodbye. */
  close() {
    this.#socket.close(1000);
    this.#end(1000);
  }

  /** Ends at once: a peer that does not answer would not answer a close frame either. */
  abandon() {
    this.#socket.close();
    this.#end(1006);
  }

  #frame(data) {
    if (this.#ended) return;
    this.#heard = true;
    const frame = JSON.parse(data);
    if (frame.event === 'hello') {
      clearTimeout(this.#timer);
      this.#timer = setInterval(() => this.#beat(), frame.heartbeat_ms ?? 20_000);
      this.#on.hello(frame);
    } else if (frame.event !== undefined) {
      this.#on.event(frame);
    } else {
      this.#reply(frame);
    }
  }

  #reply({ id, ok, error }) {
    const waiting = this.#pending.get(id);
    if (!waiting) return;
    this.#pending.delete(id);
    clearTimeout(waiting.timer);
    if (error) waiting.reject(new CommandError(error));
    else waiting.resolve(ok);
  }

  /** Nothing since the last beat, although that one asked for a reply: the peer is dead. */
  #beat() {
    if (!this.#heard) {
      this.abandon();
      return;
    }
    this.#heard = false;
    this.request('ping').catch(() => {});
  }

  #end(code) {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    clearInterval(this.#timer);
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(new LineLost());
    }
    this.#pending.clear();
    this.#on.end(code);
  }
}
