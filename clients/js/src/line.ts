// What the rest of the client stands on: a way to the server, which may be a connection of one's own
// or one that another tab holds.

import { after, pause } from './backoff.js';
import type { Random } from './backoff.js';
import { lineLost, stopped } from './errors.js';
import type { DardaError } from './errors.js';
import type { Command, Fields, Hello, Reply, ServerEvent } from './protocol.js';
import { MAX_PENDING, tooMany } from './replies.js';

/**
 * `connecting` until the first hello, then `online` and `offline` in turn; `refused` when the server
 * lets this user not in, and `stopped` after `stop()`.
 */
export type State = 'connecting' | 'online' | 'offline' | 'refused' | 'stopped';

export interface LineEvents {
  /** For each new connection: events before it may be lost, so resume. */
  online(): void;
  event(frame: ServerEvent): void;
  state(state: State): unknown;
  /** What another tab said with `share`. */
  shared?(message: unknown): void;
  /** From now on this tab takes what waits in the outbox to the server. */
  leads?(): void;
}

/** How often `ask` repeats a command before it gives up. */
const ATTEMPTS = 8;

export abstract class Line {
  state: State = 'connecting';
  hello: Hello | null = null;
  /** Why there is no connection: a WebSocket close code, 0 for no reason yet. */
  closeCode = 0;
  /** Whether it falls to this tab to deliver what waits. */
  leads = true;

  protected readonly on: LineEvents;
  readonly random: Random;
  #waiters: (() => void)[] = [];

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
    return this.#over ? stopped() : lineLost();
  }

  protected become(state: State): void {
    if (this.state === state || this.state === 'stopped') return;
    this.state = state;
    if (state === 'online' || this.#over) {
      for (const wake of this.#waiters.splice(0)) wake();
    }
    this.on.state(state);
  }

  get #over(): boolean {
    return this.state === 'stopped' || this.state === 'refused';
  }

  async #whenOnline(): Promise<void> {
    if (this.state !== 'online' && !this.#over) {
      if (this.#waiters.length >= MAX_PENDING) throw tooMany();
      await new Promise<void>((wake) => this.#waiters.push(wake));
    }
    if (this.#over) throw stopped();
  }
}
