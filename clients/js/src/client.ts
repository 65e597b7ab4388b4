// One user's client: everything together, as an app holds it.

import type { Random } from './backoff.js';
import { Connection } from './connection.js';
import type { Url } from './connection.js';
import { Conversation } from './conversation.js';
import { Delivery } from './delivery.js';
import { Emitter } from './emitter.js';
import { DardaError } from './errors.js';
import { randomId } from './id.js';
import type { Line, LineEvents } from './line.js';
import { Outbox } from './outbox.js';
import type { Share } from './outbox.js';
import type {
  Ack,
  Command,
  Content,
  Entry,
  Fields,
  Hello,
  Queued,
  Receipt,
  Reply,
  ServerEvent,
  Summary,
} from './protocol.js';
import { status } from './status.js';
import type { Status } from './status.js';
import { MemoryStorage } from './storage.js';
import type { Item, Storage } from './storage.js';
import { Sync } from './sync.js';
import { Tabs, canShare } from './tabs.js';
import type { SocketConstructor } from './wire.js';

const MAX_GAP_PAGES = 50;
const OLDER_AT_ONCE = 100;

export interface ClientOptions {
  /** `ws://HOST/v1/ws` with whatever says who the user is; a function is asked for each connect. */
  url: Url;
  /** Where cursors and outbox are kept; in memory if it is not named. */
  storage?: Storage;
  /** The WebSocket constructor; `globalThis.WebSocket` if it is not named. */
  Socket?: SocketConstructor;
  /**
   * The name under which a browser's tabs share one connection and one outbox: the same in all tabs
   * of a user, and of nobody else. Tabs that share name the same storage. Without it, or where the
   * browser has no Web Locks, each has its own connection.
   */
  tabs?: string;
  /**
   * `true`: the app keeps what it is given, and gets what came after that, also after a restart: every
   * conversation is followed from its stored cursor. `false`: each start begins with the newest page,
   * of the conversations that are opened or have news.
   */
  resume?: boolean;
  /** A gap wider than this many pages of 200 entries is not closed but told as `skipped`; 50. */
  maxGapPages?: number;
  random?: Random;
}

export type Events = {
  /** Online, offline, behind…: see `client.status`. */
  status: [status: Status];
  /** Each entry once, in each conversation in order; `late`: its place is before others. */
  entry: [entry: Entry, conversation: Conversation, late: boolean];
  /** An entry that was given stands somewhere else now. */
  moved: [entry: Entry, conversation: Conversation];
  /** An entry does not stand at `position`; it stands at `stands`, or nowhere. */
  withdrawn: [entry: string, position: number, stands: number | null, conversation: Conversation];
  /** What lies between was not given: it is too much, and left to `ask('history')`. */
  skipped: [conversation: Conversation, after: number, before: number];
  /** The list of conversations says something of this one. */
  listed: [conversation: Conversation, summary: Summary];
  /** The user is no longer a member, or the conversation is no more. */
  left: [conversation: Conversation];
  /** The server has lost a direct conversation: it is empty now. */
  emptied: [conversation: Conversation];
  /** Its log or what waits in it changed: a reason to draw it again. */
  changed: [conversation: Conversation];
  receipts: [conversation: Conversation, receipts: Receipt[]];
  typing: [conversation: Conversation, user: string, active: boolean];
  /** What the user did will not succeed. It stays in the outbox until `retry` or `discard`. */
  refused: [item: Item, error: DardaError];
  /** The storage failed: what is in memory goes on, but would not outlive a restart. */
  trouble: [error: unknown];
};

/** Something on its way. Neither promise has to be listened to. */
export interface Outgoing {
  clientId: string;
  /** Fulfilled when the storage has it: from then on a restart loses nothing. */
  stored: Promise<void>;
  /** Fulfilled when the server has it; rejected if it is refused or discarded. */
  sent: Promise<Ack>;
}

interface Waiting {
  resolve(ack: Ack): void;
  reject(error: DardaError): void;
}

