// One signed-in user's chat: the conversations, what happens to them, and what the user does. The
// views read it and call it; it calls `on` and knows no page.

import { Attention } from './attention.js';
import { Connection } from './connection.js';
import { Conversation } from './conversation.js';
import { Delivery } from './delivery.js';
import { Outbox } from './outbox.js';
import { Sync } from './sync.js';

/** After a page of history failed. */
const OLDER_AGAIN_MS = 3000;
/** Entries kept of a conversation when it is closed, and of the open one when they become too many. */
const KEEP_CLOSED = 300;
const KEEP_OPEN = 1000;
/** Entries of a closed conversation, and of an open one whose reader is at its end. */
const MAX_CLOSED = 1000;
const MAX_OPEN = 3000;

export class Chat {
  /** The conversation that is open, or `null`. */
  active = null;

  #connection;
  #outbox;
  #sync;
  #delivery;
  #attention;
  #on;
  #conversations = new Map();
  #asking = new Set();
  #noOlderBefore = 0;

  /**
   * `on` has `change()`, `notice(text)` for things to tell, `arrived(conversation, entry)` for each
   * new message by somebody else.
   */
  constructor(user, { url, storage, on, Socket, random }) {
    this.user = user;
    this.#on = on;
    this.#outbox = new Outbox(user, storage);
    this.#connection = new Connection(
      url,
      {
        online: () => this.#online(),
        event: (event) => this.#event(event),
        state: () => on.change(),
      },
      { Socket, random },
    );
    const book = {
      all: () => [...this.#conversations.values()],
      get: (id) => this.#conversations.get(id),
      summary: (item) => this.#summary(item),
      forget: (id) => this.#forget(id),
    };
    this.#sync = new Sync(this.#connection, book, {
      changed: (conversation) => this.#changed(conversation),
      sending: ({ id }) => this.#delivery.isSending(id),
    });
    this.#delivery = new Delivery(this.#connection, this.#outbox, {
      acked: (item, ack) => this.#acked(item, ack),
      refused: (item, message) => this.#refused(item, message),
    });
    this.#attention = new Attention(this.#connection, {
      active: () => this.active,
      changed: (conversation) => this.#changed(conversation),
    });
  }

  start() {
    this.#attention.start();
    for (const id of this.#outbox.conversations) this.#conversation(id);
    this.#connection.start();
  }

  stop() {
    this.#attention.stop();
    this.#connection.stop();
  }

  hurry() {
    this.#connection.hurry();
  }

  get state() {
    return this.#connection.state;
  }

  get maxTextBytes() {
    return this.#connection.hello?.limits?.max_text_bytes ?? 16 * 1024;
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
    this.#attention.stopTyping();
    this.active?.log.keepNewest(KEEP_CLOSED);
    this.active = conversation;
    this.#attention.looking = false;
    if (conversation.log.cursor === null) this.#sync.catchUp(conversation);
    this.#askAround(conversation);
    this.#changed(conversation);
  }

  close() {
    this.#attention.stopTyping();
    this.active?.log.keepNewest(KEEP_CLOSED);
    if (this.active) this.active.version += 1;
    this.active = null;
    this.#on.change();
  }

  /** Whether the user sees the end of the open conversation: what arrives there is then seen. */
  look(looking) {
    if (this.#attention.looking === looking) return;
    this.#attention.looking = looking;
    if (this.active) this.#attention.mark(this.active);
  }

  async openDirect(user) {
    const { conversation: id } = await this.#connection.ask('open_direct', { user });
    const conversation = this.#conversation(id);
    if (conversation.head === 0) {
      Object.assign(conversation, {
        known: true,
        kind: 'direct',
        peer: user,
        openedAt: Date.now(),
      });
    }
    this.open(id);
  }

  async createGroup(title, members, history) {
    const client_id = crypto.randomUUID();
    const fields = { client_id, title, members, history };
    const made = await this.#connection.ask('create_group', fields);
    const conversation = this.#conversation(made.conversation);
    Object.assign(conversation, { known: true, kind: 'group', title, role: 'owner' });
    conversation.sawHead(made.position);
    this.open(made.conversation);
  }

  /** `rename {title}`, `add {users}`, `remove {user}`, `set_role {user, role}`, `leave`. */
  async changeMembers(conversation, cmd, fields = {}) {
    const { id } = conversation;
    const client_id = crypto.randomUUID();
    const ack = await this.#connection.ask(cmd, { conversation: id, client_id, ...fields });
    if (cmd === 'leave') {
      this.#forget(id);
      return;
    }
    const change = cmd === 'set_role' ? { role: fields } : { [cmd]: fields };
    this.#take(conversation, ownEntry(this.user, id, client_id, ack, { type: 'members', change }));
    await this.loadMembers(conversation);
  }

  async loadMembers(conversation) {
    const answer = await this.#connection.ask('members', { conversation: conversation.id });
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
    this.#outbox.retry(clientId);
    this.#changed(conversation);
    this.#delivery.flush(conversation.id);
  }

  discard(conversation, clientId) {
    this.#outbox.settle(conversation.id, clientId);
    this.#changed(conversation);
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
      await this.#sync.older(conversation);
      this.#noOlderBefore = 0;
    });
  }

  // ---- what happens

  #online() {
    // Whoever resumes first sees the others' messages before its own waiting ones: as in the log.
    this.#sync.run().finally(() => this.#delivery.flushAll());
    if (this.active) this.#askAround(this.active);
  }

  #event(event) {
    const conversation = this.#conversations.get(event.conversation);
    switch (event.event) {
      case 'entry':
        this.#entry(conversation ?? this.#unlisted(event.conversation), event);
        break;
      case 'withdrawn':
        if (conversation) this.#withdrawn(conversation, event);
        break;
      case 'receipts':
        conversation?.receive(event.receipts);
        break;
      case 'typing':
        if (conversation && event.user !== this.user) this.#types(conversation, event);
        break;
      case 'joined':
        this.#sync.run();
        break;
      case 'left':
        if (conversation) this.#forget(event.conversation);
        break;
      case 'heads':
        this.#heads(event.heads);
        break;
      case 'gap':
        this.#gap(event);
        break;
      default:
    }
    this.#on.change();
  }

  #entry(conversation, entry) {
    const isNew = !conversation.log.has(entry.entry);
    if (entry.sender !== this.user) {
      conversation.types(entry.sender, false, () => {});
      conversation.presence.set(entry.sender, { online: true });
    }
    this.#take(conversation, entry);
    if (isNew && entry.type === 'message' && entry.sender !== this.user) {
      this.#on.arrived(conversation, entry);
    }
  }

  #take(conversation, entry) {
    const membersChanged = conversation.learn(entry);
    conversation.log.receive(entry);
    if (membersChanged && conversation.members !== null) this.#loadMembersSoon(conversation);
    this.#changed(conversation);
    this.#sync.check(conversation);
  }

  #withdrawn(conversation, { entry, position, stands }) {
    if (conversation.log.withdraw(entry, position, stands ?? null)) {
      this.#once(`at ${stands}`, () => this.#sync.fetchAt(conversation, stands));
    }
    this.#changed(conversation);
  }

  #types(conversation, { user, active }) {
    conversation.presence.set(user, { online: true });
    conversation.types(user, active, () => this.#on.change());
  }

  #heads(heads) {
    for (const { conversation: id, position } of heads) {
      const conversation = this.#conversations.get(id);
      if (conversation) {
        conversation.sawHead(position);
        this.#sync.check(conversation);
      } else {
        this.#sync.run();
      }
    }
  }

  #gap({ all, conversations = [] }) {
    if (all) this.#sync.run();
    for (const id of conversations) {
      const conversation = this.#conversations.get(id);
      if (conversation) this.#sync.catchUp(conversation);
    }
  }

  #acked(item, ack) {
    const conversation = this.#conversation(item.conversation);
    const type = item.cmd === 'send' ? 'message' : item.cmd;
    const body = { type, ...item.fields };
    this.#outbox.settle(item.conversation, item.clientId);
    this.#take(conversation, ownEntry(this.user, conversation.id, item.clientId, ack, body));
  }

  #refused(item, message) {
    const conversation = this.#conversation(item.conversation);
    if (item.cmd === 'send') {
      this.#outbox.failed(item, message);
    } else {
      this.#outbox.settle(item.conversation, item.clientId);
    }
    this.#on.notice(`Not done: ${message}`);
    this.#changed(conversation);
  }

  // ---- inside

  #append(conversation, cmd, fields) {
    try {
      this.#outbox.add(conversation.id, cmd, fields);
    } catch (error) {
      this.#on.notice(error.message);
      return;
    }
    this.#changed(conversation);
    this.#delivery.flush(conversation.id);
  }

  #conversation(id) {
    const held = this.#conversations.get(id);
    if (held) return held;
    const conversation = new Conversation(id, this.user, this.#outbox);
    this.#conversations.set(id, conversation);
    return conversation;
  }

  /** News of a conversation that the list has not named yet. */
  #unlisted(id) {
    const conversation = this.#conversation(id);
    this.#sync.run();
    return conversation;
  }

  #summary(item) {
    const conversation = this.#conversation(item.conversation);
    conversation.summarize(item);
    return conversation;
  }

  #forget(id) {
    const conversation = this.#conversations.get(id);
    if (!conversation) return;
    this.#conversations.delete(id);
    for (const item of this.#outbox.of(id)) this.#outbox.settle(id, item.clientId);
    if (conversation === this.active) {
      this.active = null;
      this.#on.notice(`You are no longer a member of ${conversation.name}.`);
    }
    this.#on.change();
  }

  #changed(conversation) {
    this.#settleHeld(conversation);
    this.#trim(conversation);
    conversation.version += 1;
    this.#attention.mark(conversation);
    this.#on.change();
  }

  /** Who reads in the past keeps what is held: it would be fetched again at once. */
  #trim(conversation) {
    const { log } = conversation;
    const open = conversation === this.active;
    if (open && !this.#attention.looking) return;
    if (log.entries.length > (open ? MAX_OPEN : MAX_CLOSED)) {
      log.keepNewest(open ? KEEP_OPEN : KEEP_CLOSED);
    }
  }

  /** What the log holds needs no sending, even if its ack was lost with a connection. */
  #settleHeld({ id, log }) {
    const waiting = this.#outbox.of(id);
    if (waiting.length === 0) return;
    const mine = log.entries.filter(({ sender }) => sender === this.user);
    const held = new Set(mine.map((entry) => entry.client_id));
    for (const { clientId } of waiting) {
      if (held.has(clientId)) this.#outbox.settle(id, clientId);
    }
  }

  #askAround(conversation) {
    const fields = { conversation: conversation.id };
    this.#once(`receipts ${conversation.id}`, async () => {
      const { receipts } = await this.#connection.ask('receipts', fields);
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

function ownEntry(sender, conversation, client_id, ack, body) {
  const { entry, position, prev } = ack;
  return { conversation, position, prev, entry, sender, client_id, ...body };
}
