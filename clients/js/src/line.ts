// What the rest of the client stands on: a way to the server, which may be a connection of one's own
// or one that another tab holds.

import { after, pause } from './backoff.js';
import type { Random } from './backoff.js';
import { DardaError, lineLost, stopped, tooMany } from './errors.js';
import type { Command, Fields, Hello, Reply, ServerEvent } from './protocol.js';
import { MAX_PENDING } from './wire.js';

/**
 * `connecting` until the first hello, then `online` and `offline` in turn; `refused` when the server
 * lets this user not in, and `stopped` after `stop()`.
 */
export type State = 'connecting' | 'online' | 'offline' | 'refused' | 'stopped';

export interface LineEvents {
  /** For each new connection: events before it may be lost, so resume. */
  online(hello: Hello): void;
  event(frame: ServerEvent): void;
  state(state: State): unknown;
  /** What another tab said with `share`. */
  shared?(message: unknown): void;
  /** From now on this tab takes what waits in the outbox to the server. */
  leads?(): void;
}

/** How often `ask` repeats a command before it gives up. */
const ATTEMPTS = 8;

interface Waiter {
  resolve(): void;
  reject(error: DardaError): void;
}

export abstract class Line {
  state: State = 'connecting';
  hello: Hello | null = null;
  /** Why there is no connection: a WebSocket close code, 0 for no reason yet. */
  closeCode = 0;
  /** Whether it falls to this tab to deliver what waits. */
  leads = true;

  protected readonly on: LineEvents;
  protected readonly random: Random;
  #waiters: Waiter[] = [];

  constructor(on: LineEvents, random: Random = Math.random) {
    this.on = on;
    this.random = random;
  }

  abstract start(): void;
  abstract stop(): void;
  /** Tries now instead of when the wait is over: the network is back, or the user looks. */
  abstract hurry(): void;
  /** Sends a command once, on the connection there is. */
  abstract request<C extends Command>(cmd: C, fields: Fields<C>): Promise<Reply<C>>;

  /** Says something to the other tabs; they get it as `shared`. */
  share(_message: unknown): void {}

  /** Sends a command that may be repeated, until it succeeds or fails for good. */
  async ask<C extends Command>(cmd: C, fields: Fields<C>): Promise<Reply<C>> {
    for (let attempt = 1; ; attempt += 1) {
      await this.#whenOnline();
      try {
        return await this.request(cmd, fields);
      } catch (error) {
        const wait = (error as DardaError).retryAfterMs;
        if (wait === undefined || attempt >= ATTEMPTS) throw error;
        if ('client_id' in fields) fields = { ...fields, resend: true };
        await pause(after(wait, this.random));
      }
    }
  }

  protected gone(): DardaError {
    return this.state === 'stopped' || this.state === 'refused' ? stopped() : lineLost();
  }

  protected become(state: State): void {
    if (this.state === state || this.state === 'stopped') return;
    this.state = state;
    if (state !== 'offline' && state !== 'connecting') {
      const waiters = this.#waiters;
      this.#waiters = [];
      for (const { resolve, reject } of waiters) {
        if (state === 'online') resolve();
        else reject(stopped());
      }
    }
    this.on.state(state);
  }

  #whenOnline(): Promise<void> {
    if (this.state === 'online') return Promise.resolve();
    const gone = this.gone();
    if (!gone.transient) return Promise.reject(gone);
    if (this.#waiters.length >= MAX_PENDING) return Promise.reject(tooMany());
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
  }
}
