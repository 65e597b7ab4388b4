// The part of a browser's storage that the page uses.
export class MemoryStorage {
  #items = new Map();

  get size() {
    return this.#items.size;
  }

  getItem(key) {
    return this.#items.get(key) ?? null;
  }

  setItem(key, value) {
    this.#items.set(key, value);
  }

  removeItem(key) {
    this.#items.delete(key);
  }
}
