// One user's line to the server: a socket that comes back by itself and moves before its node stops.

import { after, backoff, pause } from './backoff.js';
import { LineLost, Stopped } from './errors.js';
import { Wire } from './wire.js';

const UNAUTHENTICATED = 4401;
const FLOODING = 4429;
const MOVE_AFTER_MS = 100;
/** How long the last replies may take on a socket that has been moved away from. */
const RETIRE_WITHIN_MS = 5000;

/**
 * States: `connecting` until the first hello, then `online` and `offline` in turn; `refused` when
 * the server lets this user not in, and `stopped` after `stop()`.
 */
export class Connection {
  state = 'connecting';
  hello = null;

  #url;
  #on;
  #Socket;
  #random;
  #current = null;
  #next = null;
  #failures = 0;
  #timer;
  #waiters = [];

  /**
   * `on` has `online(hello)`, called for each new socket: events before it may be lost, so resume;
   * `event(frame)`; `state(name)`.
   */
  constructor(url, on, { Socket = globalThis.WebSocket, random = Math.random } = {}) {
    this.#url = url;
    this.#on = on;
    this.#Socket = Socket;
    this.#random = random;
  }

  start() {
    this.#open();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#become('stopped');
    this.#next?.close();
    this.#current?.close();
    this.#settle((waiter) => waiter.reject(new Stopped()));
  }

  /** Tries now instead of when the wait is over: the network is back, or the user looks. */
  hurry() {
    if (this.state !== 'offline' || this.#next) return;
    clearTimeout(this.#timer);
    this.#open();
  }

  /** Sends a command on the socket there is. Its caller meets `CommandError` and `LineLost`. */
  request(cmd, fields) {
    return this.#current?.request(cmd, fields) ?? Promise.reject(this.#gone());
  }

  /** Sends a command that may be repeated, until it succeeds or fails for good. */
  async ask(cmd, fields, { attempts = 8 } = {}) {
    for (let attempt = 1; ; attempt += 1) {
      await this.#whenOnline();
      try {
        return await this.request(cmd, fields);
      } catch (error) {
        if (!error.transient || attempt >= attempts) throw error;
        await pause(after(error.retryAfterMs, { random: this.#random }));
      }
    }
  }

  #gone() {
    return this.state === 'stopped' || this.state === 'refused' ? new Stopped() : new LineLost();
  }

  #whenOnline() {
    if (this.#current) return Promise.resolve();
    const gone = this.#gone();
    if (!gone.transient) return Promise.reject(gone);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
  }

  #settle(how) {
    const waiters = this.#waiters;
    this.#waiters = [];
    waiters.forEach(how);
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.#on.state(state);
  }

  #open() {
    const wire = new Wire(
      this.#url,
      {
        hello: (frame) => this.#arrived(wire, frame),
        event: (frame) => this.#event(wire, frame),
        end: (code) => this.#ended(wire, code),
      },
      this.#Socket,
    );
    this.#next = wire;
  }

  #arrived(wire, frame) {
    const old = this.#current;
    this.#next = null;
    this.#current = wire;
    this.#failures = 0;
    this.hello = frame;
    this.#become('online');
    this.#on.online(frame);
    this.#settle((waiter) => waiter.resolve());
    if (old) this.#retire(old, Date.now() + RETIRE_WITHIN_MS);
  }

  /** The old socket stays for the replies that are still on their way. */
  #retire(wire, until) {
    if (wire.idle || Date.now() >= until) wire.close();
    else setTimeout(() => this.#retire(wire, until), 50);
  }

  #event(wire, frame) {
    if (frame.event !== 'draining') {
      this.#on.event(frame);
    } else if (wire === this.#current) {
      // Spread over the first half of the time, so that a second try fits in; never at once, or a
      // server that drains and yet takes us in would see us come and go without a pause.
      clearTimeout(this.#timer);
      const wait = Math.max(MOVE_AFTER_MS, (this.#random() * (frame.reconnect_within_ms ?? 0)) / 2);
      this.#timer = setTimeout(() => {
        if (wire === this.#current && !this.#next) this.#open();
      }, wait);
    }
  }

  #ended(wire, code) {
    if (wire === this.#current) this.#current = null;
    else if (wire === this.#next) this.#next = null;
    else return;
    if (this.state === 'stopped') return;
    if (code === UNAUTHENTICATED) {
      this.#become('refused');
      this.#settle((waiter) => waiter.reject(new Stopped()));
      return;
    }
    if (this.#current === null) this.#become('offline');
    if (this.#next) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (!this.#next && this.state !== 'stopped') this.#open();
    }, this.#wait(code));
    this.#failures += 1;
  }

  #wait(code) {
    const base = code === FLOODING ? 5000 : 400;
    return backoff(this.#failures, { base, random: this.#random });
  }
}
