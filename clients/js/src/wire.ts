// One socket, from its opening to its end: frames, the reply to each command, and the heartbeat that
// finds a dead peer. It never comes back; `Connection` makes the next one.

import { DardaError, lineLost } from './errors.js';
import { appended } from './protocol.js';
import type { Hello, ServerEvent } from './protocol.js';
import { Replies } from './replies.js';

const SUBPROTOCOL = 'darda.v1';
const HELLO_WITHIN_MS = 10_000;
/** What a command's id adds to it at most. */
const ID_BYTES = 22;
const DEFAULT_HEARTBEAT_MS = 20_000;

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

export class Wire {
  #socket: Socket;
  #on: WireEvents;
  #replies = new Replies();
  #timer: ReturnType<typeof setTimeout>;
  #hello: Hello | undefined;
  #heard = true;
  #ended = false;

  constructor(url: string, on: WireEvents, Socket: SocketConstructor) {
    this.#on = on;
    this.#socket = new Socket(url, SUBPROTOCOL);
    this.#socket.onmessage = ({ data }) => this.#frame(data);
    this.#socket.onclose = ({ code }) => this.#end(code);
    // The end follows; unheard, some sockets throw it.
    this.#socket.onerror = () => {};
    this.#timer = setTimeout(() => this.abandon(), HELLO_WITHIN_MS);
  }

  /** Sends a command. The promise ends with its reply or a `DardaError`. */
  async request(cmd: string, fields: object): Promise<any> {
    if (this.#ended) throw lineLost();
    const { user = '', limits } = this.#hello ?? {};
    // The server would close the connection, and after each reconnect again.
    const limit = limits?.max_frame_bytes ?? Infinity;
    const text = JSON.stringify({ cmd, ...fields });
    if (text.length > limit / 4 && new Blob([text]).size + ID_BYTES > limit) {
      throw new DardaError('too_large', `a command is over ${limit} bytes`);
    }
    return this.#replies.to(
      (id) => this.#socket.send(`{"id":${id},${text.slice(1)}`),
      (ok) => {
        if (ok.position !== undefined) this.#on.event(appended(user, cmd, fields, ok));
      },
    );
  }

  get idle(): boolean {
    return this.#replies.none;
  }

  /** A goodbye. */
  close(): void {
    this.#socket.close(1000);
    this.#end(1000);
  }

  /** Ends at once: a peer that does not answer would not answer a close frame either. */
  abandon(): void {
    if (this.#socket.terminate) this.#socket.terminate();
    else this.#socket.close();
    this.#end(1006);
  }

  #frame(data: string): void {
    if (this.#ended) return;
    this.#heard = true;
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      this.abandon();
      return;
    }
    const { event, id, ok, error } = frame;
    if (event === 'hello') {
      this.#hello = frame;
      clearTimeout(this.#timer);
      this.#timer = setInterval(() => this.#beat(), frame.heartbeat_ms ?? DEFAULT_HEARTBEAT_MS);
      this.#on.hello(frame);
    } else if (event) {
      this.#on.event(frame);
    } else {
      const { code, message, retry_after_ms: retryAfterMs } = error ?? {};
      this.#replies.settle(id, ok, error && new DardaError(code, message, retryAfterMs));
    }
  }

  /** Nothing since the last beat, although that one asked for a reply: the peer is dead. */
  #beat(): void {
    if (!this.#heard) {
      this.abandon();
      return;
    }
    this.#heard = false;
    this.request('ping', {}).catch(() => {
      if (!this.#heard && !this.#ended) this.abandon();
    });
  }

  #end(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#replies.lose(lineLost());
    this.#on.end(code);
  }
}
