// What the page knows of one conversation, and what follows from it: rows, unread count, who has
// received and seen how far.

import { fold, titleAfter } from './fold.js';

/** How long somebody counts as typing after the last word of it. */
const TYPING_MS = 6000;

export class Conversation {
  /** Whether the server, or the user who made it, has said what it is. */
  known = false;
  kind = 'group';
  title = '';
  peer = null;
  role = 'member';
  lastMessage = null;
  /** One's own marks. */
  marks = { delivered: 0, seen: 0 };
  /** Entries beyond this position are news; what stands before was there when the page was opened. */
  newsAfter = 0;
  /** How far the user has looked; the mark follows when the server has it. */
  looked = 0;
  /** The others' marks, by user; `null` until asked for. */
  receipts = null;
  /** `[{user, role}]` of a group; `null` until asked for. */
  members = null;
  /** `{online, lastSeen}` by user. */
  presence = new Map();
  typing = new Map();
  /** Raised whenever something changes that is shown. */
  version = 0;
  /** When it was opened without having entries: it then stands at the list's top. */
  openedAt = 0;

  #me;
  #client;
  #held;
  #counted = { count: 0, more: false, upTo: 0 };
  #rows = [];
  #rowsVersion = -1;

  /** `held` is what the client holds of it. */
  constructor(held, me, client) {
    this.#held = held;
    this.#me = me;
    this.#client = client;
  }

  get id() {
    return this.#held.id;
  }

  get log() {
    return this.#held.log;
  }

  /** The newest position that the server told of. */
  get head() {
    return this.#held.head;
  }

  /** How many entries are held, and how many are kept when it is closed. */
  hold(limit, keep = limit) {
    this.#held.limit = limit;
    this.log.keepNewest(keep);
  }

  /** An item of the list of conversations. */
  summarize(item) {
    this.known = true;
    this.kind = item.kind;
    this.title = item.title ?? '';
    this.peer = item.peer ?? null;
    this.role = item.role ?? 'member';
    this.lastMessage = item.last_message ?? null;
    this.movedTo(item.delivered ?? 0, item.seen ?? 0);
    this.#counted = { ...item.unread, upTo: item.head ?? 0 };
    this.version += 1;
  }

  /** Nothing was ever written here, as far as the server knows. */
  empty() {
    this.lastMessage = null;
    this.marks = { delivered: 0, seen: 0 };
    this.looked = 0;
    this.receipts = null;
    this.#counted = { count: 0, more: false, upTo: 0 };
    this.version += 1;
  }

  get name() {
    if (this.kind === 'group') return this.title || 'Group';
    return this.peer === this.#me ? `${this.peer} (you)` : (this.peer ?? '…');
  }

  movedTo(delivered, seen) {
    this.marks.delivered = Math.max(this.marks.delivered, delivered, seen);
    this.marks.seen = Math.max(this.marks.seen, seen);
    this.version += 1;
  }

  /** An entry that says how the group is now; true if the members have to be asked for again. */
  learn(entry) {
    if (entry.type !== 'members') return false;
    this.title = titleAfter(this.title, entry.change);
    return true;
  }

  rows() {
    if (this.#rowsVersion !== this.version) {
      this.#rows = fold(this.log.entries, this.#client.outbox(this.id), this.#me);
      this.#rowsVersion = this.version;
    }
    return this.#rows;
  }

  /** Whether something was refused for good and waits for the user's word. */
  get hasFailed() {
    return this.#client.outbox(this.id).some(({ failure }) => failure !== null);
  }

  /** The newest row, or what the list told of it. */
  lastRow() {
    const rows = this.rows();
    if (rows.length > 0) return rows.at(-1);
    return this.lastMessage ? fold([this.lastMessage], [], this.#me)[0] : null;
  }

  /** Where it stands in the list: the newest first. */
  get rank() {
    const waiting = this.#client.outbox(this.id).at(-1)?.at ?? 0;
    return Math.max(this.head, waiting * 1000, this.openedAt * 1000);
  }

  /** `{count, more}`: counted in the log as far as it reaches, by the server beyond. */
  unread() {
    const { log } = this;
    const seen = Math.max(this.marks.seen, this.looked);
    const covered = log.cursor !== null && (log.started || (log.oldest ?? Infinity) <= seen);
    const { count, more, upTo } = this.#counted;
    if (covered || seen >= upTo) return { count: this.#foreignAfter(seen), more: false };
    return { count: count + this.#foreignAfter(upTo), more };
  }

  #foreignAfter(position) {
    const { entries } = this.log;
    let count = 0;
    for (let at = entries.length - 1; at >= 0 && entries[at].position > position; at -= 1) {
      if (entries[at].type === 'message' && entries[at].sender !== this.#me) count += 1;
    }
    return count;
  }

  /** The newest position by somebody else that the cursor has passed: what there is to mark. */
  get toMark() {
    const { entries, cursor } = this.log;
    for (let at = entries.length - 1; at >= 0; at -= 1) {
      if (entries[at].position <= cursor && entries[at].sender !== this.#me) {
        return entries[at].position;
      }
    }
    return 0;
  }

  receive(receipts) {
    this.receipts ??= new Map();
    for (const { user, delivered, seen } of receipts) {
      if (user === this.#me) {
        this.movedTo(delivered ?? 0, seen ?? 0);
        continue;
      }
      const held = this.receipts.get(user) ?? { delivered: 0, seen: 0 };
      this.receipts.set(user, {
        delivered: Math.max(held.delivered, delivered ?? 0, seen ?? 0),
        seen: Math.max(held.seen, seen ?? 0),
      });
    }
    this.version += 1;
  }

  /** How far the others are: `{delivered, seen, of}` counts of those whose mark reaches it. */
  reached(position) {
    const others = this.others();
    let delivered = 0;
    let seen = 0;
    for (const user of others) {
      const marks = this.receipts?.get(user);
      if (marks && marks.delivered >= position) delivered += 1;
      if (marks && marks.seen >= position) seen += 1;
    }
    return { delivered, seen, of: others.length };
  }

  others() {
    if (this.kind === 'direct')
      return this.peer === null || this.peer === this.#me ? [] : [this.peer];
    const users = this.members?.map(({ user }) => user) ?? [...(this.receipts?.keys() ?? [])];
    return users.filter((user) => user !== this.#me);
  }

  /** Somebody types or stops; `expired` is called when it ends by itself. */
  types(user, active, expired) {
    clearTimeout(this.typing.get(user));
    this.typing.delete(user);
    if (active) {
      const end = setTimeout(() => {
        this.typing.delete(user);
        expired();
      }, TYPING_MS);
      this.typing.set(user, end);
    }
  }
}
