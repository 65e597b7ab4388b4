import type { Conversation } from './conversation.js';
import type { Line } from './line.js';
import type { Summary } from './protocol.js';
export declare const PAGE = 200;
export interface Book {
    all(): Conversation[];
    get(id: string): Conversation | undefined;
    summary(item: Summary): Conversation;
    /** It is the user's no more. */
    forget(conversation: Conversation): void;
    /** The server has lost a direct conversation; it is empty now. */
    emptied(conversation: Conversation): void;
    /** After each step: there may be something to give to the app. */
    changed(conversation: Conversation): void;
    /** Entries between were not given to the app: they are too many, and left to history. */
    skipped(conversation: Conversation, after: number, before: number): void;
    /** Whether an ack is awaited in it. */
    sending(conversation: Conversation): boolean;
    /** `behind` may have changed. */
    working(): void;
}
export interface SyncOptions {
    /** A gap wider than this many pages of 200 is not closed. */
    maxGapPages: number;
    /** Whether each conversation is attached, not only those that are opened or have news. */
    eager: boolean;
}
export declare class Sync {
    #private;
    constructor(line: Line, book: Book, options: SyncOptions);
    /** Whether something is being fetched that was missed. */
    get behind(): boolean;
    /** After each connect, and when the list may be wrong. Runs once at a time, and once more if asked. */
    run(): Promise<void>;
    /** Catches up if the log has a gap, is behind its head, or was never attached though news came. */
    check(conversation: Conversation): void;
    /** Resolves when the log is whole, or could not be made so now. Once at a time each. */
    catchUp(conversation: Conversation): Promise<void>;
    /** The page before the oldest entry that is held. */
    older(conversation: Conversation, limit: number): Promise<void>;
    /** An entry that stands somewhere else than it was announced, at or below the cursor. */
    fetchAt(conversation: Conversation, position: number): Promise<void>;
}
