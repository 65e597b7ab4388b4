// The storage of browsers: one database for each user, shared by the tabs.

import { NamedValues } from './storage.js';

const STORE = 'kept';

export class IndexedDbStorage extends NamedValues {
  readonly #name: string;
  #opened: Promise<IDBDatabase> | undefined;

  /** `name`: of the database; different for each user. */
  constructor(name: string) {
    super();
    this.#name = name;
  }

  protected values(): Promise<unknown[]> {
    return this.#run('readonly', (store) => store.getAll());
  }

  protected write(values: [string, unknown][]): Promise<void> {
    return this.#run('readwrite', (store) => {
      for (const [name, value] of values) {
        if (value === null) store.delete(name);
        else store.put(value, name);
      }
    });
  }

  /** Runs a transaction; the result is there when it is committed. */
  async #run(
    mode: IDBTransactionMode,
    ask: (store: IDBObjectStore) => IDBRequest | void,
  ): Promise<any> {
    const database = await (this.#opened ??= this.#open());
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode, { durability: 'strict' });
      const request = ask(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onabort = () => reject(transaction.error);
    });
  }

  #open(): Promise<IDBDatabase> {
    return new Promise((resolve, reject) => {
      const request = indexedDB.open(this.#name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onerror = () => {
        this.#opened = undefined;
        reject(request.error);
      };
      request.onsuccess = () => {
        // A later version of this client in another tab must not wait for this one.
        request.result.onversionchange = () => {
          this.#opened = undefined;
          request.result.close();
        };
        resolve(request.result);
      };
    });
  }
}
