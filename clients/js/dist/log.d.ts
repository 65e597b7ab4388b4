import type { Attached, Entry, Page } from './protocol.js';
/** Entries held beyond a gap. What comes above is fetched when the gap is closed. */
export declare const MAX_AHEAD = 1000;
/**
 * `next`: in order. `late`: it stands before entries that were given already, since a part of the
 * server had lost its memory. `moved`: it was given before, and stands somewhere else now.
 */
export type How = 'next' | 'late' | 'moved';
export interface Given {
    entry: Entry;
    how: How;
}
export declare class Log {
    #private;
    /** The newest position up to which nothing is missing; `null` before the first attach. */
    cursor: number | null;
    /** The entries that are held, by position. Not to be changed. */
    get entries(): readonly Entry[];
    /** Whether the log's beginning is held. */
    get started(): boolean;
    get oldest(): number | null;
    get newest(): number | null;
    has(id: string): boolean;
    get(id: string): Entry | undefined;
    /** Whether entries between the cursor and the newest one are missing: attach. */
    get broken(): boolean;
    /** Whether a log whose head is at this position has something that is not held: attach. */
    isBehind(head: number): boolean;
    /** What the app is to be given since the last call, in this order. */
    take(): Given[];
    /** Begins after a cursor that was kept from before. */
    begin(cursor: number): void;
    /** A live entry, or one's own after its ack. Whether anything changed. */
    receive(entry: Entry): boolean;
    /** The answer to attach or resume, asked with the cursor. Without one it is the newest page. */
    attached({ entries, complete, gap, head }: Attached): void;
    /** The page after `after`, fetched to close a gap. */
    pageAfter(after: number, { entries }: Pick<Page, 'entries'>): void;
    /** The page before `before`, fetched for a reader who goes back. It is not given to the app. */
    pageBefore(before: number | null, { entries, more }: Page): void;
    /** A gap that is too wide to close: the newest page stands for the log. */
    restart({ entries, head }: Attached): void;
    /** An entry does not stand at `position`. Whether the one at `stands` has to be fetched. */
    withdraw(id: string, position: number, stands: number | null): boolean;
    /** Forgets all but the newest `count` entries, and none beyond the cursor. */
    keepNewest(count: number): void;
}
