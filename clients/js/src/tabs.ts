// The line of a browser with several tabs: one of them, which holds a Web Lock, has the connection;
// the others ask it over a BroadcastChannel. When its tab is closed, crashes or hangs, another takes
// over.

import { Connection } from './connection.js';
import type { ConnectionOptions, Url } from './connection.js';
import { DardaError, lineLost, stopped } from './errors.js';
import { randomId } from './id.js';
import { Line } from './line.js';
import type { LineEvents, State } from './line.js';
import type { Command, Fields, Hello, Reply, ServerEvent } from './protocol.js';
import { Replies } from './replies.js';

/** How often a tab asks whether the one with the connection is there. */
const WATCH_MS = 3000;
/** After so many questions without an answer its lock is taken from it. */
const SILENT = 2;

type Message =
  | { is: 'who' }
  | { is: 'state'; state: State; code: number; hello: Hello | null; turn: string }
  | { is: 'event'; frame: ServerEvent }
  | { is: 'ask'; from: string; n: number; cmd: Command; fields: any }
  | { is: 'reply'; to: string; n: number; ok?: unknown; error?: [string, string, number?] }
  | { is: 'share'; message: unknown }
  | { is: 'hurry' };

/** Whether this browser has what it takes; without it each tab has a connection of its own. */
export function canShare(): boolean {
  return !!globalThis.navigator?.locks && typeof BroadcastChannel === 'function';
}

export class Tabs extends Line {
  override leads = false;
  #name: string;
  #url: Url;
  #options: ConnectionOptions;
  #me = randomId();
  #channel: BroadcastChannel | null = null;
  #inner: Connection | null = null;
  #quit = new AbortController();
  #release: (() => void) | null = null;
  /** The tab with the connection, and which of its connections it is. */
  #turn = '';
  #turns = 0;
  #replies = new Replies();
  #watch: ReturnType<typeof setInterval> | undefined;
  #silent = 0;

  /** `name`: the same in all tabs of a user, and of nobody else. */
  constructor(name: string, url: Url, on: LineEvents, options: ConnectionOptions = {}) {
    super(on, options.random);
    this.#name = name;
    this.#url = url;
    this.#options = options;
  }

  start(): void {
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#heard(data);
    this.#queue();
    this.#say({ is: 'who' });
    this.#watch = setInterval(() => this.#look(), WATCH_MS);
  }

  stop(): void {
    clearInterval(this.#watch);
    this.become('stopped');
    this.#replies.lose(stopped());
    this.#quit.abort();
    const inner = this.#inner;
    this.#inner = null;
    inner?.stop();
    this.#release?.();
    this.#channel?.close();
    this.#channel = null;
  }

  hurry(): void {
    if (this.#inner) this.#inner.hurry();
    else this.#say({ is: 'hurry' });
  }

  override share(message: unknown): void {
    this.#say({ is: 'share', message });
  }

  async request<C extends Command>(cmd: C, fields: Fields<C>): Promise<Reply<C>> {
    if (this.#inner) return this.#inner.request(cmd, fields);
    if (this.state !== 'online') throw this.gone();
    return this.#replies.to((n) => this.#say({ is: 'ask', from: this.#me, n, cmd, fields }));
  }

  #say(message: Message): void {
    this.#channel?.postMessage(message);
  }

  /** Waits for the lock, or takes it at once. */
  #queue(steal = false): void {
    const { signal } = this.#quit;
    const options = steal ? { steal } : { signal };
    navigator.locks
      .request(this.#name, options, () => {
        if (signal.aborted) return undefined;
        return new Promise<void>((release) => {
          this.#release = release;
          this.#lead();
        });
      })
      .catch(() => this.#follow());
  }

  #lead(): void {
    this.leads = true;
    this.#replies.lose(lineLost());
    const inner: Connection = new Connection(
      this.#url,
      {
        online: () => {
          if (inner !== this.#inner) return;
          this.hello = inner.hello;
          this.#turn = `${this.#me} ${(this.#turns += 1)}`;
          this.#tell();
          this.on.online();
        },
        event: (frame) => {
          if (inner !== this.#inner) return;
          this.#say({ is: 'event', frame });
          this.on.event(frame);
        },
        state: (state) => {
          if (inner !== this.#inner) return;
          this.closeCode = inner.closeCode;
          this.become(state);
          // `online` follows, with the hello.
          if (state !== 'online') this.#tell();
        },
      },
      this.#options,
    );
    this.#inner = inner;
    this.#turn = this.#me;
    this.become('connecting');
    this.#tell();
    this.on.leads?.();
    inner.start();
  }

  /** The lock was taken from this tab, since it seemed to hang. */
  #follow(): void {
    if (!this.leads || this.#quit.signal.aborted) return;
    this.leads = false;
    const inner = this.#inner;
    this.#inner = null;
    inner?.stop();
    this.become('connecting');
    this.#queue();
    this.#say({ is: 'who' });
  }

  #tell(): void {
    const { state, closeCode: code, hello } = this;
    this.#say({ is: 'state', state, code, hello, turn: this.#turn });
  }

  #heard(message: Message): void {
    const inner = this.#inner;
    const { is } = message;
    if (is === 'share') {
      this.on.shared?.(message.message);
    } else if (inner) {
      if (is === 'who') this.#tell();
      else if (is === 'hurry') inner.hurry();
      else if (is === 'ask') this.#answer(inner, message);
    } else if (is === 'event') {
      this.#silent = 0;
      this.on.event(message.frame);
    } else if (is === 'state') {
      this.#silent = 0;
      this.#learn(message);
    } else if (is === 'reply' && message.to === this.#me) {
      const { n, ok, error } = message;
      this.#replies.settle(n, ok, error && new DardaError(...error));
    }
  }

  #answer(inner: Connection, { from: to, n, cmd, fields }: Message & { is: 'ask' }): void {
    inner.request(cmd, fields).then(
      (ok) => this.#say({ is: 'reply', to, n, ok }),
      ({ code, message, retryAfterMs }: DardaError) =>
        this.#say({ is: 'reply', to, n, error: [code, message, retryAfterMs] }),
    );
  }

  #learn({ state, code, hello, turn }: Message & { is: 'state' }): void {
    const isNew = turn !== this.#turn || this.state !== 'online';
    if (turn !== this.#turn) this.#replies.lose(lineLost());
    this.#turn = turn;
    this.closeCode = code;
    this.hello = hello;
    this.become(state);
    if (state === 'online' && isNew) this.on.online();
  }

  /** A tab that nobody sees may be asleep itself, and takes nothing from anybody. */
  #look(): void {
    if (this.#inner || globalThis.document?.hidden) return;
    this.#silent += 1;
    if (this.#silent > SILENT) {
      this.#silent = 0;
      this.#quit.abort();
      this.#quit = new AbortController();
      this.#queue(true);
    } else {
      this.#say({ is: 'who' });
    }
  }
}
