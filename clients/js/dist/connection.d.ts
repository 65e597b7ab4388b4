import type { Random } from './backoff.js';
import { Line } from './line.js';
import type { LineEvents } from './line.js';
import type { Command, Fields, Reply } from './protocol.js';
import type { SocketConstructor } from './wire.js';
/** The address, or what gives a new one for each try: a token in it may run out. */
export type Url = string | URL | (() => string | URL);
export interface ConnectionOptions {
    Socket?: SocketConstructor | undefined;
    random?: Random | undefined;
}
export declare class Connection extends Line {
    #private;
    constructor(url: Url, on: LineEvents, { Socket, random }?: ConnectionOptions);
    start(): void;
    stop(): void;
    hurry(): void;
    request<C extends Command>(cmd: C, fields: Fields<C>): Promise<Reply<C>>;
}
