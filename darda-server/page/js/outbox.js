// What the user has done and the server has not acknowledged yet. Kept in the tab's storage, so that
// a reload loses nothing: a client id names the same entry for ever, however often it is sent.

/** Items that may wait. More are refused, with a word to the user. */
const MAX_ITEMS = 500;

export class OutboxFull extends Error {
  constructor() {
    super('Too many messages are waiting to be sent.');
    this.name = 'OutboxFull';
  }
}

/**
 * An item: `{conversation, clientId, cmd, fields, at, tried, failure}`. `tried` says that it may
 * have reached the server before: its next send is marked `resend`. `failure` is the sentence of an
 * error that no repeat can help.
 */
export class Outbox {
  #storage;
  #key;
  #items;

  constructor(user, storage) {
    this.#storage = storage;
    this.#key = `darda.outbox.${user}`;
    this.#items = this.#load();
  }

  add(conversation, cmd, fields, clientId = crypto.randomUUID()) {
    if (this.#items.length >= MAX_ITEMS) throw new OutboxFull();
    const item = {
      conversation,
      clientId,
      cmd,
      fields,
      at: Date.now(),
      tried: false,
      failure: null,
    };
    this.#items.push(item);
    this.#save();
    return item;
  }

  /** What waits in a conversation, oldest first. */
  of(conversation) {
    return this.#items.filter((item) => item.conversation === conversation);
  }

  /** The next one to send: one at a time, so that the log keeps the order of writing. */
  next(conversation) {
    return this.#items.find((item) => item.conversation === conversation && !item.failure);
  }

  get conversations() {
    return [...new Set(this.#items.map((item) => item.conversation))];
  }

  /** Called before each send, so that a reload in between knows of it. */
  trying(item) {
    if (item.tried) return;
    item.tried = true;
    this.#save();
  }

  failed(item, failure) {
    item.failure = failure;
    this.#save();
  }

  retry(clientId) {
    const item = this.#items.find((it) => it.clientId === clientId);
    if (!item) return;
    item.failure = null;
    this.#save();
  }

  /** It is in the log, or the user gave it up. */
  settle(conversation, clientId) {
    const at = this.#items.findIndex(
      (item) => item.clientId === clientId && item.conversation === conversation,
    );
    if (at < 0) return false;
    this.#items.splice(at, 1);
    this.#save();
    return true;
  }

  has(item) {
    return this.#items.includes(item);
  }

  #load() {
    try {
      const items = JSON.parse(this.#storage.getItem(this.#key) ?? '[]');
      return Array.isArray(items) ? items : [];
    } catch {
      return [];
    }
  }

  #save() {
    try {
      if (this.#items.length === 0) this.#storage.removeItem(this.#key);
      else this.#storage.setItem(this.#key, JSON.stringify(this.#items));
    } catch {
      // A full or forbidden storage: the items still go out as long as the page stays.
    }
  }
}
