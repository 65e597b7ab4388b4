// One user's client: everything together, as an app holds it.
import { Connection } from './connection.js';
import { Conversation } from './conversation.js';
import { Delivery } from './delivery.js';
import { Emitter } from './emitter.js';
import { DardaError } from './errors.js';
import { randomId } from './id.js';
import { Outbox } from './outbox.js';
import { status } from './status.js';
import { MemoryStorage } from './storage.js';
import { Sync } from './sync.js';
import { Tabs, canShare } from './tabs.js';
const MAX_GAP_PAGES = 50;
const OLDER_AT_ONCE = 100;
export class Client extends Emitter {
    #line;
    #storage;
    #outbox;
    #sync;
    #delivery;
    #conversations = new Map();
    #waiting = new Map();
    #cursors = new Map();
    #resume;
    #loading = null;
    #ready = false;
    #saving = null;
    /** Whether conversations that are not known yet are new, and not only new to this device. */
    #caughtUpOnce = false;
    #told = '';
    constructor(options) {
        super();
        const { url, storage = new MemoryStorage(), Socket, random, tabs } = options;
        this.#storage = storage;
        this.#resume = options.resume ?? false;
        const on = {
            online: () => this.#online(),
            event: (event) => this.#event(event),
            state: () => this.#tell(),
            shared: (message) => this.#shared(message),
            leads: () => this.#takeOver(),
        };
        this.#line =
            tabs !== undefined && canShare()
                ? new Tabs(tabs, url, on, { Socket, random })
                : new Connection(url, on, { Socket, random });
        const trouble = (error) => this.emit('trouble', error);
        this.#outbox = new Outbox(storage, {
            changed: (id) => {
                const conversation = this.#conversations.get(id);
                if (conversation)
                    this.emit('changed', conversation);
            },
            share: (message) => this.#line.share(message),
            trouble,
        });
        this.#delivery = new Delivery(this.#line, this.#outbox, (item, error) => {
            this.#outbox.fail(item, error.message);
            this.#refuse(item, error);
        }, random);
        this.#sync = new Sync(this.#line, {
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
        }, { maxGapPages: options.maxGapPages ?? MAX_GAP_PAGES, eager: this.#resume });
    }
    /** Loads what is kept and connects. Fulfilled when `send` may be called, online or not. */
    async start() {
        this.#loading ??= this.#load(true);
        this.#line.start();
        await this.#loading;
    }
    /** Ends the connection. What waits stays in the storage. Fulfilled when the cursors are kept. */
    async stop() {
        this.#line.stop();
        await this.#saving;
    }
    /** Tries now to connect: the network is back, or the user looks. */
    hurry() {
        this.#line.hurry();
    }
    get status() {
        const { state, closeCode } = this.#line;
        return status(state, state === 'online' && this.#sync.behind, closeCode);
    }
    /** What the server said first; `null` before it did. */
    get hello() {
        return this.#line.hello;
    }
    get conversations() {
        return [...this.#conversations.values()];
    }
    get(conversation) {
        return this.#conversations.get(conversation);
    }
    /** What waits to be sent in a conversation, oldest first. */
    outbox(conversation) {
        return this.#outbox.of(conversation);
    }
    // ---- what the user does
    /** Sends a command until it is answered or fails for good, at most eight times. */
    ask(cmd, fields) {
        return this.#line.ask(cmd, fields);
    }
    /** Sends a command once. Rejects at once if there is no connection. */
    request(cmd, fields) {
        return this.#line.request(cmd, fields);
    }
    /** The direct conversation with a user. Needs a connection. */
    async openDirect(user) {
        const { conversation: id } = await this.ask('open_direct', { user });
        const conversation = this.#conversation(id);
        conversation.peer = user;
        return conversation;
    }
    /** Begins to follow a conversation, if it is not followed yet. */
    async open(id) {
        const conversation = this.#conversation(id);
        if (conversation.log.cursor === null)
            await this.#sync.catchUp(conversation);
        return conversation;
    }
    /** One page more of history, before what is held. Nothing if the beginning is held. */
    async older(id, limit = OLDER_AT_ONCE) {
        const conversation = await this.open(id);
        if (!conversation.log.started)
            await this.#sync.older(conversation, limit);
    }
    send(conversation, content, clientId) {
        const fields = typeof content === 'string' ? { text: content } : content;
        return this.append('send', conversation, fields, clientId);
    }
    /**
     * `send`, `send_opaque`, `edit`, `delete`, `react` or `unreact`: into the outbox, and from there to
     * the server, whatever happens in between. Throws `outbox_full`, and `not_started` before `start`.
     */
    append(cmd, conversation, fields, clientId = randomId()) {
        if (!this.#ready)
            throw new DardaError('not_started', 'the client was not started');
        const { peer, head } = this.#conversation(conversation);
        const item = this.#outbox.find(conversation, clientId) ??
            this.#outbox.add(conversation, cmd, fields, clientId, head === 0 ? peer : undefined);
        const sent = new Promise((resolve, reject) => {
            this.#waiting.set(key(item), { resolve, reject });
        });
        const stored = this.#outbox.stored(item);
        for (const promise of [sent, stored])
            promise.catch(() => { });
        this.#delivery.flush(conversation);
        return { clientId, stored, sent };
    }
    /** Tries again what was refused. */
    retry(conversation, clientId) {
        const item = this.#outbox.find(conversation, clientId);
        if (!item)
            return;
        this.#outbox.fail(item, null);
        this.#delivery.flush(conversation);
    }
    /** Gives up what waits or was refused. It may have been sent already. */
    discard(conversation, clientId) {
        const item = this.#outbox.find(conversation, clientId);
        if (!item)
            return;
        this.#outbox.discard(item);
        this.#reject(item, new DardaError('discarded', 'it was given up'));
    }
    // ---- what happens
    #online() {
        this.#tell();
        // Whoever resumes first sees the others' messages before its own waiting ones: as in the log.
        const resumed = this.#loading.then(() => this.#sync.run());
        resumed.then(() => {
            this.#caughtUpOnce = true;
            this.#delivery.flushAll();
        });
    }
    #event(event) {
        if (event.event === 'heads') {
            for (const { conversation, position } of event.heads)
                this.#head(conversation, position);
        }
        else if (event.event === 'gap') {
            if (event.all)
                this.#sync.run();
            for (const id of event.conversations ?? []) {
                const conversation = this.#conversations.get(id);
                if (conversation)
                    this.#sync.catchUp(conversation);
            }
        }
        else if (event.event === 'joined') {
            this.#sync.run();
        }
        else if (event.event === 'entry') {
            this.#entry(event);
        }
        else if (event.event !== 'draining') {
            const conversation = this.#conversations.get(event.conversation);
            if (!conversation)
                return;
            if (event.event === 'withdrawn')
                this.#withdrawn(conversation, event);
            else if (event.event === 'receipts')
                this.emit('receipts', conversation, event.receipts);
            else if (event.event === 'typing')
                this.emit('typing', conversation, event.user, event.active);
            else if (event.event === 'left')
                this.#forget(conversation);
        }
    }
    #entry({ event: _, ...entry }) {
        const { conversation: id, sender } = entry;
        const mine = sender === this.hello?.user;
        if (mine)
            this.#settle(entry);
        if (mine && entry.type === 'members' && entry.change === 'leave') {
            const left = this.#conversations.get(id);
            if (left)
                this.#forget(left);
            return;
        }
        const unlisted = !this.#conversations.has(id);
        const conversation = this.#conversation(id);
        if (unlisted)
            this.#sync.run();
        conversation.sawHead(entry.position);
        conversation.log.receive(entry);
        this.#changed(conversation);
        this.#sync.check(conversation);
    }
    #withdrawn(conversation, { entry, position, stands }) {
        const fetch = conversation.log.withdraw(entry, position, stands ?? null);
        this.emit('withdrawn', entry, position, stands ?? null, conversation);
        if (fetch)
            this.#sync.fetchAt(conversation, stands);
        this.#changed(conversation);
    }
    #head(id, position) {
        const conversation = this.#conversations.get(id);
        if (!conversation) {
            this.#sync.run();
            return;
        }
        conversation.sawHead(position);
        this.#sync.check(conversation);
    }
    /** Gives the app what is in order now. */
    #changed(conversation) {
        const { log } = conversation;
        for (const { entry, how } of log.take()) {
            if (entry.sender === this.hello?.user)
                this.#settle(entry);
            if (how === 'moved')
                this.emit('moved', entry, conversation);
            else
                this.emit('entry', entry, conversation, how === 'late');
        }
        if (log.cursor !== null)
            this.#saveCursor(conversation.id, log.cursor);
        conversation.trim();
        this.emit('changed', conversation);
    }
    #forget(conversation) {
        this.#conversations.delete(conversation.id);
        this.#saveCursor(conversation.id, null);
        this.emit('left', conversation);
    }
    // ---- the outbox
    #settle({ conversation, client_id: clientId, entry, position, prev }) {
        const item = this.#outbox.settle(conversation, clientId);
        if (!item)
            return;
        this.#waiting.get(key(item))?.resolve({ entry, position, prev, repeat: false });
        this.#waiting.delete(key(item));
    }
    #refuse(item, error) {
        this.#reject(item, error);
        this.emit('refused', item, error);
    }
    #reject(item, error) {
        this.#waiting.get(key(item))?.reject(error);
        this.#waiting.delete(key(item));
    }
    /** Another tab added something to the outbox, or took something out. */
    #shared(message) {
        this.#outbox.take(message);
        if ('drop' in message) {
            this.#reject(message.drop, new DardaError('discarded', 'it was given up'));
            return;
        }
        const { conversation, clientId, failure } = message.put;
        const user = this.hello?.user;
        const held = this.#conversations.get(conversation)?.log.entries.find((entry) => entry.client_id === clientId && entry.sender === user);
        if (held)
            this.#settle(held);
        else if (failure !== null)
            this.#refuse(message.put, new DardaError('refused', failure));
        else
            this.#delivery.flush(conversation);
    }
    /** This tab has the connection from now on, and what another one may have left half done. */
    #takeOver() {
        this.#outbox.suspect();
        if (this.#ready)
            this.#loading = this.#load(false);
        for (const { id, log } of this.conversations) {
            if (log.cursor !== null)
                this.#saveCursor(id, log.cursor);
        }
    }
    // ---- the storage
    async #load(first) {
        try {
            const { items, cursors } = await this.#storage.load();
            for (const { conversation } of items)
                this.#conversation(conversation);
            this.#outbox.load(items);
            if (first && this.#resume) {
                for (const [id, cursor] of cursors)
                    this.#conversation(id).log.begin(cursor);
                this.#caughtUpOnce = cursors.length > 0;
            }
        }
        catch (error) {
            this.emit('trouble', error);
        }
        this.#ready = true;
    }
    #saveCursor(id, cursor) {
        if (!this.#resume || !this.#line.leads || this.#cursors.get(id) === cursor)
            return;
        this.#cursors.set(id, cursor);
        this.#saving ??= this.#save();
    }
    /** One write at a time; what changes meanwhile goes into the next one. */
    async #save() {
        await null;
        const saved = new Map();
        for (;;) {
            const batch = [...this.#cursors].filter(([id, cursor]) => saved.get(id) !== cursor);
            if (batch.length === 0)
                break;
            for (const [id, cursor] of batch)
                saved.set(id, cursor);
            await this.#storage.setCursors(batch).catch((error) => this.emit('trouble', error));
        }
        this.#saving = null;
    }
    // ---- inside
    #conversation(id) {
        const held = this.#conversations.get(id);
        if (held)
            return held;
        const conversation = new Conversation(id);
        if (this.#resume && this.#caughtUpOnce)
            conversation.log.begin(0);
        this.#conversations.set(id, conversation);
        return conversation;
    }
    #tell() {
        const { status } = this;
        const told = `${status.state} ${status.behind} ${status.text}`;
        if (told === this.#told)
            return;
        this.#told = told;
        this.emit('status', status);
    }
}
function key({ conversation, clientId }) {
    return `${conversation} ${clientId}`;
}
