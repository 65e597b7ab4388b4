// What this device holds of one conversation's log, what it may call whole, and what the app is to be
// given next. No socket, no storage: entries go in as they come, in any order and as often as they
// come.

import type { Attached, Entry, Page } from './protocol.js';

/** Entries held beyond a gap. What comes above is fetched when the gap is closed. */
export const MAX_AHEAD = 1000;
/** Ids remembered of entries that were given to the app, so that none is given twice. */
const MAX_TOLD = 2000;

/**
 * `next`: in order. `late`: it stands before entries that were given already, since a part of the
 * server had lost its memory. `moved`: it was given before, and stands somewhere else now.
 */
export type How = 'next' | 'late' | 'moved';

export interface Given {
  entry: Entry;
  how: How;
}

export class Log {
  /** The newest position up to which nothing is missing; `null` before the first attach. */
  cursor: number | null = null;

  /** Nothing at or below this position is held. */
  #floor = Infinity;
  #entries: Entry[] = [];
  #byId = new Map<string, Entry>();
  #checked = 0;
  #given: Given[] = [];
  #told = new Set<string>();

  /** The entries that are held, by position. Not to be changed. */
  get entries(): readonly Entry[] {
    return this.#entries;
  }

  /** Whether the log's beginning is held. */
  get started(): boolean {
    return this.#floor === 0;
  }

  get oldest(): number | null {
    return this.#entries[0]?.position ?? null;
  }

  get newest(): number | null {
    return this.#entries.at(-1)?.position ?? null;
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** Whether entries between the cursor and the newest one are missing: attach. */
  get broken(): boolean {
    return this.cursor !== null && (this.newest ?? 0) > this.cursor;
  }

  /** Whether a log whose head is at this position has something that is not held: attach. */
  isBehind(head: number): boolean {
    return this.cursor !== null && head > Math.max(this.cursor, this.#checked);
  }

  /** What the app is to be given since the last call, in this order. */
  take(): Given[] {
    const given = this.#given;
    this.#given = [];
    return given;
  }

  /** Begins after a cursor that was kept from before. */
  begin(cursor: number): void {
    this.cursor = cursor;
    this.#floor = cursor;
    this.#follow();
  }

  /** A live entry, or one's own after its ack. Whether anything changed. */
  receive(entry: Entry): boolean {
    if (
      entry.position > (this.cursor ?? 0) &&
      entry.prev !== this.cursor &&
      this.#ahead >= MAX_AHEAD
    )
      return false;
    const changed = this.#insert(entry);
    this.#follow();
    return changed;
  }

  /** The answer to attach or resume, asked with the cursor. Without one it is the newest page. */
  attached({ entries, complete, gap, head }: Attached): void {
    const first = this.cursor === null;
    if (first) {
      const whole = gap?.before ?? 0;
      this.#begin(entries.filter(({ position }) => position >= whole));
    } else {
      for (const entry of entries) this.#insert(entry);
    }
    if (complete || first) {
      this.#moveTo(entries.at(-1)?.position ?? 0);
      this.#checked = Math.max(this.#checked, head ?? 0);
    } else if (gap) {
      this.#moveTo(gap.after);
    }
    this.#follow();
  }

  /** The page after `after`, fetched to close a gap. */
  pageAfter(after: number, { entries }: Pick<Page, 'entries'>): void {
    this.attached({ entries, complete: after <= (this.cursor ?? 0) });
  }

  /** The page before `before`, fetched for a reader who goes back. It is not given to the app. */
  pageBefore(before: number | null, { entries, more }: Page): void {
    if (before !== (this.oldest ?? before)) return;
    for (const entry of entries) this.#put(entry);
    if (!more) this.#floor = 0;
    else if (entries[0]) this.#floor = entries[0].position - 1;
  }

  /** A gap that is too wide to close: the newest page stands for the log. */
  restart(newest: Attached): void {
    this.#entries = [];
    this.#byId.clear();
    this.cursor = null;
    this.attached(newest);
  }

  /** An entry does not stand at `position`. Whether the one at `stands` has to be fetched. */
  withdraw(id: string, position: number, stands: number | null): boolean {
    const held = this.#byId.get(id);
    if (held?.position === position) this.#remove(held);
    return stands !== null && !this.has(id) && stands > this.#floor && stands <= (this.cursor ?? 0);
  }

  /** Forgets all but the newest `count` entries, and none beyond the cursor. */
  keepNewest(count: number): void {
    const surplus = Math.min(this.#entries.length - count, this.#entries.length - this.#ahead);
    if (surplus <= 0) return;
    const cut = this.#entries.splice(0, surplus);
    for (const { entry } of cut) this.#byId.delete(entry);
    this.#floor = cut.at(-1)!.position;
  }

  get #ahead(): number {
    return this.#entries.length - this.#firstAfter(this.cursor ?? 0);
  }

  #moveTo(position: number): void {
    const from = this.cursor ?? this.#floor;
    this.cursor = Math.max(this.cursor ?? 0, position);
    for (let at = this.#firstAfter(from); at < this.#firstAfter(this.cursor); at += 1) {
      this.#give(this.#entries[at]!);
    }
  }

  /** Moves the cursor along entries that came before the ones ahead of them. */
  #follow(): void {
    if (this.cursor === null) return;
    for (let at = this.#firstAfter(this.cursor); at < this.#entries.length; at += 1) {
      const entry = this.#entries[at]!;
      // Of two at one position, one will be withdrawn; which one is not known yet.
      if (entry.prev !== this.cursor && entry.position !== this.cursor) return;
      this.cursor = entry.position;
      this.#give(entry);
    }
  }

  #give(entry: Entry, how: How = 'next'): void {
    this.#given.push({ entry, how: this.#told.has(entry.entry) ? 'moved' : how });
    this.#told.add(entry.entry);
    if (this.#told.size > MAX_TOLD) this.#told.delete(this.#told.values().next().value!);
  }

  /** The first page. What came live before it is kept as far as it leaves no hole. */
  #begin(page: Entry[]): void {
    const from = page[0]?.position ?? 0;
    for (const entry of [...this.#entries]) {
      if (entry.position < from) this.#remove(entry);
    }
    this.#floor = this.#entries.length + page.length === 0 ? 0 : from - 1;
    for (const entry of page) this.#put(entry);
  }

  /** Entries older than what is held are left to history, or there would be a hole. */
  #insert(entry: Entry): boolean {
    if (this.cursor !== null && entry.position <= this.#floor) return false;
    const changed = this.#put(entry);
    if (changed && this.cursor !== null && entry.position <= this.cursor) this.#give(entry, 'late');
    return changed;
  }

  #put(entry: Entry): boolean {
    const held = this.#byId.get(entry.entry);
    if (held?.position === entry.position) return false;
    if (held) this.#remove(held);
    this.#entries.splice(this.#firstAfter(entry.position), 0, entry);
    this.#byId.set(entry.entry, entry);
    return true;
  }

  #remove(entry: Entry): void {
    this.#entries.splice(this.#entries.indexOf(entry), 1);
    this.#byId.delete(entry.entry);
  }

  #firstAfter(position: number): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#entries[middle]!.position <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
