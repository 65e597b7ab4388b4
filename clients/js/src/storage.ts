// What outlives a restart: what waits to be sent, and how far each conversation was given to the app.

import type { Queued } from './protocol.js';

/** Something that the user did and the server has not acknowledged yet. Plain data. */
export interface Item {
  conversation: string;
  /** Its name for ever: sent again with the same one, it is the same entry. */
  clientId: string;
  cmd: Queued;
  fields: object;
  /** Milliseconds since 1970, by this device's clock; only to be shown. */
  at: number;
  /** Its place in the order in which things were done. */
  seq: number;
  /** The sentence of an error that no repeat can help, or `null`. */
  failure: string | null;
  /** The other user of a direct conversation that may not exist before its first message. */
  peer?: string | undefined;
}

/**
 * A storage of one user's client. To be correct:
 * - what `put`, `remove` and `setCursors` did is found by `load` once their promise is fulfilled, also
 *   after the process has been killed;
 * - calls take effect in the order in which they were made;
 * - a failure rejects; nothing throws. The client then goes on with what it has in memory, and says
 *   so by its event `trouble`.
 */
export interface Storage {
  load(): Promise<{ items: Item[]; cursors: [conversation: string, position: number][] }>;
  /** Adds an item, or replaces the one of the same conversation and client id. */
  put(item: Item): Promise<void>;
  remove(conversation: string, clientId: string): Promise<void>;
  /** `null` forgets the conversation's cursor. */
  setCursors(cursors: [conversation: string, position: number | null][]): Promise<void>;
}

/** Outlives a client, not the process. */
export class MemoryStorage implements Storage {
  readonly #items = new Map<string, Item>();
  readonly #cursors = new Map<string, number>();

  /** Items that wait. */
  get size(): number {
    return this.#items.size;
  }

  async load() {
    const items = [...this.#items.values()].map((item) => structuredClone(item));
    return { items, cursors: [...this.#cursors] };
  }

  async put(item: Item) {
    this.#items.set(`${item.conversation} ${item.clientId}`, structuredClone(item));
  }

  async remove(conversation: string, clientId: string) {
    this.#items.delete(`${conversation} ${clientId}`);
  }

  async setCursors(cursors: [string, number | null][]) {
    for (const [conversation, position] of cursors) {
      if (position === null) this.#cursors.delete(conversation);
      else this.#cursors.set(conversation, position);
    }
  }
}
