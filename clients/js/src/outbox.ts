// What the user has done and the server has not acknowledged yet, in the order in which it was done.
// The tabs of a browser share one: what one of them adds or gives up, the others are told.

import { DardaError } from './errors.js';
import type { Queued } from './protocol.js';
import type { Item, Storage } from './storage.js';

/** Items that may wait. More are refused, with a word to the user. */
export const MAX_ITEMS = 500;

/** What one tab tells the others. */
export type Share = { put: Item } | { drop: Item };

export interface OutboxEvents {
  changed(conversation: string): void;
  share(message: Share): void;
  /** The storage failed: the items still go out as long as the process lives. */
  trouble(error: unknown): void;
}

export class Outbox {
  #storage: Storage;
  #on: OutboxEvents;
  #items: Item[] = [];
  #tried = new WeakSet<Item>();
  #kept = new WeakMap<Item, Promise<void>>();

  constructor(storage: Storage, on: OutboxEvents) {
    this.#storage = storage;
    this.#on = on;
  }

  /** Items of a storage: what they were when it was written. Each may have been sent before. */
  load(items: Item[]): void {
    for (const item of items) this.take({ put: item });
    this.suspect();
  }

  /** Another one may have sent these: the next send of each says so. */
  suspect(): void {
    for (const item of this.#items) this.#tried.add(item);
  }

  add(conversation: string, cmd: Queued, fields: Item['fields'], clientId: string, peer?: string): Item {
    if (this.#items.length >= MAX_ITEMS) {
      throw new DardaError('outbox_full', 'too many messages wait to be sent');
    }
    const seq = (this.#items.at(-1)?.seq ?? 0) + 1;
    const item: Item = { conversation, clientId, cmd, fields, at: Date.now(), seq, failure: null };
    if (peer !== undefined) item.peer = peer;
    this.#items.push(item);
    this.#keep(item);
    return item;
  }

  /** What another tab says. */
  take(message: Share): void {
    const item = 'put' in message ? message.put : message.drop;
    const held = this.find(item.conversation, item.clientId);
    if ('drop' in message) {
      if (held) this.#remove(held);
    } else if (held) {
      held.failure = item.failure;
    } else {
      const before = this.#items.findLastIndex(({ seq }) => seq <= item.seq);
      this.#items.splice(before + 1, 0, item);
    }
    this.#on.changed(item.conversation);
  }

  /** What waits in a conversation, oldest first. */
  of(conversation: string): Item[] {
    return this.#items.filter((item) => item.conversation === conversation);
  }

  find(conversation: string, clientId: string): Item | undefined {
    return this.#items.find(
      (item) => item.clientId === clientId && item.conversation === conversation,
    );
  }

  /** The next one to send: one at a time, so that the log keeps the order of writing. */
  next(conversation: string): Item | undefined {
    return this.#items.find((item) => item.conversation === conversation && item.failure === null);
  }

  get conversations(): string[] {
    return [...new Set(this.#items.map((item) => item.conversation))];
  }

  get size(): number {
    return this.#items.length;
  }

  /** When the storage has it, or has failed. */
  async kept(item: Item): Promise<void> {
    await this.#kept.get(item)?.catch(() => {});
  }

  /** Whether the storage has it; rejects if it failed. */
  stored(item: Item): Promise<void> {
    return this.#kept.get(item) ?? Promise.resolve();
  }

  /** Whether it may have been sent before. Called for each send. */
  trying(item: Item): boolean {
    const before = this.#tried.has(item);
    this.#tried.add(item);
    return before;
  }

  fail(item: Item, failure: string | null): void {
    item.failure = failure;
    this.#keep(item);
  }

  /** It is in the log. Every tab sees that for itself. */
  settle(conversation: string, clientId: string): Item | undefined {
    const item = this.find(conversation, clientId);
    if (item) this.#remove(item);
    return item;
  }

  /** The user gave it up. */
  discard(item: Item): void {
    this.#remove(item);
    this.#on.share({ drop: item });
  }

  #keep(item: Item): void {
    const kept = this.#storage.put(item);
    this.#kept.set(item, kept);
    kept
      .catch((error) => this.#on.trouble(error))
      // The tab that delivers must not be faster than the storage.
      .then(() => {
        if (this.#items.includes(item)) this.#on.share({ put: item });
      });
    this.#on.changed(item.conversation);
  }

  #remove(item: Item): void {
    this.#items.splice(this.#items.indexOf(item), 1);
    this.#storage
      .remove(item.conversation, item.clientId)
      .catch((error) => this.#on.trouble(error));
    this.#on.changed(item.conversation);
  }
}
