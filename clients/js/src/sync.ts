// Brings what this device holds up to what the server has: the list of conversations, resuming after
// a lost connection, and closing the gaps of a log.

import { pause } from './backoff.js';
import type { Conversation } from './conversation.js';
import { DardaError } from './errors.js';
import type { Line } from './line.js';
import type { Attached, Fields, Reply, Summary } from './protocol.js';

const LIST_PAGE = 100;
/** The server's limit of conversations of a user is 1,000. */
const MAX_LIST_PAGES = 10;
const RESUME_AT_ONCE = 100;
export const PAGE = 200;
const MAX_ROUNDS = 3;
const RETRY_MS = 5000;
/** How long an entry's missing predecessor may be one's own whose ack is still on its way. */
const OWN_ACK_MS = 1000;

/** What the client tells and is told. */
export interface Book {
  readonly known: ReadonlyMap<string, Conversation>;
  /** The conversation of this id, which is known from now on. */
  at(id: string): Conversation;
  /** It is the user's no more. */
  forget(conversation: Conversation): void;
  /** After each step: there may be something to give to the app. */
  changed(conversation: Conversation): void;
  /** Whether an ack is awaited in it. */
  sending(conversation: string): boolean;
  /** `behind` may have changed. */
  working(): void;
  emit(
    ...event:
      | ['listed', Conversation, Summary]
      | ['emptied', Conversation]
      | ['skipped', Conversation, after: number, before: number]
  ): void;
}

export interface SyncOptions {
  /** A gap wider than this many pages of 200 is not closed. */
  maxGapPages: number;
  /** Whether each conversation is attached, not only those that are opened or have news. */
  eager: boolean;
}

export class Sync {
  #line: Line;
  #book: Book;
  #options: SyncOptions;
  #running: Promise<boolean> | null = null;
  #again = false;
  #catching = new Map<string, Promise<void>>();
  #waiting = new Set<unknown>();

  constructor(line: Line, book: Book, options: SyncOptions) {
    this.#line = line;
    this.#book = book;
    this.#options = options;
  }

  /** Whether something is being fetched that was missed. */
  get behind(): boolean {
    return this.#running !== null || this.#catching.size > 0;
  }

