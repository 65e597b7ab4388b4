// What a command can end with other than its reply.

/** Every error of the client. `code` is stable; `message` is a sentence for people. */
export class DardaError extends Error {
  readonly code: string;
  /** After how many milliseconds the same command can succeed; `undefined` if it never will. */
  readonly retryAfterMs: number | undefined;

  constructor(code: string, message: string, retryAfterMs?: number) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether the same command can succeed later. */
  get transient(): boolean {
    return this.retryAfterMs !== undefined;
  }
}

/** `line_lost`: the connection was lost before the reply: the command may have been done or not. */
export function lineLost(): DardaError {
  return new DardaError('line_lost', 'the connection was lost', 0);
}

/** `stopped`: the client was stopped, or the server lets this user not in. */
export function stopped(): DardaError {
  return new DardaError('stopped', 'the connection was ended');
}
