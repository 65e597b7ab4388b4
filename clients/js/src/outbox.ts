// What the user has done and the server has not acknowledged yet, and its way there: one at a time in
// each conversation, in the order in which it was done, until it is acknowledged or refused for good.
// The tabs of a browser share one outbox: what one of them adds or gives up, the others are told.

import { after, pause } from './backoff.js';
import { DardaError } from './errors.js';
import type { Line } from './line.js';
import type { Ack, Commands, Entry, Queued } from './protocol.js';
import type { Item, Storage } from './storage.js';

/** Items that may wait. More are refused, with a word to the user. */
export const MAX_ITEMS = 1000;

/** What one tab tells the others. */
export type Share = { put: Item } | { drop: Item };

/** Where what was sent stands in the log. */
export type Sent = Omit<Ack, 'repeat'>;

/** Something on its way. Neither promise has to be listened to. */
export interface Outgoing {
  clientId: string;
  /** Fulfilled when the storage has it: from then on a restart loses nothing. */
  stored: Promise<void>;
  /** Fulfilled when the server has it; rejected if it is refused or discarded. */
  sent: Promise<Sent>;
}

interface Way extends Outgoing {
  resolve(sent: Sent): void;
  reject(error: DardaError): void;
}

export interface OutboxEvents {
  changed(conversation: string): void;
  /** No repeat can help. */
  refused(item: Item, error: DardaError): void;
  /** The storage failed: the items still go out as long as the process lives. */
  trouble(error: unknown): void;
}

export class Outbox {
  #line: Line;
  #storage: Storage;
  #on: OutboxEvents;
  #items: Item[] = [];
  #tried = new WeakSet<Item>();
  #ways = new WeakMap<Item, Way>();
  #busy = new Set<string>();

  constructor(line: Line, storage: Storage, on: OutboxEvents) {
    this.#line = line;
    this.#storage = storage;
    this.#on = on;
  }

  /** Items of a storage. Each may have been sent before, by whoever wrote it. */
  load(items: Item[]): void {
    for (const put of items) this.hear({ put });
    this.suspect();
  }

  /** Another tab may have sent these: the next send of each says so. */
  suspect(): void {
    for (const item of this.#items) this.#tried.add(item);
  }

  /** Takes something over. The same client id again is the same item. */
  add(
    cmd: Queued,
    conversation: string,
    fields: object,
    clientId: string,
    peer?: string,
  ): Outgoing {
    const held = this.#find(conversation, clientId);
    if (held) return this.#way(held);
    if (this.#items.length >= MAX_ITEMS) {
      throw new DardaError('outbox_full', 'too many messages wait');
    }
    const seq = (this.#items.at(-1)?.seq ?? 0) + 1;
    const at = Date.now();
    const item: Item = { conversation, clientId, cmd, fields, at, seq, failure: null, peer };
    this.#items.push(item);
    this.#keep(item);
    this.flush(conversation);
    return this.#way(item);
  }

  /** What another tab says. */
  hear(message: Share): void {
    const item = 'put' in message ? message.put : message.drop;
    const { conversation, clientId, failure, seq } = item;
    const held = this.#find(conversation, clientId);
    if ('drop' in message) {
      if (held) this.#drop(held);
      return;
    }
    if (held) held.failure = failure;
    else this.#items.splice(this.#items.findLastIndex((it) => it.seq <= seq) + 1, 0, item);
    if (held && failure !== null) this.#refused(held, new DardaError('refused', failure));
    this.#on.changed(conversation);
    this.flush(conversation);
  }

  /** What waits in a conversation, oldest first. */
  of(conversation: string): Item[] {
    return this.#items.filter((item) => item.conversation === conversation);
  }

  /** Tries again what was refused. */
  retry(conversation: string, clientId: string): void {
    const item = this.#find(conversation, clientId);
    if (!item) return;
    item.failure = null;
    this.#keep(item);
    this.flush(conversation);
  }

  /** The user gives it up. */
  discard(conversation: string, clientId: string): void {
    const item = this.#find(conversation, clientId);
    if (!item) return;
    this.#drop(item);
    this.#line.share({ drop: item });
  }

  /** It is in the log. Every tab sees that for itself. */
  settle({ conversation, client_id: clientId, entry, position, prev }: Entry): void {
    const item = this.#find(conversation, clientId);
    if (!item) return;
    this.#remove(item);
    this.#way(item).resolve({ entry, position, prev });
  }

  /** Whether an ack is awaited. */
  sending(conversation: string): boolean {
    return this.#busy.has(conversation) && this.#next(conversation) !== undefined;
  }

  flushAll(): void {
    for (const { conversation } of this.#items) this.flush(conversation);
  }

  async flush(conversation: string): Promise<void> {
    if (this.#busy.has(conversation)) return;
    this.#busy.add(conversation);
    let item: Item | undefined;
    while (this.#can && (item = this.#next(conversation))) {
      try {
        await this.#send(item);
      } catch (error) {
        const { code, retryAfterMs } = error as DardaError;
        if (code === 'line_lost' || code === 'stopped') break;
        if (retryAfterMs !== undefined) await pause(after(retryAfterMs, this.#line.random));
        else if (this.#items.includes(item)) this.#fail(item, error as DardaError);
      }
    }
    this.#busy.delete(conversation);
    // The line came back while the last try was still ending.
    if (this.#can && this.#next(conversation)) this.flush(conversation);
  }

  get #can(): boolean {
    return this.#line.leads && this.#line.state === 'online';
  }

  async #send(item: Item): Promise<void> {
    const { conversation, clientId, cmd, fields } = item;
    // A restart in between has to know of it.
    await this.#way(item).stored.catch(() => {});
    if (!this.#items.includes(item)) return;
    const resend = this.#tried.has(item) || undefined;
    const frame = { conversation, client_id: clientId, ...fields, resend };
    this.#tried.add(item);
    await this.#line.request(cmd, frame as unknown as Commands[Queued][0]);
  }

  #fail(item: Item, error: DardaError): void {
    item.failure = error.message;
    this.#keep(item);
    this.#refused(item, error);
  }

  #refused(item: Item, error: DardaError): void {
    this.#way(item).reject(error);
    this.#ways.delete(item);
    this.#on.refused(item, error);
  }

  /** One at a time, so that the log keeps the order of writing. */
  #next(conversation: string): Item | undefined {
    return this.of(conversation).find(({ failure }) => failure === null);
  }

  #find(conversation: string, clientId: string): Item | undefined {
    return this.of(conversation).find((item) => item.clientId === clientId);
  }

  #way(item: Item): Way {
    const known = this.#ways.get(item);
    if (known) return known;
    const way = { clientId: item.clientId, stored: Promise.resolve() } as Way;
    way.sent = new Promise((resolve, reject) => Object.assign(way, { resolve, reject }));
    way.sent.catch(() => {});
    this.#ways.set(item, way);
    return way;
  }

  #keep(item: Item): void {
    const stored = this.#storage.put(item);
    this.#way(item).stored = stored;
    stored
      .catch((error) => this.#on.trouble(error))
      // The tab that delivers must not be faster than the storage.
      .then(() => this.#items.includes(item) && this.#line.share({ put: item }));
    this.#on.changed(item.conversation);
  }

  #drop(item: Item): void {
    this.#remove(item);
    this.#way(item).reject(new DardaError('discarded', 'it was given up'));
  }

  #remove(item: Item): void {
    const { conversation, clientId } = item;
    this.#items.splice(this.#items.indexOf(item), 1);
    this.#storage.remove(conversation, clientId).catch((error) => this.#on.trouble(error));
    this.#on.changed(conversation);
  }
}
