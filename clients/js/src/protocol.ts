// What goes over the wire, as docs/protocol.md describes it.

/** A user's own name for a part that is JSON and that the server passes on as it is. */
export type Metadata = Record<string, unknown>;

export type Role = 'member' | 'admin' | 'owner';
export type HistoryStart = 'beginning' | 'joining';

/** A change of a group's members or title. */
export type Change =
  | { create: { title: string; members: string[]; history: HistoryStart } }
  | { rename: { title: string } }
  | { add: { users: string[] } }
  | { remove: { user: string } }
  | { role: { user: string; role: Role } }
  | 'leave';

export type EntryBody =
  | {
      type: 'message';
      text: string;
      reply_to?: string;
      mentions?: string[];
      metadata?: Metadata;
    }
  | { type: 'edit'; target: string; text: string; mentions?: string[]; metadata?: Metadata }
  | { type: 'delete'; target: string }
  | { type: 'react' | 'unreact'; target: string; reaction: string }
  | { type: 'members'; change: Change }
  | { type: 'opaque'; payload: string };

/** One element of a conversation's log. An app ignores a `type` that it does not know. */
export type Entry = EntryBody & {
  conversation: string;
  /** Where it stands: microseconds since 1970, below 2^53. */
  position: number;
  /** The position of the entry before, or `null` if the server did not know it. */
  prev: number | null;
  /** The version of the membership; missing on an entry of one's own that was just acknowledged. */
  epoch?: number;
  /** Its id. */
  entry: string;
  sender: string;
  client_id: string;
};

/** The reply to whatever appends an entry. */
export interface Ack {
  entry: string;
  position: number;
  prev: number | null;
  /** Whether it was there before this command. */
  repeat: boolean;
}

export interface Attached {
  entries: Entry[];
  complete: boolean;
  gap?: { after: number; before?: number | null };
  head?: number;
  stale?: boolean;
}

export interface Page {
  entries: Entry[];
  more: boolean;
  stale?: boolean;
}

/** An item of the list of conversations. */
export interface Summary {
  conversation: string;
  kind: 'direct' | 'group';
  peer?: string;
  title?: string;
  role?: Role;
  head?: number;
  last_message?: Entry;
  delivered?: number;
  seen?: number;
  unread?: { count: number; more: boolean };
}

export interface Receipt {
  user: string;
  delivered?: number;
  seen?: number;
}

export interface Failure {
  code: string;
  message: string;
  retry_after_ms?: number;
}

type Of = { conversation: string };
type Append = Of & { client_id: string };
type Nothing = Record<string, never>;

/** Each command's fields and what its reply holds. */
export interface Commands {
  send: [Append & Content & { reply_to?: string }, Ack];
  send_opaque: [Append & { payload: string }, Ack];
  edit: [Append & Content & { target: string }, Ack];
  delete: [Append & { target: string }, Ack];
  react: [Append & { target: string; reaction: string }, Ack];
  unreact: [Append & { target: string; reaction: string }, Ack];
  open_direct: [{ user: string }, Of];
  create_group: [
    { client_id: string; title: string; members: string[]; history?: HistoryStart },
    Ack & Of,
  ];
  rename: [Append & { title: string }, Ack];
  add: [Append & { users: string[] }, Ack];
  remove: [Append & { user: string }, Ack];
  leave: [Append, Ack];
  set_role: [Append & { user: string; role: Role }, Ack];
  attach: [Of & { cursor?: number }, Attached];
  resume: [
    { cursors: { conversation: string; cursor: number }[] },
    { conversations: (Of & Attached & { error?: Failure })[] },
  ];
  history: [Of & { before?: number; after?: number; limit?: number }, Page];
  conversations: [{ before?: number; limit?: number }, { conversations: Summary[] }];
  members: [
    Of,
    {
      epoch: number;
      kind: 'direct' | 'group';
      title?: string;
      history?: HistoryStart;
      members: { user: string; role: Role }[];
    },
  ];
  receipts: [Of, { receipts: Receipt[] }];
  delivered: [Of & { position: number }, Nothing];
  seen: [Of & { position: number }, Nothing];
  typing: [Of & { active: boolean }, Nothing];
  presence: [Of, { presence: { user: string; online: boolean; last_seen_ms?: number }[] }];
  block: [{ user: string }, Nothing];
  unblock: [{ user: string }, Nothing];
  blocks: [Record<string, unknown>, { users: string[] }];
  ping: [Record<string, unknown>, Nothing];
}

export interface Content {
  text: string;
  mentions?: string[];
  metadata?: Metadata;
}

export type Command = keyof Commands;
export type Fields<C extends Command> = Commands[C][0];
export type Reply<C extends Command> = Commands[C][1];

/** The commands that wait in the outbox until they are acknowledged. */
export type Queued = 'send' | 'send_opaque' | 'edit' | 'delete' | 'react' | 'unreact';

export interface Hello {
  event: 'hello';
  user: string;
  session: string;
  node: string;
  heartbeat_ms: number;
  limits: { max_frame_bytes: number; max_text_bytes: number; max_page: number };
}

export type ServerEvent =
  | ({ event: 'entry' } & Entry)
  | {
      event: 'withdrawn';
      conversation: string;
      entry: string;
      position: number;
      stands: number | null;
    }
  | { event: 'receipts'; conversation: string; receipts: Receipt[] }
  | { event: 'typing'; conversation: string; user: string; active: boolean }
  | { event: 'joined' | 'left'; conversation: string }
  | { event: 'heads'; heads: { conversation: string; position: number }[] }
  | { event: 'gap'; all?: boolean; conversations?: string[] }
  | { event: 'draining'; reconnect_within_ms: number };

const TYPES: Record<string, string> = {
  send: 'message',
  send_opaque: 'opaque',
  edit: 'edit',
  delete: 'delete',
  react: 'react',
  unreact: 'unreact',
};

/**
 * The event that the server does not send to the session that appended an entry: the reply stands
 * for it. What a change of members really changed, the server alone knows: it is fetched.
 */
export function appended(
  sender: string,
  cmd: string,
  fields: { conversation?: string; client_id?: string; resend?: boolean },
  ack: Ack & { conversation?: string },
): ServerEvent {
  const { conversation, client_id, resend, ...body } = fields;
  const { repeat, ...place } = ack;
  const type = TYPES[cmd];
  return (
    type
      ? { event: 'entry', conversation, sender, client_id, type, ...place, ...body }
      : { event: 'heads', heads: [{ conversation, ...place }] }
  ) as ServerEvent;
}
