import { Log } from './log.js';
import type { Summary } from './protocol.js';
/** Entries held of a conversation, if the app says nothing else. */
export declare const MAX_HELD = 1000;
export declare class Conversation {
    readonly id: string;
    log: Log;
    /** The newest position that anybody spoke of. */
    head: number;
    /** What the list of conversations said last; `null` until it did. */
    summary: Summary | null;
    /** The other user of a direct conversation, as far as it is known. */
    peer: string | undefined;
    /**
     * How many entries are held. Above, the oldest are let go, down to a third; those beyond the cursor
     * are not. `Infinity` for a reader who goes back in history.
     */
    limit: number;
    constructor(id: string);
    get direct(): boolean;
    summarize(summary: Summary): void;
    sawHead(position?: number): void;
    /** Whether the log is known to lack something. */
    get behind(): boolean;
    /** Whether something came that no device of the user has had yet. */
    get hasNews(): boolean;
    /** Nothing was ever written here, as far as the server knows. */
    empty(): void;
    trim(): void;
}
