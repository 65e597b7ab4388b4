// One user's client: everything together, as an app holds it.

import { Connection } from './connection.js';
import { Conversation } from './conversation.js';
import { Emitter } from './emitter.js';
import { DardaError } from './errors.js';
import { randomId } from './id.js';
import type { Line, LineEvents } from './line.js';
import type { ClientOptions, Events } from './options.js';
import { Outbox } from './outbox.js';
import type { Outgoing, Share } from './outbox.js';
import type {
  Command,
  Content,
  Fields,
  Hello,
  Queued,
  Reply,
  ServerEvent,
} from './protocol.js';
import { status } from './status.js';
import type { Status } from './status.js';
import { MemoryStorage } from './storage.js';
import type { Item, Storage } from './storage.js';
import { Sync } from './sync.js';
import { Tabs, canShare } from './tabs.js';

const MAX_GAP_PAGES = 50;
/** Has a cursor once the list has come: a conversation that is not known then is a new one. */
const ANY = '';
const OLDER_AT_ONCE = 100;

export class Client extends Emitter<Events> {
  #line: Line;
  #storage: Storage;
  #outbox: Outbox;
  #sync: Sync;
  #conversations = new Map<string, Conversation>();
  #unsaved = new Map<string, number | null>();
  #resume: boolean;
  #loading: Promise<void> | null = null;
  #ready = false;
  #saving: Promise<void> | null = null;
  #resuming = false;
  /** Whether conversations that are not known yet are new, and not only new to this device. */
  #caughtUpOnce = false;
  #told = '';

