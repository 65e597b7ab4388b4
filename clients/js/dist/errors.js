// What a command can end with other than its reply.
/** Every error of the client. `code` is stable; `message` is a sentence for people. */
export class DardaError extends Error {
    code;
    /** After how many milliseconds the same command can succeed; `undefined` if it never will. */
    retryAfterMs;
    constructor(code, message, retryAfterMs) {
        super(message);
        this.name = 'DardaError';
        this.code = code;
        this.retryAfterMs = retryAfterMs;
    }
    /** Whether the same command can succeed later. */
    get transient() {
        return this.retryAfterMs !== undefined;
    }
}
/** The server answered with an error, one of the codes of the protocol. */
export function refusal({ code, message, retry_after_ms }) {
    return new DardaError(code, message, retry_after_ms);
}
/** `line_lost`: the connection was lost before the reply: the command may have been done or not. */
export function lineLost() {
    return new DardaError('line_lost', 'the connection was lost', 0);
}
/** `stopped`: the client was stopped, or the server lets this user not in. */
export function stopped() {
    return new DardaError('stopped', 'the connection was ended');
}
/** `busy`: a queue of this client is full. */
export function tooMany() {
    return new DardaError('busy', 'too many commands wait for a reply', 1000);
}
/** `unavailable`: no reply came in time; what was asked may have been done. */
export function late() {
    return new DardaError('unavailable', 'no reply came in time', 100);
}
