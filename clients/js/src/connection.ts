// One's own line to the server: a socket that comes back by itself and moves before its node stops.

import { backoff } from './backoff.js';
import type { Random } from './backoff.js';
import { Line } from './line.js';
import type { LineEvents } from './line.js';
import type { Command, Fields, Hello, Reply, ServerEvent } from './protocol.js';
import { Wire } from './wire.js';
import type { SocketConstructor } from './wire.js';

const UNAUTHENTICATED = 4401;
/** After these close codes the first wait is longer: the server is full, or we sent too much. */
const LATER_MS: Record<number, number> = { 1013: 2000, 4429: 5000 };
const FIRST_WAIT_MS = 400;
const MOVE_AFTER_MS = 100;
/** How long the last replies may take on a socket that has been moved away from. */
const RETIRE_WITHIN_MS = 5000;
const RETIRE_EVERY_MS = 50;

/** The address, or what gives a new one for each try: a token in it may run out. */
export type Url = string | URL | (() => string | URL);

export interface ConnectionOptions {
  Socket?: SocketConstructor | undefined;
  random?: Random | undefined;
}

export class Connection extends Line {
  #url: Url;
  #Socket: SocketConstructor;
  #current: Wire | null = null;
  #next: Wire | null = null;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(url: Url, on: LineEvents, { Socket, random }: ConnectionOptions = {}) {
    super(on, random);
    this.#url = url;
    this.#Socket = Socket ?? (globalThis.WebSocket as unknown as SocketConstructor);
    if (!this.#Socket) throw new TypeError('no WebSocket: name one as Socket');
  }

  start(): void {
    this.#open();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.become('stopped');
    this.#next?.close();
    this.#current?.close();
  }

  hurry(): void {
    if (this.state !== 'offline' || this.#next) return;
    clearTimeout(this.#timer);
    this.#open();
  }

  async request<C extends Command>(cmd: C, fields: Fields<C>): Promise<Reply<C>> {
    if (!this.#current) throw this.gone();
    return this.#current.request(cmd, fields);
  }

  #open(): void {
    const url = typeof this.#url === 'function' ? this.#url() : this.#url;
    const wire: Wire = new Wire(
      String(url),
      {
        hello: (frame) => this.#arrived(wire, frame),
        event: (frame) => this.#event(wire, frame),
        end: (code) => this.#ended(wire, code),
      },
      this.#Socket,
    );
    this.#next = wire;
  }

  #arrived(wire: Wire, frame: Hello): void {
    const old = this.#current;
    this.#next = null;
    this.#current = wire;
    this.#failures = 0;
    this.hello = frame;
    this.become('online');
    this.on.online();
    if (old) this.#retire(old, RETIRE_WITHIN_MS);
  }

  /** The old socket stays for the replies that are still on their way. */
  #retire(wire: Wire, left: number): void {
    if (wire.idle || left <= 0) wire.close();
    else setTimeout(() => this.#retire(wire, left - RETIRE_EVERY_MS), RETIRE_EVERY_MS);
  }

  #event(wire: Wire, frame: ServerEvent): void {
    if (frame.event !== 'draining') {
      this.on.event(frame);
    } else if (wire === this.#current) {
      // Spread over the first half of the time, so that a second try fits in; never at once, or a
      // server that drains and yet takes us in would see us come and go without a pause.
      clearTimeout(this.#timer);
      const wait = Math.max(MOVE_AFTER_MS, (this.random() * (frame.reconnect_within_ms ?? 0)) / 2);
      this.#timer = setTimeout(() => {
        if (wire === this.#current && !this.#next) this.#open();
      }, wait);
    }
  }

  #ended(wire: Wire, code: number): void {
    if (wire === this.#current) this.#current = null;
    else if (wire === this.#next) this.#next = null;
    else return;
    if (this.state === 'stopped') return;
    this.closeCode = code;
    if (code === UNAUTHENTICATED) {
      this.become('refused');
      return;
    }
    if (this.#current === null) this.become('offline');
    if (this.#next) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (!this.#next && this.state !== 'stopped') this.#open();
    }, this.#wait(code));
    this.#failures += 1;
  }

  #wait(code: number): number {
    const base = LATER_MS[code] ?? FIRST_WAIT_MS;
    return backoff(this.#failures, { base, random: this.random });
  }
}