  constructor(options: ClientOptions) {
    super();
    const { url, storage = new MemoryStorage(), Socket, random, tabs } = options;
    this.#storage = storage;
    this.#resume = options.resume ?? false;
    const on: LineEvents = {
      online: () => this.#online(),
      event: (event) => this.#event(event),
      // Online is told with what has to be fetched first.
      state: (state) => state !== 'online' && this.#tell(),
      shared: (message) => this.#shared(message as Share),
      leads: () => this.#takeOver(),
    };
    this.#line =
      tabs !== undefined && canShare()
        ? new Tabs(tabs, url, on, { Socket, random })
        : new Connection(url, on, { Socket, random });
    this.#outbox = new Outbox(this.#line, storage, {
      changed: (id) => {
        const conversation = this.get(id);
        if (conversation) this.emit('changed', conversation);
      },
      refused: (...refused) => this.emit('refused', ...refused),
      trouble: (error) => this.emit('trouble', error),
    });
    this.#sync = new Sync(
      this.#line,
      {
        known: this.#conversations,
        at: (id) => this.#conversation(id),
        forget: (conversation) => this.#forget(conversation),
        changed: (conversation) => this.#changed(conversation),
        sending: (id) => this.#outbox.sending(id),
        working: () => this.#tell(),
        emit: (name, ...event) => this.emit(name, ...(event as Events[typeof name])),
      },
      { maxGapPages: options.maxGapPages ?? MAX_GAP_PAGES, eager: this.#resume },
    );
  }

  /** Loads what is kept and connects. Fulfilled when `send` may be called, online or not. */
  async start(): Promise<void> {
    this.#loading ??= this.#load(true);
    this.#line.start();
    await this.#loading;
  }

  /** Ends the connection. What waits stays in the storage. Fulfilled when the cursors are kept. */
  async stop(): Promise<void> {
    this.#line.stop();
    await this.#saving;
  }

  /** Tries now to connect: the network is back, or the user looks. */
  hurry(): void {
    this.#line.hurry();
  }

  get status(): Status {
    const { state, closeCode } = this.#line;
    const behind = this.#resuming || this.#sync.behind;
    return status(state, state === 'online' && behind, closeCode);
  }

  /** What the server said first; `null` before it did. */
  get hello(): Hello | null {
    return this.#line.hello;
  }

  get conversations(): Conversation[] {
    return [...this.#conversations.values()];
  }

  get(conversation: string): Conversation | undefined {
    return this.#conversations.get(conversation);
  }

  /** What waits to be sent in a conversation, oldest first. */
  outbox(conversation: string): readonly Item[] {
    return this.#outbox.of(conversation);
  }

  // ---- what the user does

  /** Sends a command until it is answered or fails for good, at most eight times. */
  ask<C extends Command>(cmd: C, fields: Fields<C>): Promise<Reply<C>> {
    return this.#line.ask(cmd, fields);
  }

  /** Sends a command once. Rejects at once if there is no connection. */
  request<C extends Command>(cmd: C, fields: Fields<C>): Promise<Reply<C>> {
    return this.#line.request(cmd, fields);
  }

  /** The direct conversation with a user. Needs a connection. */
  async openDirect(user: string): Promise<Conversation> {
    const { conversation: id } = await this.ask('open_direct', { user });
    const conversation = this.#conversation(id);
    conversation.peer = user;
    return conversation;
  }

  /** Begins to follow a conversation, if it is not followed yet. */
  async open(id: string): Promise<Conversation> {
    const conversation = this.#conversation(id);
    if (conversation.log.cursor === null) await this.#sync.catchUp(conversation);
    return conversation;
  }

  /** One page more of history, before what is held. Nothing if the beginning is held. */
  async older(id: string, limit = OLDER_AT_ONCE): Promise<void> {
    const conversation = await this.open(id);
    const { cursor, started } = conversation.log;
    if (cursor !== null && !started) await this.#sync.older(conversation, limit);
  }

  send(
    conversation: string,
    content: string | (Content & { reply_to?: string }),
    clientId?: string,
  ): Outgoing {
    const fields = typeof content === 'string' ? { text: content } : content;
    return this.append('send', conversation, fields, clientId);
  }

  /**
   * `send`, `send_opaque`, `edit`, `delete`, `react` or `unreact`: into the outbox, and from there to
   * the server, whatever happens in between. Throws `outbox_full`, and `not_started` before `start`.
   */
  append<C extends Queued>(
    cmd: C,
    conversation: string,
    fields: Omit<Fields<C>, 'conversation' | 'client_id'>,
    clientId = randomId(),
  ): Outgoing {
    if (!this.#ready) throw new DardaError('not_started', 'the client was not started');
    const { peer, head } = this.#conversation(conversation);
    return this.#outbox.add(cmd, conversation, fields, clientId, head === 0 ? peer : undefined);
  }

  /** Tries again what was refused. */
  retry(conversation: string, clientId: string): void {
    this.#outbox.retry(conversation, clientId);
  }

  /** Gives up what waits or was refused. It may have been sent already. */
  discard(conversation: string, clientId: string): void {
    this.#outbox.discard(conversation, clientId);
  }

  // ---- what happens

  #online(): void {
    this.#resuming = true;
    this.#tell();
    // Whoever resumes first sees the others' messages before its own waiting ones: as in the log.
    const resumed = this.#loading!.then(() => this.#sync.run());
    resumed.then((whole) => {
      this.#resuming = false;
      if (whole && !this.#caughtUpOnce) this.#saveCursor(ANY, 0);
      this.#caughtUpOnce ||= whole;
      this.#tell();
      this.#outbox.flushAll();
    });
  }

  #event(event: ServerEvent): void {
    const name = event.event;
    if (name === 'heads') {
      for (const { conversation: id, position } of event.heads) {
        const known = this.get(id);
        known?.sawHead(position);
        if (known) this.#sync.check(known);
        else this.#sync.run();
      }
    } else if (name === 'joined' || (name === 'gap' && event.all)) {
      this.#sync.run();
    } else if (name === 'gap') {
      for (const id of event.conversations ?? []) {
        const known = this.get(id);
        if (known) this.#sync.catchUp(known);
      }
    } else if (name === 'entry') {
      this.#entry(event);
    } else if (name !== 'draining') {
      const known = this.get(event.conversation);
      if (!known) return;
      if (name === 'withdrawn') this.#withdrawn(known, event);
      else if (name === 'receipts') this.emit(name, known, event.receipts);
      else if (name === 'typing') this.emit(name, known, event.user, event.active);
      else if (name === 'left') this.#forget(known);
    }
  }

  #entry({ event: _, ...entry }: ServerEvent & { event: 'entry' }): void {
    const { conversation: id, sender } = entry;
    if (sender === this.hello?.user) this.#outbox.settle(entry);
    const unlisted = !this.#conversations.has(id);
    const conversation = this.#conversation(id);
    if (unlisted) this.#sync.run();
    conversation.sawHead(entry.position);
    conversation.log.receive(entry);
    this.#changed(conversation);
    this.#sync.check(conversation);
  }

  #withdrawn(
    conversation: Conversation,
    { entry, position, stands }: ServerEvent & { event: 'withdrawn' },
  ): void {
    const fetch = conversation.log.withdraw(entry, position, stands ?? null);
    this.emit('withdrawn', entry, position, stands ?? null, conversation);
    if (fetch) this.#sync.fetchAt(conversation, stands!);
    this.#changed(conversation);
  }

  /** Gives the app what is in order now. The cursor is kept when the app is done with it. */
  #changed(conversation: Conversation): void {
    const { log, id, told, doing } = conversation;
    const { cursor } = log;
    const more: unknown[] = [];
    for (const { entry, how } of log.take()) {
      if (entry.sender === this.hello?.user) this.#outbox.settle(entry);
      if (how === 'moved') this.emit(how, entry, conversation);
      else more.push(...this.emit('entry', entry, conversation, how === 'late'));
    }
    conversation.told = cursor;
    if (doing || more.length > 0) {
      const all = (conversation.doing = Promise.all([doing, ...more]).then(() => {
        if (conversation.doing === all) conversation.doing = null;
        if (this.get(id) === conversation) this.#saveCursor(id, cursor);
      }));
      all.catch(() => {});
    } else if (told !== cursor) {
      this.#saveCursor(id, cursor);
    }
    conversation.trim();
    this.emit('changed', conversation);
  }

  #forget(conversation: Conversation): void {
    const { id } = conversation;
    if (this.get(id) !== conversation) return;
    this.#conversations.delete(id);
    this.#saveCursor(id, null);
    this.emit('left', conversation);
  }

  /** Another tab added something to the outbox, or took something out. */
  #shared(message: Share): void {
    this.#outbox.hear(message);
    if (!('put' in message)) return;
    const { conversation, clientId } = message.put;
    const { user } = this.hello ?? {};
    // It may have been sent and acknowledged before this tab heard of it.
    for (const entry of this.get(conversation)?.log.entries ?? []) {
      if (entry.client_id === clientId && entry.sender === user) this.#outbox.settle(entry);
    }
  }

  /** This tab has the connection from now on, and what another one may have left half done. */
  #takeOver(): void {
    this.#outbox.suspect();
    if (this.#ready) this.#loading = this.#load(false);
    for (const { id, log } of this.conversations) {
      if (log.cursor !== null) this.#saveCursor(id, log.cursor);
    }
  }

  // ---- the storage

  async #load(first: boolean): Promise<void> {
    try {
      const { items, cursors } = await this.#storage.load();
      // One that has no entry yet is opened again, or the server would not know it.
      for (const { conversation, peer } of items) this.#conversation(conversation).peer ??= peer;
      this.#outbox.load(items);
      if (first && this.#resume) {
        for (const [id, cursor] of cursors)
          if (id !== ANY) this.#conversation(id).log.begin(cursor);
        this.#caughtUpOnce = cursors.length > 0;
      }
    } catch (error) {
      this.emit('trouble', error);
    }
    this.#ready = true;
  }

  #saveCursor(id: string, cursor: number | null): void {
    if (!this.#resume || !this.#line.leads) return;
    this.#unsaved.set(id, cursor);
    this.#saving ??= this.#save();
  }

  /** One write at a time; what changes meanwhile goes into the next one. */
  async #save(): Promise<void> {
    await null;
    while (this.#unsaved.size > 0) {
      const cursors = [...this.#unsaved];
      this.#unsaved.clear();
      await this.#storage.setCursors(cursors).catch((error) => this.emit('trouble', error));
    }
    this.#saving = null;
  }

  // ---- inside

  #conversation(id: string): Conversation {
    const held = this.get(id);
    if (held) return held;
    const conversation = new Conversation(id);
    if (this.#resume && this.#caughtUpOnce) conversation.log.begin(0);
    this.#conversations.set(id, conversation);
    return conversation;
  }

  #tell(): void {
    const { status } = this;
    if (status.text === this.#told) return;
    this.#told = status.text;
    this.emit('status', status);
  }
}
