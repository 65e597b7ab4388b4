// Takes what waits in the outbox to the server: one at a time in each conversation, in the order of
// writing, until it is acknowledged or refused for good.

import { after, backoff, pause } from './backoff.js';

/** A defect on the server's side may pass; after so many tries in one go we say so. */
const MAX_DEFECTS = 3;

export class Delivery {
  #connection;
  #outbox;
  #on;
  #busy = new Set();

  /** `on` has `acked(item, ack)` and `refused(item, message)`. */
  constructor(connection, outbox, on) {
    this.#connection = connection;
    this.#outbox = outbox;
    this.#on = on;
  }

  flushAll() {
    for (const conversation of this.#outbox.conversations) this.flush(conversation);
  }

  async flush(conversation) {
    if (this.#busy.has(conversation)) return;
    this.#busy.add(conversation);
    let defects = 0;
    let item = this.#outbox.next(conversation);
    while (item && this.#connection.state === 'online') {
      try {
        await this.#send(item);
        defects = 0;
      } catch (error) {
        if (error.code === 'line_lost' || error.code === 'stopped') break;
        defects += error.code === 'internal' ? 1 : 0;
        if (error.transient) await pause(after(error.retryAfterMs));
        else if (error.code === 'internal' && defects < MAX_DEFECTS) await pause(backoff(defects));
        else this.#on.refused(item, error.message);
      }
      item = this.#outbox.next(conversation);
    }
    this.#busy.delete(conversation);
    // The line came back while the last try was still ending.
    if (item && this.#connection.state === 'online') this.flush(conversation);
  }

  isSending(conversation) {
    return this.#busy.has(conversation);
  }

  async #send(item) {
    const { conversation, clientId, cmd, fields, tried } = item;
    this.#outbox.trying(item);
    const frame = { conversation, client_id: clientId, ...fields };
    if (tried) frame.resend = true;
    const ack = await this.#connection.request(cmd, frame);
    this.#on.acked(item, ack);
  }
}
