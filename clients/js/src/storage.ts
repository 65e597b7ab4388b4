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

/** A storage on anything that keeps values under names. */
export abstract class NamedValues implements Storage {
  async load() {
    const items: Item[] = [];
    const cursors: [string, number][] = [];
    for (const value of await this.values()) {
      if (Array.isArray(value)) cursors.push(value as [string, number]);
      else items.push(value as Item);
    }
    return { items, cursors };
  }

  put(item: Item): Promise<void> {
    return this.write([[`${item.conversation} ${item.clientId}`, item]]);
  }

  remove(conversation: string, clientId: string): Promise<void> {
    return this.write([[`${conversation} ${clientId}`, null]]);
  }

  setCursors(cursors: [string, number | null][]): Promise<void> {
    return this.write(cursors.map(([id, cursor]) => [id, cursor === null ? null : [id, cursor]]));
  }

  protected abstract values(): Promise<unknown[]>;
  /** All or nothing; `null` takes the value of this name away. */
  protected abstract write(values: [name: string, value: unknown][]): Promise<void>;
}

/** Outlives a client, not the process. */
export class MemoryStorage extends NamedValues {
  readonly #values = new Map<string, unknown>();

  protected async values() {
    return structuredClone([...this.#values.values()]);
  }

  protected async write(values: [string, unknown][]) {
    for (const [name, value] of structuredClone(values)) {
      if (value === null) this.#values.delete(name);
      else this.#values.set(name, value);
    }
  }
}
