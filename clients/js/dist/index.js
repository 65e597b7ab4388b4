// What an app gets.
export { Client } from './client.js';
export { Conversation, MAX_HELD } from './conversation.js';
export { DardaError } from './errors.js';
export { IndexedDbStorage } from './indexeddb.js';
export { Log } from './log.js';
export { MAX_ITEMS } from './outbox.js';
export { MemoryStorage } from './storage.js';
