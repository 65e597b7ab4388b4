// What an app says when it makes a client, and what it is told.

import type { Random } from './backoff.js';
import type { Url } from './connection.js';
import type { Conversation } from './conversation.js';
import type { DardaError } from './errors.js';
import type { Entry, Receipt, Summary } from './protocol.js';
import type { Status } from './status.js';
import type { Item, Storage } from './storage.js';
import type { SocketConstructor } from './wire.js';

export interface ClientOptions {
  /** `ws://HOST/v1/ws` with whatever says who the user is; a function is asked for each connect. */
  url: Url;
  /** Where cursors and outbox are kept; in memory if it is not named. */
  storage?: Storage;
  /** The WebSocket constructor; `globalThis.WebSocket` if it is not named. */
  Socket?: SocketConstructor;
  /**
   * The name under which a browser's tabs share one connection and one outbox: the same in all tabs
   * of a user, and of nobody else. Tabs that share name the same storage. Without it, or where the
   * browser has no Web Locks, each has its own connection.
   */
  tabs?: string;
  /**
   * `true`: the app keeps what it is given, and gets what came after that, also after a restart: every
   * conversation is followed from its stored cursor. `false`: each start begins with the newest page,
   * of the conversations that are opened or have news.
   */
  resume?: boolean;
  /** A gap wider than this many pages of 200 entries is not closed but told as `skipped`; 50. */
  maxGapPages?: number;
  random?: Random;
}

export type Events = {
  /** Online, offline, behind…: see `client.status`. */
  status: [status: Status];
  /**
   * Each entry once, in each conversation in order; `late`: its place is before others. If a listener
   * returns a promise, the cursor is not stored before that is fulfilled: whoever is killed before
   * gets the entry again.
   */
  entry: [entry: Entry, conversation: Conversation, late: boolean];
  /** An entry that was given stands somewhere else now. */
  moved: [entry: Entry, conversation: Conversation];
  /** An entry does not stand at `position`; it stands at `stands`, or nowhere. */
  withdrawn: [entry: string, position: number, stands: number | null, conversation: Conversation];
  /** What lies between was not given: it is too much, and left to `ask('history')`. */
  skipped: [conversation: Conversation, after: number, before: number];
  /** The list of conversations says something of this one. */
  listed: [conversation: Conversation, summary: Summary];
  /** The user is no longer a member, or the conversation is no more. */
  left: [conversation: Conversation];
  /** The server has lost a direct conversation: it is empty now. */
  emptied: [conversation: Conversation];
  /** Its log or what waits in it changed: a reason to draw it again. */
  changed: [conversation: Conversation];
  receipts: [conversation: Conversation, receipts: Receipt[]];
  typing: [conversation: Conversation, user: string, active: boolean];
  /** What the user did will not succeed. It stays in the outbox until `retry` or `discard`. */
  refused: [item: Item, error: DardaError];
  /** The storage failed: what is in memory goes on, but would not outlive a restart. */
  trouble: [error: unknown];
};
