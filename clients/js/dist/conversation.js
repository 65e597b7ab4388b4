// What the client knows of one conversation.
import { Log } from './log.js';
/** Entries held of a conversation, if the app says nothing else. */
export const MAX_HELD = 1000;
export class Conversation {
    id;
    log = new Log();
    /** The newest position that anybody spoke of. */
    head = 0;
    /** What the list of conversations said last; `null` until it did. */
    summary = null;
    /** The other user of a direct conversation, as far as it is known. */
    peer;
    /**
     * How many entries are held. Above, the oldest are let go, down to a third; those beyond the cursor
     * are not. `Infinity` for a reader who goes back in history.
     */
    limit = MAX_HELD;
    constructor(id) {
        this.id = id;
    }
    get direct() {
        return this.peer !== undefined;
    }
    summarize(summary) {
        this.summary = summary;
        this.peer = summary.peer;
        this.sawHead(summary.head);
    }
    sawHead(position = 0) {
        this.head = Math.max(this.head, position);
    }
    /** Whether the log is known to lack something. */
    get behind() {
        return this.log.broken || this.log.isBehind(this.head);
    }
    /** Whether something came that no device of the user has had yet. */
    get hasNews() {
        return this.log.cursor === null && this.head > (this.summary?.delivered ?? 0);
    }
    /** Nothing was ever written here, as far as the server knows. */
    empty() {
        this.head = 0;
        this.log = new Log();
        this.log.attached({ entries: [], complete: true });
    }
    trim() {
        if (this.log.entries.length > this.limit)
            this.log.keepNewest(Math.floor(this.limit / 3));
    }
}
