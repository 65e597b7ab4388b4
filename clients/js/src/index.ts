// What an app gets.

export { Client } from './client.js';
export type { ClientOptions, Events, Outgoing } from './client.js';
export type { Url } from './connection.js';
export { Conversation, MAX_HELD } from './conversation.js';
export { DardaError } from './errors.js';
export { IndexedDbStorage } from './indexeddb.js';
export type { State } from './line.js';
export { Log } from './log.js';
export { MAX_ITEMS } from './outbox.js';
export type * from './protocol.js';
export type { Status } from './status.js';
export { MemoryStorage } from './storage.js';
export type { Item, Storage } from './storage.js';
export type { Socket, SocketConstructor } from './wire.js';
