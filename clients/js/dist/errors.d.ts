import type { Failure } from './protocol.js';
/** Every error of the client. `code` is stable; `message` is a sentence for people. */
export declare class DardaError extends Error {
    readonly code: string;
    /** After how many milliseconds the same command can succeed; `undefined` if it never will. */
    readonly retryAfterMs: number | undefined;
    constructor(code: string, message: string, retryAfterMs?: number);
    /** Whether the same command can succeed later. */
    get transient(): boolean;
}
/** The server answered with an error, one of the codes of the protocol. */
export declare function refusal({ code, message, retry_after_ms }: Failure): DardaError;
/** `line_lost`: the connection was lost before the reply: the command may have been done or not. */
export declare function lineLost(): DardaError;
/** `stopped`: the client was stopped, or the server lets this user not in. */
export declare function stopped(): DardaError;
/** `busy`: a queue of this client is full. */
export declare function tooMany(): DardaError;
/** `unavailable`: no reply came in time; what was asked may have been done. */
export declare function late(): DardaError;
