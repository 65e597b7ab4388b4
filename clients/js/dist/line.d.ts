import type { Random } from './backoff.js';
import { DardaError } from './errors.js';
import type { Command, Fields, Hello, Reply, ServerEvent } from './protocol.js';
/**
 * `connecting` until the first hello, then `online` and `offline` in turn; `refused` when the server
 * lets this user not in, and `stopped` after `stop()`.
 */
export type State = 'connecting' | 'online' | 'offline' | 'refused' | 'stopped';
export interface LineEvents {
    /** For each new connection: events before it may be lost, so resume. */
    online(hello: Hello): void;
    event(frame: ServerEvent): void;
    state(state: State): void;
    /** What another tab said with `share`. */
    shared?(message: unknown): void;
    /** From now on this tab takes what waits in the outbox to the server. */
    leads?(): void;
}
export declare abstract class Line {
    #private;
    state: State;
    hello: Hello | null;
    /** Why there is no connection: a WebSocket close code, 0 for no reason yet. */
    closeCode: number;
    /** Whether it falls to this tab to deliver what waits. */
    leads: boolean;
    protected readonly on: LineEvents;
    protected readonly random: Random;
    constructor(on: LineEvents, random?: Random);
    abstract start(): void;
    abstract stop(): void;
    /** Tries now instead of when the wait is over: the network is back, or the user looks. */
    abstract hurry(): void;
    /** Sends a command once, on the connection there is. */
    abstract request<C extends Command>(cmd: C, fields: Fields<C>): Promise<Reply<C>>;
    /** Says something to the other tabs; they get it as `shared`. */
    share(_message: unknown): void;
    /** Sends a command that may be repeated, until it succeeds or fails for good. */
    ask<C extends Command>(cmd: C, fields: Fields<C>): Promise<Reply<C>>;
    protected gone(): DardaError;
    protected become(state: State): void;
}
