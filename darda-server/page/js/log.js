// What this device holds of one conversation's log, and what it may call whole. No socket, no page:
// entries go in as they come, in any order and as often as they come.

export class Log {
  /** The newest position up to which nothing is missing; `null` before the first attach. */
  cursor = null;
  /** Whether the log's beginning is held. */
  started = false;

  #entries = [];
  #positions = new Map();
  #checked = 0;

  /** The entries, by position. Not to be changed. */
  get entries() {
    return this.#entries;
  }

  get oldest() {
    return this.#entries[0]?.position ?? null;
  }

  get newest() {
    return this.#entries.at(-1)?.position ?? null;
  }

  has(id) {
    return this.#positions.has(id);
  }

  get(id) {
    const at = this.#positions.get(id);
    return at === undefined ? undefined : this.#entries[this.#indexOf(at)];
  }

  /** Whether entries between the cursor and the newest one are missing: attach. */
  get broken() {
    return this.cursor !== null && (this.newest ?? 0) > this.cursor;
  }

  /** Whether a log whose head is at this position has something that is not held: attach. */
  isBehind(head) {
    return this.cursor !== null && head > Math.max(this.cursor, this.#checked);
  }

  /** A live entry, or one's own after its ack. Whether anything changed. */
  receive(entry) {
    const changed = this.#insert(entry);
    this.#follow();
    return changed;
  }

  /** The answer to attach or resume, asked with the cursor. Without one it is the newest page. */
  attached({ entries, complete, head }) {
    const first = this.cursor === null;
    if (first) this.#begin(entries);
    else this.#insertAll(entries);
    if (complete || first) {
      this.#moveTo(entries.at(-1)?.position ?? 0);
      this.#checked = Math.max(this.#checked, head ?? 0);
    }
    this.#follow();
  }

  /** The page after `after`, fetched to close a gap. */
  pageAfter(after, { entries }) {
    this.#insertAll(entries);
    if (after <= this.cursor) this.#moveTo(entries.at(-1)?.position ?? after);
    this.#follow();
  }

  /** The page before `before`, fetched for a reader who scrolls up. */
  pageBefore(before, { entries, more }) {
    if (before !== (this.oldest ?? before)) return;
    for (const entry of entries) this.#put(entry);
    if (!more) this.started = true;
  }

  /** A gap that is too wide to close: the newest page stands for the log, the rest by scrolling. */
  restart({ entries, head }) {
    this.#entries = [];
    this.#positions.clear();
    this.started = false;
    this.cursor = null;
    this.attached({ entries, complete: true, head });
  }

  /** An entry does not stand at `position`. Whether the one at `stands` has to be fetched. */
  withdraw(id, position, stands) {
    if (this.#positions.get(id) === position) this.#remove(id);
    return (
      stands !== null && !this.has(id) && (this.started || stands >= (this.oldest ?? Infinity))
    );
  }

  /** Forgets all but the newest `count` entries. */
  keepNewest(count) {
    const surplus = this.#entries.length - count;
    if (surplus <= 0) return;
    for (const { entry } of this.#entries.splice(0, surplus)) this.#positions.delete(entry);
    this.started = false;
  }

  #moveTo(position) {
    this.cursor = Math.max(this.cursor ?? 0, position);
  }

  /** Moves the cursor along entries that came before the ones ahead of them. */
  #follow() {
    if (this.cursor === null) return;
    for (let at = this.#firstAfter(this.cursor); at < this.#entries.length; at += 1) {
      if (this.#entries[at].prev !== this.cursor) return;
      this.cursor = this.#entries[at].position;
    }
  }

  /** The first page. What came live before it is kept as far as it leaves no hole. */
  #begin(page) {
    const from = page[0]?.position ?? 0;
    for (const { entry, position } of [...this.#entries]) {
      if (position < from) this.#remove(entry);
    }
    for (const entry of page) this.#put(entry);
    this.started = this.#entries.length === 0;
  }

  #insertAll(entries) {
    for (const entry of entries) this.#insert(entry);
  }

  /** Entries older than what is held are left to scrolling, or there would be a hole. */
  #insert(entry) {
    const older = this.oldest !== null && entry.position < this.oldest && !this.started;
    return !older && this.#put(entry);
  }

  #put(entry) {
    const held = this.#positions.get(entry.entry);
    if (held === entry.position) return false;
    if (held !== undefined) this.#remove(entry.entry);
    const at = this.#firstAfter(entry.position - 1);
    const there = this.#entries[at];
    if (there?.position === entry.position) this.#remove(there.entry);
    this.#entries.splice(at, 0, entry);
    this.#positions.set(entry.entry, entry.position);
    return true;
  }

  #remove(id) {
    this.#entries.splice(this.#indexOf(this.#positions.get(id)), 1);
    this.#positions.delete(id);
  }

  #indexOf(position) {
    return this.#firstAfter(position - 1);
  }

  #firstAfter(position) {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#entries[middle].position <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