export class Client extends Emitter<Events> {
  #line: Line;
  #storage: Storage;
  #outbox: Outbox;
  #sync: Sync;
  #delivery: Delivery;
  #conversations = new Map<string, Conversation>();
  #waiting = new Map<string, Waiting>();
  #cursors = new Map<string, number | null>();
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
    const trouble = (error: unknown) => this.emit('trouble', error);
    this.#outbox = new Outbox(storage, {
      changed: (id) => {
        const conversation = this.#conversations.get(id);
        if (conversation) this.emit('changed', conversation);
      },
      share: (message) => this.#line.share(message),
      trouble,
    });
    this.#delivery = new Delivery(
      this.#line,
      this.#outbox,
      (item, error) => {
        this.#outbox.fail(item, error.message);
        this.#refuse(item, error);
      },
      random,
    );
    this.#sync = new Sync(
      this.#line,
      {
        all: () => this.conversations,
        get: (id) => this.#conversations.get(id),
        summary: (item) => {
          const conversation = this.#conversation(item.conversation);
          conversation.summarize(item);
          this.emit('listed', conversation, item);
          return conversation;
        },
        forget: (conversation) => this.#forget(conversation),
        emptied: (conversation) => this.emit('emptied', conversation),
        changed: (conversation) => this.#changed(conversation),
        skipped: (...skipped) => this.emit('skipped', ...skipped),
        sending: ({ id }) => this.#delivery.isSending(id) && this.#outbox.next(id) !== undefined,
        working: () => this.#tell(),
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
    if (!conversation.log.started) await this.#sync.older(conversation, limit);
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
    const item =
      this.#outbox.find(conversation, clientId) ??
      this.#outbox.add(conversation, cmd, fields, clientId, head === 0 ? peer : undefined);
    const sent = new Promise<Ack>((resolve, reject) => {
      this.#waiting.set(key(item), { resolve, reject });
    });
    const stored = this.#outbox.stored(item);
    for (const promise of [sent, stored]) promise.catch(() => {});
    this.#delivery.flush(conversation);
    return { clientId, stored, sent };
  }

  /** Tries again what was refused. */
  retry(conversation: string, clientId: string): void {
    const item = this.#outbox.find(conversation, clientId);
    if (!item) return;
    this.#outbox.fail(item, null);
    this.#delivery.flush(conversation);
  }

  /** Gives up what waits or was refused. It may have been sent already. */
  discard(conversation: string, clientId: string): void {
    const item = this.#outbox.find(conversation, clientId);
    if (!item) return;
    this.#outbox.discard(item);
    this.#reject(item, new DardaError('discarded', 'it was given up'));
  }

  // ---- what happens

  #online(): void {
    this.#resuming = true;
    this.#tell();
    // Whoever resumes first sees the others' messages before its own waiting ones: as in the log.
    const resumed = this.#loading!.then(() => this.#sync.run());
    resumed.then((whole) => {
      this.#resuming = false;
      this.#caughtUpOnce ||= whole;
      this.#tell();
      this.#delivery.flushAll();
    });
  }

  #event(event: ServerEvent): void {
    if (event.event === 'heads') {
      for (const { conversation, position } of event.heads) this.#head(conversation, position);
    } else if (event.event === 'gap') {
      if (event.all) this.#sync.run();
      for (const id of event.conversations ?? []) {
        const conversation = this.#conversations.get(id);
        if (conversation) this.#sync.catchUp(conversation);
      }
    } else if (event.event === 'joined') {
      this.#sync.run();
    } else if (event.event === 'entry') {
      this.#entry(event);
    } else if (event.event !== 'draining') {
      const conversation = this.#conversations.get(event.conversation);
      if (!conversation) return;
      if (event.event === 'withdrawn') this.#withdrawn(conversation, event);
      else if (event.event === 'receipts') this.emit('receipts', conversation, event.receipts);
      else if (event.event === 'typing') this.emit('typing', conversation, event.user, event.active);
      else if (event.event === 'left') this.#forget(conversation);
    }
  }

  #entry({ event: _, ...entry }: ServerEvent & { event: 'entry' }): void {
    const { conversation: id, sender } = entry;
    const mine = sender === this.hello?.user;
    if (mine) this.#settle(entry);
    if (mine && entry.type === 'members' && entry.change === 'leave') {
      const left = this.#conversations.get(id);
      if (left) this.#forget(left);
      return;
    }
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

  #head(id: string, position: number): void {
    const conversation = this.#conversations.get(id);
    if (!conversation) {
      this.#sync.run();
      return;
    }
    conversation.sawHead(position);
    this.#sync.check(conversation);
  }

  /** Gives the app what is in order now. */
  #changed(conversation: Conversation): void {
    const { log } = conversation;
    for (const { entry, how } of log.take()) {
      if (entry.sender === this.hello?.user) this.#settle(entry);
      if (how === 'moved') this.emit('moved', entry, conversation);
      else this.emit('entry', entry, conversation, how === 'late');
    }
    if (log.cursor !== null) this.#saveCursor(conversation.id, log.cursor);
    conversation.trim();
    this.emit('changed', conversation);
  }

  #forget(conversation: Conversation): void {
    this.#conversations.delete(conversation.id);
    this.#saveCursor(conversation.id, null);
    this.emit('left', conversation);
  }

  // ---- the outbox

  #settle({ conversation, client_id: clientId, entry, position, prev }: Entry): void {
    const item = this.#outbox.settle(conversation, clientId);
    if (!item) return;
    this.#waiting.get(key(item))?.resolve({ entry, position, prev, repeat: false });
    this.#waiting.delete(key(item));
  }

  #refuse(item: Item, error: DardaError): void {
    this.#reject(item, error);
    this.emit('refused', item, error);
  }

  #reject(item: Item, error: DardaError): void {
    this.#waiting.get(key(item))?.reject(error);
    this.#waiting.delete(key(item));
  }

  /** Another tab added something to the outbox, or took something out. */
  #shared(message: Share): void {
    this.#outbox.take(message);
    if ('drop' in message) {
      this.#reject(message.drop, new DardaError('discarded', 'it was given up'));
      return;
    }
    const { conversation, clientId, failure } = message.put;
    const user = this.hello?.user;
    const held = this.#conversations.get(conversation)?.log.entries.find(
      (entry) => entry.client_id === clientId && entry.sender === user,
    );
    if (held) this.#settle(held);
    else if (failure !== null) this.#refuse(message.put, new DardaError('refused', failure));
    else this.#delivery.flush(conversation);
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
      for (const { conversation } of items) this.#conversation(conversation);
      this.#outbox.load(items);
      if (first && this.#resume) {
        for (const [id, cursor] of cursors) this.#conversation(id).log.begin(cursor);
        this.#caughtUpOnce = cursors.length > 0;
      }
    } catch (error) {
      this.emit('trouble', error);
    }
    this.#ready = true;
  }

  #saveCursor(id: string, cursor: number | null): void {
    if (!this.#resume || !this.#line.leads || this.#cursors.get(id) === cursor) return;
    this.#cursors.set(id, cursor);
    this.#saving ??= this.#save();
  }

  /** One write at a time; what changes meanwhile goes into the next one. */
  async #save(): Promise<void> {
    await null;
    const saved = new Map<string, number | null>();
    for (;;) {
      const batch = [...this.#cursors].filter(([id, cursor]) => saved.get(id) !== cursor);
      if (batch.length === 0) break;
      for (const [id, cursor] of batch) saved.set(id, cursor);
      await this.#storage.setCursors(batch).catch((error) => this.emit('trouble', error));
    }
    this.#saving = null;
  }

  // ---- inside

  #conversation(id: string): Conversation {
    const held = this.#conversations.get(id);
    if (held) return held;
    const conversation = new Conversation(id);
    if (this.#resume && this.#caughtUpOnce) conversation.log.begin(0);
    this.#conversations.set(id, conversation);
    return conversation;
  }

  #tell(): void {
    const { status } = this;
    const told = `${status.state} ${status.behind} ${status.text}`;
    if (told === this.#told) return;
    this.#told = told;
    this.emit('status', status);
  }
}

function key({ conversation, clientId }: Item): string {
  return `${conversation} ${clientId}`;
}
