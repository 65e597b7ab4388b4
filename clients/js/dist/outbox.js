// What the user has done and the server has not acknowledged yet, in the order in which it was done.
// The tabs of a browser share one: what one of them adds or gives up, the others are told.
import { DardaError } from './errors.js';
/** Items that may wait. More are refused, with a word to the user. */
export const MAX_ITEMS = 500;
export class Outbox {
    #storage;
    #on;
    #items = [];
    #tried = new WeakSet();
    #kept = new WeakMap();
    constructor(storage, on) {
        this.#storage = storage;
        this.#on = on;
    }
    /** Items of a storage: what they were when it was written. Each may have been sent before. */
    load(items) {
        for (const item of items)
            this.take({ put: item });
        this.suspect();
    }
    /** Another one may have sent these: the next send of each says so. */
    suspect() {
        for (const item of this.#items)
            this.#tried.add(item);
    }
    add(conversation, cmd, fields, clientId, peer) {
        if (this.#items.length >= MAX_ITEMS) {
            throw new DardaError('outbox_full', 'too many messages wait to be sent');
        }
        const seq = (this.#items.at(-1)?.seq ?? 0) + 1;
        const item = { conversation, clientId, cmd, fields, at: Date.now(), seq, failure: null };
        if (peer !== undefined)
            item.peer = peer;
        this.#items.push(item);
        this.#keep(item);
        return item;
    }
    /** What another tab says. */
    take(message) {
        const item = 'put' in message ? message.put : message.drop;
        const held = this.find(item.conversation, item.clientId);
        if ('drop' in message) {
            if (held)
                this.#remove(held);
        }
        else if (held) {
            held.failure = item.failure;
        }
        else {
            const before = this.#items.findLastIndex(({ seq }) => seq <= item.seq);
            this.#items.splice(before + 1, 0, item);
        }
        this.#on.changed(item.conversation);
    }
    /** What waits in a conversation, oldest first. */
    of(conversation) {
        return this.#items.filter((item) => item.conversation === conversation);
    }
    find(conversation, clientId) {
        return this.#items.find((item) => item.clientId === clientId && item.conversation === conversation);
    }
    /** The next one to send: one at a time, so that the log keeps the order of writing. */
    next(conversation) {
        return this.#items.find((item) => item.conversation === conversation && item.failure === null);
    }
    get conversations() {
        return [...new Set(this.#items.map((item) => item.conversation))];
    }
    get size() {
        return this.#items.length;
    }
    /** When the storage has it, or has failed. */
    async kept(item) {
        await this.#kept.get(item)?.catch(() => { });
    }
    /** Whether the storage has it; rejects if it failed. */
    stored(item) {
        return this.#kept.get(item) ?? Promise.resolve();
    }
    /** Whether it may have been sent before. Called for each send. */
    trying(item) {
        const before = this.#tried.has(item);
        this.#tried.add(item);
        return before;
    }
    fail(item, failure) {
        item.failure = failure;
        this.#keep(item);
    }
    /** It is in the log. Every tab sees that for itself. */
    settle(conversation, clientId) {
        const item = this.find(conversation, clientId);
        if (item)
            this.#remove(item);
        return item;
    }
    /** The user gave it up. */
    discard(item) {
        this.#remove(item);
        this.#on.share({ drop: item });
    }
    #keep(item) {
        const kept = this.#storage.put(item);
        this.#kept.set(item, kept);
        kept
            .catch((error) => this.#on.trouble(error))
            // The tab that delivers must not be faster than the storage.
            .then(() => {
            if (this.#items.includes(item))
                this.#on.share({ put: item });
        });
        this.#on.changed(item.conversation);
    }
    #remove(item) {
        this.#items.splice(this.#items.indexOf(item), 1);
        this.#storage
            .remove(item.conversation, item.clientId)
            .catch((error) => this.#on.trouble(error));
        this.#on.changed(item.conversation);
    }
}
