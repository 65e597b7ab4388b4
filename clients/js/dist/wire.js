// One socket, from its opening to its end: frames, the reply to each command, and the heartbeat that
// finds a dead peer. It never comes back; `Connection` makes the next one.
import { DardaError, late, lineLost, refusal, tooMany } from './errors.js';
import { ownEntry } from './protocol.js';
const SUBPROTOCOL = 'darda.v1';
const HELLO_WITHIN_MS = 10_000;
/** A reply that takes longer counts as lost; what was asked may have been done. */
export const REPLY_WITHIN_MS = 10_000;
/** Commands that wait for a reply. More are refused, so that a stuck server fills no memory. */
export const MAX_PENDING = 1000;
const DEFAULT_HEARTBEAT_MS = 20_000;
export class Wire {
    #socket;
    #on;
    #pending = new Map();
    #nextId = 1;
    #timer;
    #hello = null;
    #heard = true;
    #ended = false;
    constructor(url, on, Socket) {
        this.#on = on;
        this.#socket = new Socket(url, SUBPROTOCOL);
        this.#socket.onmessage = ({ data }) => this.#frame(data);
        this.#socket.onclose = ({ code }) => this.#end(code);
        // The end follows; unheard, some sockets throw it.
        this.#socket.onerror = () => { };
        this.#timer = setTimeout(() => this.abandon(), HELLO_WITHIN_MS);
    }
    /** Sends a command. The promise ends with its reply or a `DardaError`. */
    request(cmd, fields) {
        if (this.#ended)
            return Promise.reject(lineLost());
        if (this.#pending.size >= MAX_PENDING)
            return Promise.reject(tooMany());
        const id = this.#nextId++;
        const frame = JSON.stringify({ id, cmd, ...fields });
        const limit = this.#hello?.limits?.max_frame_bytes ?? Infinity;
        // The server would close the connection, and after each reconnect again.
        if (frame.length > limit / 3 && new TextEncoder().encode(frame).length > limit) {
            return Promise.reject(new DardaError('too_large', `a command is over ${limit} bytes`));
        }
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => {
                this.#pending.delete(id);
                reject(late());
            }, REPLY_WITHIN_MS);
            this.#pending.set(id, { cmd, fields, resolve, reject, timer });
            this.#socket.send(frame);
        });
    }
    get idle() {
        return this.#pending.size === 0;
    }
    /** A goodbye. */
    close() {
        this.#socket.close(1000);
        this.#end(1000);
    }
    /** Ends at once: a peer that does not answer would not answer a close frame either. */
    abandon() {
        if (this.#socket.terminate)
            this.#socket.terminate();
        else
            this.#socket.close();
        this.#end(1006);
    }
    #frame(data) {
        if (this.#ended)
            return;
        this.#heard = true;
        let frame;
        try {
            frame = JSON.parse(data);
        }
        catch {
            this.abandon();
            return;
        }
        if (frame.event === 'hello') {
            this.#hello = frame;
            clearTimeout(this.#timer);
            this.#timer = setInterval(() => this.#beat(), frame.heartbeat_ms ?? DEFAULT_HEARTBEAT_MS);
            this.#on.hello(frame);
        }
        else if (frame.event !== undefined) {
            this.#on.event(frame);
        }
        else {
            this.#reply(frame);
        }
    }
    #reply({ id, ok, error }) {
        const waiting = this.#pending.get(id);
        if (!waiting)
            return;
        this.#pending.delete(id);
        clearTimeout(waiting.timer);
        if (error) {
            waiting.reject(refusal(error));
            return;
        }
        const { cmd, fields } = waiting;
        const own = ownEntry(this.#hello?.user ?? '', cmd, fields, ok);
        if (own)
            this.#on.event(own);
        waiting.resolve(ok);
    }
    /** Nothing since the last beat, although that one asked for a reply: the peer is dead. */
    #beat() {
        if (!this.#heard) {
            this.abandon();
            return;
        }
        this.#heard = false;
        this.request('ping', {}).catch(() => {
            if (!this.#heard && !this.#ended)
                this.abandon();
        });
    }
    #end(code) {
        if (this.#ended)
            return;
        this.#ended = true;
        clearTimeout(this.#timer);
        for (const { reject, timer } of this.#pending.values()) {
            clearTimeout(timer);
            reject(lineLost());
        }
        this.#pending.clear();
        this.#on.end(code);
    }
}
