// What an app gets.

export { Client } from './client.js';

export type { Url } from './connection.js';
export type { Conversation } from './conversation.js';
export { DardaError } from './errors.js';
export { IndexedDbStorage } from './indexeddb.js';
export type { State } from './line.js';
export type { Log } from './log.js';
export type { Outgoing, Sent } from './outbox.js';
export type { ClientOptions, Events } from './options.js';
export type * from './protocol.js';
export type { Status } from './status.js';
export { MemoryStorage } from './storage.js';
export type { Item, Storage } from './storage.js';
export type { Socket, SocketConstructor } from './wire.js';
