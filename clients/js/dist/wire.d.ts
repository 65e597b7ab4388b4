import type { Hello, ServerEvent } from './protocol.js';
/** A reply that takes longer counts as lost; what was asked may have been done. */
export declare const REPLY_WITHIN_MS = 10000;
/** Commands that wait for a reply. More are refused, so that a stuck server fills no memory. */
export declare const MAX_PENDING = 1000;
/** The part of a WebSocket that is used. */
export interface Socket {
    onmessage: ((event: any) => void) | null;
    onclose: ((event: any) => void) | null;
    onerror: ((event: any) => void) | null;
    send(text: string): void;
    close(code?: number): void;
    /** Ends without a goodbye; the package `ws` has it, browsers do not. */
    terminate?(): void;
}
export type SocketConstructor = new (url: string, protocol: string) => Socket;
export interface WireEvents {
    hello(frame: Hello): void;
    event(frame: ServerEvent): void;
    /** Exactly once. */
    end(code: number): void;
}
export declare class Wire {
    #private;
    constructor(url: string, on: WireEvents, Socket: SocketConstructor);
    /** Sends a command. The promise ends with its reply or a `DardaError`. */
    request(cmd: string, fields: object): Promise<any>;
    get idle(): boolean;
    /** A goodbye. */
    close(): void;
    /** Ends at once: a peer that does not answer would not answer a close frame either. */
    abandon(): void;
}
