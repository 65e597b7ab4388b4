// Brings what this device holds up to what the server has: the list of conversations, resuming after
// a lost connection, and closing the gaps of a log.

import { pause } from './backoff.js';

const LIST_PAGE = 100;
const MAX_LIST_PAGES = 10;
const RESUME_AT_ONCE = 100;
const PAGE = 200;
/** A gap wider than this many pages is not closed: the log starts again at its newest page. */
const MAX_GAP_PAGES = 5;
const MAX_ROUNDS = 3;
const RETRY_MS = 5000;
/** How long an entry's missing predecessor may be one's own whose ack is still on its way. */
const OWN_ACK_MS = 1000;

export class Sync {
  #connection;
  #book;
  #on;
  #running = false;
  #again = false;
  #catching = new Map();
  #later = new Map();

  /**
   * `book` has `all()`, `summary(item)`, `get(id)`, `forget(id)`; `on` has `changed(conversation)`
   * after each step and `sending(conversation)`: whether an ack is awaited.
   */
  constructor(connection, book, on) {
    this.#connection = connection;
    this.#book = book;
    this.#on = on;
  }

  /** After each connect, and when the list may be wrong. Runs once at a time, and once more if asked. */
  async run() {
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    try {
      do {
        this.#again = false;
        await this.#list();
        await this.#resume();
        await this.#reopen();
      } while (this.#again);
    } catch (error) {
      if (error.code !== 'stopped') setTimeout(() => this.run(), RETRY_MS);
    } finally {
      this.#running = false;
    }
    for (const conversation of this.#book.all()) this.check(conversation);
  }

  /** Catches up if the log has a gap, is behind its head, or was never attached though news came. */
  check(conversation) {
    const { log } = conversation;
    if (this.#running) return;
    const fresh = log.cursor === null && conversation.head > conversation.marks.delivered;
    if (log.broken) this.#unlessOwn(conversation);
    else if (fresh || log.isBehind(conversation.head)) this.catchUp(conversation);
  }

  #unlessOwn(conversation) {
    if (!this.#on.sending(conversation)) {
      this.catchUp(conversation);
    } else if (!this.#later.has(conversation.id)) {
      const timer = setTimeout(() => {
        this.#later.delete(conversation.id);
        if (conversation.log.broken) this.catchUp(conversation);
      }, OWN_ACK_MS);
      this.#later.set(conversation.id, timer);
    }
  }

  /** Resolves when the log is whole, or could not be made so now. Once at a time each. */
  catchUp(conversation) {
    const running = this.#catching.get(conversation.id);
    if (running) return running;
    const work = this.#catchUp(conversation).finally(() => {
      this.#catching.delete(conversation.id);
    });
    this.#catching.set(conversation.id, work);
    return work;
  }

  /** The page before the oldest entry that is held. */
  async older(conversation) {
    const { log } = conversation;
    const before = log.oldest;
    const fields = { conversation: conversation.id, limit: PAGE / 2 };
    if (before !== null) fields.before = before;
    const page = await this.#connection.ask('history', fields);
    log.pageBefore(before, page);
    this.#on.changed(conversation);
  }

  /** An entry that stands somewhere else than it was announced. */
  async fetchAt(conversation, position) {
    const { log } = conversation;
    if (log.cursor === null || position > log.cursor) {
      await this.catchUp(conversation);
      return;
    }
    const after = Math.max(0, position - 1);
    const fields = { conversation: conversation.id, after, limit: 1 };
    log.pageAfter(after, await this.#connection.ask('history', fields));
    this.#on.changed(conversation);
  }

  /** When the whole list has come, a conversation known before that is not in it is ours no more. */
  async #list() {
    const known = this.#book.all().filter(({ head }) => head > 0);
    const listed = new Set();
    let before;
    for (let pages = 0; pages < MAX_LIST_PAGES; pages += 1) {
      const fields = { limit: LIST_PAGE, ...(before === undefined ? {} : { before }) };
      const { conversations } = await this.#connection.ask('conversations', fields);
      for (const item of conversations) {
        listed.add(item.conversation);
        this.#on.changed(this.#book.summary(item));
      }
      before = conversations.at(-1)?.head;
      if (conversations.length < LIST_PAGE || before === undefined) {
        for (const conversation of known) {
          if (!listed.has(conversation.id)) this.#lost(conversation);
        }
        return;
      }
    }
  }

  async #resume() {
    const held = this.#book.all().filter(({ log }) => log.cursor !== null);
    for (let from = 0; from < held.length; from += RESUME_AT_ONCE) {
      const part = held.slice(from, from + RESUME_AT_ONCE);
      const cursors = part.map(({ id, log }) => ({ conversation: id, cursor: log.cursor }));
      const answer = await this.#connection.ask('resume', { cursors });
      for (const item of answer.conversations) {
        const conversation = this.#book.get(item.conversation);
        if (!conversation) continue;
        if (!item.error) await this.#take(conversation, item);
        else if (isGone(item.error)) this.#lost(conversation);
        else this.#retry(conversation);
      }
    }
  }

  async #catchUp(conversation) {
    const { log } = conversation;
    try {
      for (let round = 0; round < MAX_ROUNDS; round += 1) {
        const fields = { conversation: conversation.id };
        if (log.cursor !== null) fields.cursor = log.cursor;
        await this.#take(conversation, await this.#connection.ask('attach', fields));
        if (!log.broken && !log.isBehind(conversation.head)) return;
        await pause(100 * 2 ** round);
        if (!log.broken && !log.isBehind(conversation.head)) return;
      }
    } catch (error) {
      if (isGone(error)) this.#lost(conversation);
      else if (error.code !== 'stopped') this.#retry(conversation);
    }
  }

  /** Not ours any more. A direct conversation is for ever: if it is not there, it is empty. */
  #lost(conversation) {
    if (conversation.kind === 'direct') {
      conversation.empty();
      this.#on.changed(conversation);
    } else {
      this.#book.forget(conversation.id);
    }
  }

  /** A direct conversation comes into being with its first message; until then a node may forget it. */
  async #reopen() {
    for (const { known, kind, head, peer } of this.#book.all()) {
      if (known && kind === 'direct' && head === 0) {
        await this.#connection.ask('open_direct', { user: peer });
      }
    }
  }

  async #take(conversation, answer) {
    const { log } = conversation;
    const first = log.cursor === null;
    const after = log.cursor;
    log.attached(answer);
    conversation.sawHead(answer.head ?? 0);
    if (!answer.complete && !first) await this.#close(conversation, answer.gap?.after ?? after);
    if (answer.stale) this.#retry(conversation);
    this.#on.changed(conversation);
  }

  async #close(conversation, from) {
    const { log, id } = conversation;
    let after = from;
    for (let pages = 0; pages < MAX_GAP_PAGES; pages += 1) {
      const page = await this.#connection.ask('history', { conversation: id, after, limit: PAGE });
      log.pageAfter(after, page);
      if (!page.more || !log.broken) return;
      after = page.entries.at(-1).position;
    }
    log.restart(await this.#connection.ask('attach', { conversation: id }));
  }

  #retry(conversation) {
    setTimeout(() => {
      if (this.#book.get(conversation.id) === conversation) this.catchUp(conversation);
    }, RETRY_MS);
  }
}

function isGone({ code }) {
  return code === 'not_found' || code === 'forbidden';
}
