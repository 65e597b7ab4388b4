// One signed-in user's chat: the conversations, what happens to them, and what the user does. The
// views read it and call it; it calls `on` and knows no page. What goes over the wire, and what waits
// to, is the client's.

import { Attention } from './attention.js';
import { Conversation } from './conversation.js';
import { Client } from './vendor/darda-client.js';

/** After a page of history failed. */
const OLDER_AGAIN_MS = 3000;
/** A gap wider than this many pages is not closed: the log starts again at its newest page. */
const MAX_GAP_PAGES = 5;
/** Entries kept of a conversation when it is closed. */
const KEEP_CLOSED = 300;
/** Entries of a closed conversation, and of an open one whose reader is at its end. */
const MAX_CLOSED = 1000;
const MAX_OPEN = 3000;

export class Chat {
  /** The conversation that is open, or `null`. */
  active = null;

  #client;
  #attention;
  #on;
  #conversations = new Map();
  #asking = new Set();
  #noOlderBefore = 0;
  #listedOnce = false;
  #wasOnline = false;

  /**
   * `on` has `change()`, `notice(text)` for things to tell, `arrived(conversation, entry)` for each
   * new message by somebody else. The rest are options of the client.
   */
  constructor(user, { on, ...options }) {
    this.user = user;
    this.#on = on;
    this.#client = new Client({ maxGapPages: MAX_GAP_PAGES, ...options });
    this.#attention = new Attention(this.#client, {
      active: () => this.active,
      changed: (conversation) => this.#changed(conversation),
    });
    this.#listen();
  }

  async start() {
    this.#attention.start();
    await this.#client.start();
  }

  stop() {
    this.#attention.stop();
    this.#client.stop();
  }

  hurry() {
    this.#client.hurry();
  }

  get state() {
    return this.#client.status.state;
  }

  get maxTextBytes() {
    return this.#client.hello?.limits?.max_text_bytes ?? 16 * 1024;
  }

  /** Newest first. */
  get conversations() {
    const known = [...this.#conversations.values()].filter((conversation) => conversation.known);
    return known.sort((a, b) => b.rank - a.rank);
  }

  get unread() {
    return this.conversations.reduce((sum, conversation) => sum + conversation.unread().count, 0);
  }

  // ---- what the user does

  open(id) {
    const conversation = this.#conversations.get(id);
    if (!conversation || conversation === this.active) return;
    this.#leave();
    this.active = conversation;
    this.#attention.looking = false;
    // Who reads in the past keeps what is held: it would be fetched again at once.
    conversation.hold(Infinity);
    this.#client.open(id);
    this.#askAround(conversation);
    this.#changed(conversation);
  }

  close() {
    this.#leave();
    this.active = null;
    this.#on.change();
  }

  /** Whether the user sees the end of the open conversation: what arrives there is then seen. */
  look(looking) {
    if (this.#attention.looking === looking) return;
    this.#attention.looking = looking;
    if (!this.active) return;
    this.active.hold(looking ? MAX_OPEN : Infinity);
    this.#attention.mark(this.active);
  }

  async openDirect(user) {
    const conversation = this.#conversation(await this.#client.openDirect(user));
    if (conversation.head === 0) {
      Object.assign(conversation, {
        known: true,
        kind: 'direct',
        peer: user,
        openedAt: Date.now(),
      });
    }
    this.open(conversation.id);
  }

  async createGroup(title, members, history) {
    const client_id = crypto.randomUUID();
    const fields = { client_id, title, members, history };
    const { conversation: id } = await this.#client.ask('create_group', fields);
    const conversation = this.#conversation(await this.#client.open(id));
    Object.assign(conversation, { known: true, kind: 'group', title, role: 'owner' });
    this.open(id);
  }

  /** `rename {title}`, `add {users}`, `remove {user}`, `set_role {user, role}`, `leave`. */
  async changeMembers(conversation, cmd, fields = {}) {
    const { id } = conversation;
    await this.#client.ask(cmd, { conversation: id, client_id: crypto.randomUUID(), ...fields });
    if (cmd !== 'leave') await this.loadMembers(conversation);
  }

  async loadMembers(conversation) {
    const answer = await this.#client.ask('members', { conversation: conversation.id });
    conversation.members = answer.members;
    if (answer.title) conversation.title = answer.title;
    const me = answer.members.find(({ user }) => user === this.user);
    conversation.role = me?.role ?? conversation.role;
    this.#changed(conversation);
  }

  send(conversation, text, replyTo = null) {
    const fields = replyTo === null ? { text } : { text, reply_to: replyTo };
    this.#attention.stopTyping();
    this.#append(conversation, 'send', fields);
  }

  edit(conversation, target, text) {
    this.#append(conversation, 'edit', { target, text });
  }

  remove(conversation, target) {
    this.#append(conversation, 'delete', { target });
  }

  /** Takes one's reaction back if it stands. */
  toggleReaction(conversation, row, reaction) {
    const stands = row.reactions.get(reaction)?.has(this.user);
    this.#append(conversation, stands ? 'unreact' : 'react', { target: row.id, reaction });
  }

  retry(conversation, clientId) {
    this.#client.retry(conversation.id, clientId);
  }

  discard(conversation, clientId) {
    this.#client.discard(conversation.id, clientId);
  }

  /** The user writes, or has emptied the field. */
  typing(active) {
    if (active && this.active) this.#attention.typing(this.active);
    else this.#attention.stopTyping();
  }

  /** One page more of history, if there is one. Once at a time. */
  loadOlder(conversation) {
    const { id, log } = conversation;
    if (log.started || log.cursor === null || Date.now() < this.#noOlderBefore) return;
    this.#once(`older ${id}`, async () => {
      this.#noOlderBefore = Date.now() + OLDER_AGAIN_MS;
      await this.#client.older(id);
      this.#noOlderBefore = 0;
    });
  }

  // ---- what happens

  #listen() {
    const client = this.#client;
    const on = (name, listener) =>
      client.on(name, (held, ...more) => {
        listener(this.#conversation(held), ...more);
        this.#on.change();
      });
    client.on('status', (status) => this.#status(status));
    client.on('entry', (entry, held) => this.#entry(this.#conversation(held), entry));
    client.on('left', ({ id }) => this.#forget(id));
    client.on('refused', (item, error) => this.#refused(item, error));
    client.on('trouble', () =>
      this.#on.notice('This browser keeps nothing: what waits is lost when you close the page.'),
    );
    on('listed', (conversation, item) => this.#listed(conversation, item));
    on('emptied', (conversation) => conversation.empty());
    on('changed', (conversation) => this.#changed(conversation));
    on('receipts', (conversation, receipts) => {
      conversation.receive(receipts);
    });
    on('typing', (conversation, user, active) => {
      if (user !== this.user) this.#types(conversation, user, active);
    });
  }

  #status({ state, behind }) {
    const online = state === 'online';
    if (online && !behind) this.#listedOnce = true;
    if (online && !this.#wasOnline && this.active) this.#askAround(this.active);
    this.#wasOnline = online;
    this.#on.change();
  }

  #listed(conversation, item) {
    if (!conversation.known && !this.#listedOnce) conversation.newsAfter = item.head ?? 0;
    conversation.summarize(item);
  }

  #entry(conversation, entry) {
    if (entry.position <= conversation.newsAfter) return;
    if (conversation.learn(entry) && conversation.members !== null) {
      this.#loadMembersSoon(conversation);
    }
    if (entry.sender === this.user) return;
    conversation.types(entry.sender, false, () => {});
    conversation.presence.set(entry.sender, { online: true });
    if (entry.type === 'message') this.#on.arrived(conversation, entry);
  }

  #types(conversation, user, active) {
    conversation.presence.set(user, { online: true });
    conversation.types(user, active, () => this.#on.change());
  }

  /** What one does again by a click, edits and reactions, is not kept to be tried again. */
  #refused({ cmd, conversation, clientId }, { message }) {
    if (cmd !== 'send' || !this.#conversations.has(conversation)) {
      this.#client.discard(conversation, clientId);
    }
    this.#on.notice(`Not done: ${message}`);
  }

  // ---- inside

  #append(conversation, cmd, fields) {
    try {
      this.#client.append(cmd, conversation.id, fields);
    } catch (error) {
      this.#on.notice(`Not done: ${error.message}`);
    }
  }

  #leave() {
    this.#attention.stopTyping();
    if (!this.active) return;
    this.active.hold(MAX_CLOSED, KEEP_CLOSED);
    this.active.version += 1;
  }

  #conversation(held) {
    const known = this.#conversations.get(held.id);
    if (known) return known;
    const conversation = new Conversation(held, this.user, this.#client);
    this.#conversations.set(held.id, conversation);
    return conversation;
  }

  #forget(id) {
    const conversation = this.#conversations.get(id);
    if (!conversation) return;
    this.#conversations.delete(id);
    for (const { clientId } of this.#client.outbox(id)) this.#client.discard(id, clientId);
    if (conversation === this.active) {
      this.active = null;
      this.#on.notice(`You are no longer a member of ${conversation.name}.`);
    }
    this.#on.change();
  }

  #changed(conversation) {
    conversation.version += 1;
    this.#attention.mark(conversation);
    this.#on.change();
  }

  #askAround(conversation) {
    const fields = { conversation: conversation.id };
    this.#once(`receipts ${conversation.id}`, async () => {
      const { receipts } = await this.#client.ask('receipts', fields);
      conversation.receive(receipts);
    });
    if (conversation.kind === 'group') this.#loadMembersSoon(conversation);
    this.#attention.askPresence();
  }

  #loadMembersSoon(conversation) {
    this.#once(`members ${conversation.id}`, () => this.loadMembers(conversation));
  }

  /** A question that is not asked again while it is open. Its failure leaves things as they are. */
  #once(name, ask) {
    if (this.#asking.has(name)) return;
    this.#asking.add(name);
    ask()
      .catch(() => {})
      .finally(() => {
        this.#asking.delete(name);
        this.#on.change();
      });
  }
}
