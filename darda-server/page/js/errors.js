// What a command can end with other than its reply.

const TRANSIENT = new Set(['rate_limited', 'busy', 'unavailable', 'conflict', 'closed']);

/** The server answered with an error. */
export class CommandError extends Error {
  constructor({ code, message, retry_after_ms: retryAfterMs }) {
    super(message);
    this.name = 'CommandError';
    this.code = code;
    this.retryAfterMs = retryAfterMs ?? 1000;
  }

  /** Whether the same command can succeed later. */
  get transient() {
    return TRANSIENT.has(this.code);
  }
}

/** The socket was lost before the reply came: the command may have been done or not. */
export class LineLost extends Error {
  constructor() {
    super('the connection was lost');
    this.name = 'LineLost';
    this.code = 'line_lost';
    this.retryAfterMs = 0;
  }

  get transient() {
    return true;
  }
}

/** The user signed out: nobody waits for the reply any more. */
export class Stopped extends Error {
  constructor() {
    super('the connection was ended');
    this.name = 'Stopped';
    this.code = 'stopped';
    this.retryAfterMs = 0;
  }

  get transient() {
    return false;
  }
}
