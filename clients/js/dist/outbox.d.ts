import type { Queued } from './protocol.js';
import type { Item, Storage } from './storage.js';
/** Items that may wait. More are refused, with a word to the user. */
export declare const MAX_ITEMS = 500;
/** What one tab tells the others. */
export type Share = {
    put: Item;
} | {
    drop: Item;
};
export interface OutboxEvents {
    changed(conversation: string): void;
    share(message: Share): void;
    /** The storage failed: the items still go out as long as the process lives. */
    trouble(error: unknown): void;
}
export declare class Outbox {
    #private;
    constructor(storage: Storage, on: OutboxEvents);
    /** Items of a storage: what they were when it was written. Each may have been sent before. */
    load(items: Item[]): void;
    /** Another one may have sent these: the next send of each says so. */
    suspect(): void;
    add(conversation: string, cmd: Queued, fields: Item['fields'], clientId: string, peer?: string): Item;
    /** What another tab says. */
    take(message: Share): void;
    /** What waits in a conversation, oldest first. */
    of(conversation: string): Item[];
    find(conversation: string, clientId: string): Item | undefined;
    /** The next one to send: one at a time, so that the log keeps the order of writing. */
    next(conversation: string): Item | undefined;
    get conversations(): string[];
    get size(): number;
    /** When the storage has it, or has failed. */
    kept(item: Item): Promise<void>;
    /** Whether the storage has it; rejects if it failed. */
    stored(item: Item): Promise<void>;
    /** Whether it may have been sent before. Called for each send. */
    trying(item: Item): boolean;
    fail(item: Item, failure: string | null): void;
    /** It is in the log. Every tab sees that for itself. */
    settle(conversation: string, clientId: string): Item | undefined;
    /** The user gave it up. */
    discard(item: Item): void;
}
