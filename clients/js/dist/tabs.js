// The line of a browser with several tabs: one of them, which holds a Web Lock, has the connection;
// the others ask it over a BroadcastChannel. When its tab is closed, crashes or hangs, another takes
// over.
import { Connection } from './connection.js';
import { DardaError, late, lineLost, stopped, tooMany } from './errors.js';
import { randomId } from './id.js';
import { Line } from './line.js';
import { MAX_PENDING, REPLY_WITHIN_MS } from './wire.js';
/** How often a tab asks whether the one with the connection is there. */
const WATCH_MS = 3000;
/** After so many questions without an answer its lock is taken from it. */
const SILENT = 2;
/** A reply that takes longer than the one with the connection would wait itself. */
const ANSWER_WITHIN_MS = REPLY_WITHIN_MS + 2000;
/** Whether this browser has what it takes; without it each tab has a connection of its own. */
export function canShare() {
    return !!globalThis.navigator?.locks && typeof BroadcastChannel === 'function';
}
export class Tabs extends Line {
    leads = false;
    #name;
    #url;
    #options;
    #me = randomId();
    #channel = null;
    #inner = null;
    #quit = new AbortController();
    #release = null;
    #leader = '';
    #turn = 0;
    #pending = new Map();
    #nextId = 1;
    #watch;
    #silent = 0;
    /** `name`: the same in all tabs of a user, and of nobody else. */
    constructor(name, url, on, options = {}) {
        super(on, options.random);
        this.#name = name;
        this.#url = url;
        this.#options = options;
    }
    start() {
        this.#channel = new BroadcastChannel(this.#name);
        this.#channel.onmessage = ({ data }) => this.#heard(data);
        this.#queue();
        this.#say({ is: 'who' });
        this.#watch = setInterval(() => this.#look(), WATCH_MS);
    }
    stop() {
        clearInterval(this.#watch);
        this.become('stopped');
        this.#lose(stopped());
        this.#quit.abort();
        const inner = this.#inner;
        this.#inner = null;
        inner?.stop();
        this.#release?.();
        this.#channel?.close();
        this.#channel = null;
    }
    hurry() {
        if (this.#inner)
            this.#inner.hurry();
        else
            this.#say({ is: 'hurry' });
    }
    share(message) {
        this.#say({ is: 'share', message });
    }
    request(cmd, fields) {
        if (this.#inner)
            return this.#inner.request(cmd, fields);
        if (this.state !== 'online')
            return Promise.reject(this.gone());
        if (this.#pending.size >= MAX_PENDING)
            return Promise.reject(tooMany());
        const n = this.#nextId++;
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => {
                this.#pending.delete(n);
                reject(late());
            }, ANSWER_WITHIN_MS);
            this.#pending.set(n, { resolve, reject, timer });
            this.#say({ is: 'ask', from: this.#me, n, cmd, fields });
        });
    }
    #say(message) {
        this.#channel?.postMessage(message);
    }
    /** Waits for the lock, or takes it at once. */
    #queue(steal = false) {
        const { signal } = this.#quit;
        const options = steal ? { steal } : { signal };
        navigator.locks
            .request(this.#name, options, () => {
            if (signal.aborted)
                return undefined;
            return new Promise((release) => {
                this.#release = release;
                this.#lead();
            });
        })
            .catch(() => this.#follow());
    }
    #lead() {
        this.leads = true;
        this.#leader = this.#me;
        this.#lose(lineLost());
        const inner = new Connection(this.#url, {
            online: (hello) => {
                if (inner !== this.#inner)
                    return;
                this.#turn += 1;
                this.hello = hello;
                this.#tell();
                this.on.online(hello);
            },
            event: (frame) => {
                if (inner !== this.#inner)
                    return;
                this.#say({ is: 'event', frame });
                this.on.event(frame);
            },
            state: (state) => {
                if (inner !== this.#inner)
                    return;
                this.closeCode = inner.closeCode;
                this.become(state);
                // `online` follows, with the hello.
                if (state !== 'online')
                    this.#tell();
            },
        }, this.#options);
        this.#inner = inner;
        this.become('connecting');
        this.#tell();
        this.on.leads?.();
        inner.start();
    }
    /** The lock was taken from this tab, since it seemed to hang. */
    #follow() {
        if (!this.leads || this.#quit.signal.aborted)
            return;
        this.leads = false;
        const inner = this.#inner;
        this.#inner = null;
        inner?.stop();
        this.#leader = '';
        this.become('connecting');
        this.#queue();
        this.#say({ is: 'who' });
    }
    #tell() {
        const { state, closeCode: code, hello } = this;
        this.#say({ is: 'state', from: this.#me, state, code, hello, turn: this.#turn });
    }
    #heard(message) {
        const inner = this.#inner;
        switch (message.is) {
            case 'share':
                this.on.shared?.(message.message);
                return;
            case 'who':
                if (inner)
                    this.#tell();
                return;
            case 'hurry':
                inner?.hurry();
                return;
            case 'ask':
                if (inner)
                    this.#answer(inner, message);
                return;
            default:
        }
        if (inner)
            return;
        this.#silent = 0;
        if (message.is === 'event')
            this.on.event(message.frame);
        else if (message.is === 'state')
            this.#learn(message);
        else if (message.to === this.#me)
            this.#settle(message);
    }
    #answer(inner, { from: to, n, cmd, fields }) {
        inner.request(cmd, fields).then((ok) => this.#say({ is: 'reply', to, n, ok }), ({ code, message, retryAfterMs }) => this.#say({ is: 'reply', to, n, error: [code, message, retryAfterMs] }));
    }
    #settle({ n, ok, error }) {
        const waiting = this.#pending.get(n);
        if (!waiting)
            return;
        this.#pending.delete(n);
        clearTimeout(waiting.timer);
        if (error)
            waiting.reject(new DardaError(...error));
        else
            waiting.resolve(ok);
    }
    #learn({ from, state, code, hello, turn }) {
        const isNew = from !== this.#leader || turn !== this.#turn;
        if (from !== this.#leader)
            this.#lose(lineLost());
        this.#leader = from;
        this.#turn = turn;
        this.closeCode = code;
        this.hello = hello;
        const before = this.state;
        this.become(state);
        if (state === 'online' && hello && (isNew || before !== 'online'))
            this.on.online(hello);
    }
    #lose(error) {
        for (const { reject, timer } of this.#pending.values()) {
            clearTimeout(timer);
            reject(error);
        }
        this.#pending.clear();
    }
    /** A tab that nobody sees may be asleep itself, and takes nothing from anybody. */
    #look() {
        if (this.#inner || globalThis.document?.hidden)
            return;
        this.#silent += 1;
        if (this.#silent > SILENT) {
            this.#silent = 0;
            this.#quit.abort();
            this.#quit = new AbortController();
            this.#queue(true);
        }
        else {
            this.#say({ is: 'who' });
        }
    }
}
