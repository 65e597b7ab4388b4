// What the rest of the client stands on: a way to the server, which may be a connection of one's own
// or one that another tab holds.
import { after, pause } from './backoff.js';
import { DardaError, lineLost, stopped, tooMany } from './errors.js';
import { MAX_PENDING } from './wire.js';
/** How often `ask` repeats a command before it gives up. */
const ATTEMPTS = 8;
export class Line {
    state = 'connecting';
    hello = null;
    /** Why there is no connection: a WebSocket close code, 0 for no reason yet. */
    closeCode = 0;
    /** Whether it falls to this tab to deliver what waits. */
    leads = true;
    on;
    random;
    #waiters = [];
    constructor(on, random = Math.random) {
        this.on = on;
        this.random = random;
    }
    /** Says something to the other tabs; they get it as `shared`. */
    share(_message) { }
    /** Sends a command that may be repeated, until it succeeds or fails for good. */
    async ask(cmd, fields) {
        for (let attempt = 1;; attempt += 1) {
            await this.#whenOnline();
            try {
                return await this.request(cmd, fields);
            }
            catch (error) {
                const wait = error.retryAfterMs;
                if (wait === undefined || attempt >= ATTEMPTS)
                    throw error;
                if ('client_id' in fields)
                    fields = { ...fields, resend: true };
                await pause(after(wait, this.random));
            }
        }
    }
    gone() {
        return this.state === 'stopped' || this.state === 'refused' ? stopped() : lineLost();
    }
    become(state) {
        if (this.state === state || this.state === 'stopped')
            return;
        this.state = state;
        if (state !== 'offline' && state !== 'connecting') {
            const waiters = this.#waiters;
            this.#waiters = [];
            for (const { resolve, reject } of waiters) {
                if (state === 'online')
                    resolve();
                else
                    reject(stopped());
            }
        }
        this.on.state(state);
    }
    #whenOnline() {
        if (this.state === 'online')
            return Promise.resolve();
        const gone = this.gone();
        if (!gone.transient)
            return Promise.reject(gone);
        if (this.#waiters.length >= MAX_PENDING)
            return Promise.reject(tooMany());
        return new Promise((resolve, reject) => {
            this.#waiters.push({ resolve, reject });
        });
    }
}
