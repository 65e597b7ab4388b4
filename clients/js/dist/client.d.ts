import type { Random } from './backoff.js';
import type { Url } from './connection.js';
import { Conversation } from './conversation.js';
import { Emitter } from './emitter.js';
import { DardaError } from './errors.js';
import type { Ack, Command, Content, Entry, Fields, Hello, Queued, Receipt, Reply, Summary } from './protocol.js';
import type { Status } from './status.js';
import type { Item, Storage } from './storage.js';
import type { SocketConstructor } from './wire.js';
export interface ClientOptions {
    /** `ws://HOST/v1/ws` with whatever says who the user is; a function is asked for each connect. */
    url: Url;
    /** Where cursors and outbox are kept; in memory if it is not named. */
    storage?: Storage;
    /** The WebSocket constructor; `globalThis.WebSocket` if it is not named. */
    Socket?: SocketConstructor;
    /**
     * The name under which a browser's tabs share one connection and one outbox: the same in all tabs
     * of a user, and of nobody else. Tabs that share name the same storage. Without it, or where the
     * browser has no Web Locks, each has its own connection.
     */
    tabs?: string;
    /**
     * `true`: the app keeps what it is given, and gets what came after that, also after a restart: every
     * conversation is followed from its stored cursor. `false`: each start begins with the newest page,
     * of the conversations that are opened or have news.
     */
    resume?: boolean;
    /** A gap wider than this many pages of 200 entries is not closed but told as `skipped`; 50. */
    maxGapPages?: number;
    random?: Random;
}
export type Events = {
    /** Online, offline, behind…: see `client.status`. */
    status: [status: Status];
    /** Each entry once, in each conversation in order; `late`: its place is before others. */
    entry: [entry: Entry, conversation: Conversation, late: boolean];
    /** An entry that was given stands somewhere else now. */
    moved: [entry: Entry, conversation: Conversation];
    /** An entry does not stand at `position`; it stands at `stands`, or nowhere. */
    withdrawn: [entry: string, position: number, stands: number | null, conversation: Conversation];
    /** What lies between was not given: it is too much, and left to `ask('history')`. */
    skipped: [conversation: Conversation, after: number, before: number];
    /** The list of conversations says something of this one. */
    listed: [conversation: Conversation, summary: Summary];
    /** The user is no longer a member, or the conversation is no more. */
    left: [conversation: Conversation];
    /** The server has lost a direct conversation: it is empty now. */
    emptied: [conversation: Conversation];
    /** Its log or what waits in it changed: a reason to draw it again. */
    changed: [conversation: Conversation];
    receipts: [conversation: Conversation, receipts: Receipt[]];
    typing: [conversation: Conversation, user: string, active: boolean];
    /** What the user did will not succeed. It stays in the outbox until `retry` or `discard`. */
    refused: [item: Item, error: DardaError];
    /** The storage failed: what is in memory goes on, but would not outlive a restart. */
    trouble: [error: unknown];
};
/** Something on its way. Neither promise has to be listened to. */
export interface Outgoing {
    clientId: string;
    /** Fulfilled when the storage has it: from then on a restart loses nothing. */
    stored: Promise<void>;
    /** Fulfilled when the server has it; rejected if it is refused or discarded. */
    sent: Promise<Ack>;
}
export declare class Client extends Emitter<Events> {
    #private;
    constructor(options: ClientOptions);
    /** Loads what is kept and connects. Fulfilled when `send` may be called, online or not. */
    start(): Promise<void>;
    /** Ends the connection. What waits stays in the storage. Fulfilled when the cursors are kept. */
    stop(): Promise<void>;
    /** Tries now to connect: the network is back, or the user looks. */
    hurry(): void;
    get status(): Status;
    /** What the server said first; `null` before it did. */
    get hello(): Hello | null;
    get conversations(): Conversation[];
    get(conversation: string): Conversation | undefined;
    /** What waits to be sent in a conversation, oldest first. */
    outbox(conversation: string): readonly Item[];
    /** Sends a command until it is answered or fails for good, at most eight times. */
    ask<C extends Command>(cmd: C, fields: Fields<C>): Promise<Reply<C>>;
    /** Sends a command once. Rejects at once if there is no connection. */
    request<C extends Command>(cmd: C, fields: Fields<C>): Promise<Reply<C>>;
    /** The direct conversation with a user. Needs a connection. */
    openDirect(user: string): Promise<Conversation>;
    /** Begins to follow a conversation, if it is not followed yet. */
    open(id: string): Promise<Conversation>;
    /** One page more of history, before what is held. Nothing if the beginning is held. */
    older(id: string, limit?: number): Promise<void>;
    send(conversation: string, content: string | (Content & {
        reply_to?: string;
    }), clientId?: string): Outgoing;
    /**
     * `send`, `send_opaque`, `edit`, `delete`, `react` or `unreact`: into the outbox, and from there to
     * the server, whatever happens in between. Throws `outbox_full`, and `not_started` before `start`.
     */
    append<C extends Queued>(cmd: C, conversation: string, fields: Omit<Fields<C>, 'conversation' | 'client_id'>, clientId?: string): Outgoing;
    /** Tries again what was refused. */
    retry(conversation: string, clientId: string): void;
    /** Gives up what waits or was refused. It may have been sent already. */
    discard(conversation: string, clientId: string): void;
}
