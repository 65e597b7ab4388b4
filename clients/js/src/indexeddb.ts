// The storage of browsers: one database for each user, shared by the tabs.

import type { Item, Storage } from './storage.js';

/** Items by conversation and client id, cursors by conversation alone. */
const STORE = 'kept';

export class IndexedDbStorage implements Storage {
  readonly #name: string;
  #opened: Promise<IDBDatabase> | undefined;

  /** `name`: of the database; different for each user. */
  constructor(name: string) {
    this.#name = name;
  }

  async load() {
    const items: Item[] = [];
    const cursors: [string, number][] = [];
    const [keys, values] = await this.#run('readonly', (store) => [
      store.getAllKeys(),
      store.getAll(),
    ]);
    keys!.forEach((key, at) => {
      if (typeof key === 'string') cursors.push([key, values![at]]);
      else items.push(values![at]);
    });
    return { items, cursors };
  }

  async put(item: Item) {
    await this.#run('readwrite', (store) => [store.put(item, [item.conversation, item.clientId])]);
  }

  async remove(conversation: string, clientId: string) {
    await this.#run('readwrite', (store) => [store.delete([conversation, clientId])]);
  }

  async setCursors(cursors: [string, number | null][]) {
    await this.#run('readwrite', (store) =>
      cursors.map(([id, cursor]) => (cursor === null ? store.delete(id) : store.put(cursor, id))),
    );
  }

  /** Runs a transaction; the results are there when it is committed. */
  async #run(
    mode: IDBTransactionMode,
    ask: (store: IDBObjectStore) => IDBRequest[],
  ): Promise<any[][]> {
    const database = await (this.#opened ??= this.#open());
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode, { durability: 'strict' });
      const requests = ask(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(requests.map(({ result }) => result));
      transaction.onabort = () => reject(transaction.error);
    });
  }

  #open(): Promise<IDBDatabase> {
    const opened = new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open(this.#name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        // A later version of this client in another tab must not wait for this one.
        request.result.onversionchange = () => {
          request.result.close();
          this.#opened = undefined;
        };
        resolve(request.result);
      };
    });
    opened.catch(() => {
      this.#opened = undefined;
    });
    return opened;
  }
}