  /**
   * After each connect, and when the list may be wrong. Runs once at a time, and once more if asked.
   * Whether it came to its end.
   */
  run(): Promise<boolean> {
    this.#again = true;
    return (this.#running ??= this.#run());
  }

  /** Catches up if the log has a gap, is behind its head, or was never attached though news came. */
  check(conversation: Conversation): void {
    if (this.#running) return;
    if (conversation.log.broken) this.#unlessOwn(conversation);
    else if (this.#wants(conversation)) this.catchUp(conversation);
  }

  /** Resolves when the log is whole, or could not be made so now. Once at a time each. */
  catchUp(conversation: Conversation): Promise<void> {
    const running = this.#catching.get(conversation.id);
    if (running) return running;
    const work = this.#catchUp(conversation).finally(() => {
      this.#catching.delete(conversation.id);
      this.#book.working();
    });
    this.#catching.set(conversation.id, work);
    this.#book.working();
    return work;
  }

  /** The page before the oldest entry that is held, of a log that was begun. */
  async older(conversation: Conversation, limit: number): Promise<void> {
    const { log, id } = conversation;
    const before = log.oldest ?? log.cursor! + 1;
    const page = await this.#line.ask('history', { conversation: id, before, limit });
    log.pageBefore(before, page);
    this.#book.changed(conversation);
  }

  /** An entry that stands somewhere else than it was announced, at or below the cursor. */
  async fetchAt(conversation: Conversation, position: number): Promise<void> {
    const { log, id } = conversation;
    const after = Math.max(0, position - 1);
    try {
      log.pageAfter(after, await this.#fresh('history', { conversation: id, after, limit: 1 }));
      this.#book.changed(conversation);
    } catch (error) {
      if (isStopped(error) || isGone(error as DardaError)) return;
      this.#later(`${id} ${position}`, RETRY_MS, () => this.fetchAt(conversation, position));
    }
  }

  get #all(): Conversation[] {
    return [...this.#book.known.values()];
  }

  async #run(): Promise<boolean> {
    this.#book.working();
    let whole = true;
    try {
      while (this.#again) {
        this.#again = false;
        await this.#list();
        await this.#resume();
        await this.#reopen();
      }
    } catch (error) {
      whole = false;
      if (!isStopped(error)) this.#later(this, RETRY_MS, () => this.run());
    }
    this.#running = null;
    this.#begin();
    return whole;
  }

  #wants(conversation: Conversation): boolean {
    const { log, hasNews, behind } = conversation;
    return behind || hasNews || (this.#options.eager && log.cursor === null);
  }

  /** Logs that are still to be caught up with, one after the other: whoever has news does not wait. */
  async #begin(): Promise<void> {
    for (const conversation of this.#all) {
      if (this.#wants(conversation)) await this.catchUp(conversation);
    }
    this.#book.working();
  }

  #unlessOwn(conversation: Conversation): void {
    if (!this.#book.sending(conversation.id)) {
      this.catchUp(conversation);
      return;
    }
    this.#later(conversation, OWN_ACK_MS, () => {
      if (conversation.log.broken) this.catchUp(conversation);
    });
  }

  /** A conversation that moves up between two pages is in neither: the server says what is ours. */
  async #list(): Promise<void> {
    // The others are resumed.
    const known = this.#all.filter(({ head, log }) => head > 0 && log.cursor === null);
    const listed = new Set<string>();
    let before: number | undefined;
    for (let pages = 0; pages < MAX_LIST_PAGES; pages += 1) {
      const fields = { limit: LIST_PAGE, before };
      const { conversations } = await this.#line.ask('conversations', fields);
      for (const item of conversations) {
        listed.add(item.conversation);
        const conversation = this.#book.at(item.conversation);
        conversation.summarize(item);
        this.#book.emit('listed', conversation, item);
        this.#book.changed(conversation);
      }
      before = conversations.at(-1)?.head;
      if (conversations.length < LIST_PAGE || before === undefined) break;
    }
    for (const conversation of known) {
      if (!listed.has(conversation.id)) await this.catchUp(conversation);
    }
  }

  async #resume(): Promise<void> {
    const held = this.#all.filter(({ log }) => log.cursor !== null);
    for (let from = 0; from < held.length; from += RESUME_AT_ONCE) {
      const part = held.slice(from, from + RESUME_AT_ONCE);
      const cursors = part.map(({ id, log }) => ({ conversation: id, cursor: log.cursor! }));
      const answer = await this.#line.ask('resume', { cursors });
      for (const item of answer.conversations) {
        const conversation = this.#book.known.get(item.conversation);
        if (!conversation) continue;
        if (item.error && isGone(item.error)) this.#lost(conversation);
        else if (item.error || item.stale) this.#retry(conversation);
        else await this.#take(conversation, item);
      }
    }
  }

  /** A direct conversation comes into being with its first message; until then a node may forget it. */
  async #reopen(): Promise<void> {
    for (const { head, peer } of this.#all) {
      if (peer !== undefined && head === 0) await this.#line.ask('open_direct', { user: peer });
    }
  }

  async #catchUp(conversation: Conversation): Promise<void> {
    const { log, id } = conversation;
    try {
      for (let round = 0; round < MAX_ROUNDS; round += 1) {
        const fields = { conversation: id, cursor: log.cursor ?? undefined };
        await this.#take(conversation, await this.#fresh('attach', fields));
        if (!conversation.behind) return;
        await pause(100 * 2 ** round);
        if (!conversation.behind) return;
      }
      if (log.broken) this.#retry(conversation);
    } catch (error) {
      if (isGone(error as DardaError)) this.#lost(conversation);
      else if (!isStopped(error)) this.#retry(conversation);
    }
  }

  /** Not ours any more. A direct conversation is for ever: if it is not there, it is empty. */
  #lost(conversation: Conversation): void {
    if (conversation.peer === undefined) {
      this.#book.forget(conversation);
    } else {
      conversation.empty();
      this.#book.emit('emptied', conversation);
      this.#book.changed(conversation);
    }
  }

  async #take(conversation: Conversation, answer: Attached): Promise<void> {
    const { log } = conversation;
    const first = log.cursor === null;
    log.attached(answer);
    conversation.sawHead(answer.head);
    this.#book.changed(conversation);
    if (!answer.complete && !first && answer.gap) await this.#close(conversation, answer.gap);
  }

  /** Anything may be missing in a stale answer, not only at its end: nothing of it is taken. */
  async #fresh<C extends 'attach' | 'history'>(cmd: C, fields: Fields<C>): Promise<Reply<C>> {
    const answer = await this.#line.ask(cmd, fields);
    if (answer.stale) throw new DardaError('unavailable', 'it is stale');
    return answer;
  }

  async #close(conversation: Conversation, gap: NonNullable<Attached['gap']>): Promise<void> {
    const { log, id } = conversation;
    let { after } = gap;
    for (let pages = 0; pages < this.#options.maxGapPages; pages += 1) {
      const page = await this.#fresh('history', { conversation: id, after, limit: PAGE });
      log.pageAfter(after, page);
      this.#book.changed(conversation);
      const last = page.entries.at(-1);
      if (!page.more || !last || (gap.before != null && log.cursor! >= gap.before)) return;
      after = last.position;
    }
    const from = log.cursor!;
    const newest = await this.#fresh('attach', { conversation: id });
    log.restart(newest);
    conversation.sawHead(newest.head);
    this.#book.emit('skipped', conversation, from, log.oldest ?? 0);
    this.#book.changed(conversation);
  }

  #retry(conversation: Conversation): void {
    const { id } = conversation;
    this.#later(id, RETRY_MS, () => {
      if (this.#book.known.get(id) === conversation) this.catchUp(conversation);
    });
  }

  /** Once at a time for each `what`. */
  #later(what: unknown, ms: number, act: () => void): void {
    if (this.#waiting.has(what)) return;
    this.#waiting.add(what);
    setTimeout(() => {
      this.#waiting.delete(what);
      act();
    }, ms);
  }
}

function isGone({ code }: { code: string }): boolean {
  return /not_found|forbidden/.test(code);
}

function isStopped(error: unknown): boolean {
  return (error as DardaError).code === 'stopped';
}
