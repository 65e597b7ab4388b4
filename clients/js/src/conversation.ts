// What the client knows of one conversation.

import { Log } from './log.js';
import type { Summary } from './protocol.js';

/** Entries held of a conversation, if the app says nothing else. */
export const MAX_HELD = 1000;

export class Conversation {
  readonly id: string;
  log = new Log();
  /** The cursor up to which the app was given everything. */
  told: number | null = null;
  /** What the app is still doing with what it was given. */
  doing: Promise<unknown> | null = null;
  /** The newest position that anybody spoke of. */
  head = 0;
  /** What the list of conversations said last; `null` until it did. */
  summary: Summary | null = null;
  /** The other user of a direct conversation, as far as it is known. */
  peer: string | undefined;
  /**
   * How many entries are held. Above, the oldest are let go, down to a third; those beyond the cursor
   * are not. `Infinity` for a reader who goes back in history.
   */
  limit = MAX_HELD;

  constructor(id: string) {
    this.id = id;
  }

  summarize(summary: Summary): void {
    this.summary = summary;
    this.peer = summary.peer;
    this.sawHead(summary.head);
  }

  sawHead(position = 0): void {
    this.head = Math.max(this.head, position);
  }

  /** Whether the log is known to lack something. */
  get behind(): boolean {
    return this.log.broken || this.log.isBehind(this.head);
  }

  /** Whether something came that no device of the user has had yet. */
  get hasNews(): boolean {
    return this.log.cursor === null && this.head > (this.summary?.delivered ?? 0);
  }

  /** Nothing was ever written here, as far as the server knows. */
  empty(): void {
    this.head = 0;
    this.log = new Log();
    this.log.attached({ entries: [], complete: true });
  }

  trim(): void {
    if (this.log.entries.length > this.limit) this.log.keepNewest(Math.floor(this.limit / 3));
  }
}
