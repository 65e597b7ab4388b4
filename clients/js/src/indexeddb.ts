// The storage of browsers: one database for each user, shared by the tabs.

import type { Item, Storage } from './storage.js';

const ITEMS = 'items';
const CURSORS = 'cursors';

export class IndexedDbStorage implements Storage {
  readonly #name: string;
  #opened: Promise<IDBDatabase> | undefined;

  /** `name`: of the database; different for each user. */
  constructor(name: string) {
    this.#name = name;
  }

  async load() {
    return this.#run('readonly', [ITEMS, CURSORS], (transaction) => {
      const items = transaction.objectStore(ITEMS).getAll();
      const cursors = transaction.objectStore(CURSORS);
      const ids = cursors.getAllKeys();
      const positions = cursors.getAll();
      return () => ({
        items: items.result as Item[],
        cursors: ids.result.map((id, at): [string, number] => [id as string, positions.result[at]]),
      });
    });
  }

  put(item: Item): Promise<void> {
    return this.#write(ITEMS, (items) => items.put(item));
  }

  remove(conversation: string, clientId: string): Promise<void> {
    return this.#write(ITEMS, (items) => items.delete([conversation, clientId]));
  }

  setCursors(batch: [string, number | null][]): Promise<void> {
    return this.#write(CURSORS, (cursors) => {
      for (const [id, position] of batch) {
        if (position === null) cursors.delete(id);
        else cursors.put(position, id);
      }
    });
  }

  #write(name: string, change: (store: IDBObjectStore) => void): Promise<void> {
    return this.#run('readwrite', [name], (transaction) => {
      change(transaction.objectStore(name));
      return () => {};
    });
  }

  /** Runs a transaction; what `ask` returned is read when it is committed. */
  async #run<T>(
    mode: IDBTransactionMode,
    names: string[],
    ask: (transaction: IDBTransaction) => () => T,
  ): Promise<T> {
    const database = await (this.#opened ??= this.#open());
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(names, mode, { durability: 'strict' });
      const result = ask(transaction);
      transaction.oncomplete = () => resolve(result());
      transaction.onabort = () => reject(transaction.error);
    });
  }

  #open(): Promise<IDBDatabase> {
    const opened = new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open(this.#name, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(ITEMS, { keyPath: ['conversation', 'clientId'] });
        request.result.createObjectStore(CURSORS);
      };
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        // A later version of this client in another tab must not wait for this one.
        const again = () => {
          request.result.close();
          this.#opened = undefined;
        };
        request.result.onversionchange = again;
        request.result.onclose = again;
        resolve(request.result);
      };
    });
    opened.catch(() => {
      this.#opened = undefined;
    });
    return opened;
  }
}
