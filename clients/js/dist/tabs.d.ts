import type { ConnectionOptions, Url } from './connection.js';
import { Line } from './line.js';
import type { LineEvents } from './line.js';
import type { Command, Fields, Reply } from './protocol.js';
/** Whether this browser has what it takes; without it each tab has a connection of its own. */
export declare function canShare(): boolean;
export declare class Tabs extends Line {
    #private;
    leads: boolean;
    /** `name`: the same in all tabs of a user, and of nobody else. */
    constructor(name: string, url: Url, on: LineEvents, options?: ConnectionOptions);
    start(): void;
    stop(): void;
    hurry(): void;
    share(message: unknown): void;
    request<C extends Command>(cmd: C, fields: Fields<C>): Promise<Reply<C>>;
}
