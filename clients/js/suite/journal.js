// A storage in a directory, for the suite: a journal of what was done, read from its beginning at the
// next start. What stands in it survives the process; a line that the end of the process cut off was
// not promised to anybody.

import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export class JournalStorage {
  #path;
  #items = new Map();
  #cursors = new Map();

  constructor(directory) {
    this.#path = join(directory, 'journal');
    const text = existsSync(this.#path) ? readFileSync(this.#path, 'utf8') : '';
    for (const line of text.split('\n').slice(0, -1)) this.#apply(JSON.parse(line));
    this.#shorten();
  }

  async load() {
    return { items: [...this.#items.values()], cursors: [...this.#cursors] };
  }

  async put(item) {
    this.#write({ put: item });
  }

  async remove(conversation, clientId) {
    this.#write({ remove: [conversation, clientId] });
  }

  async setCursors(cursors) {
    this.#write({ cursors });
  }

  #write(change) {
    appendFileSync(this.#path, `${JSON.stringify(change)}\n`);
    this.#apply(structuredClone(change));
  }

  #apply({ put, remove, cursors = [] }) {
    if (put) this.#items.set(`${put.conversation} ${put.clientId}`, put);
    if (remove) this.#items.delete(remove.join(' '));
    for (const [conversation, position] of cursors) {
      if (position === null) this.#cursors.delete(conversation);
      else this.#cursors.set(conversation, position);
    }
  }

  #shorten() {
    const changes = [...this.#items.values()].map((put) => ({ put }));
    const lines = [...changes, { cursors: [...this.#cursors] }].map((it) => JSON.stringify(it));
    writeFileSync(`${this.#path}.new`, `${lines.join('\n')}\n`);
    renameSync(`${this.#path}.new`, this.#path);
  }
}
