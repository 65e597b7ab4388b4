// Commands that wait for their replies.

import { DardaError } from './errors.js';

/** A reply that takes longer counts as lost; what was asked may have been done. */
const REPLY_WITHIN_MS = 10_000;
/** Commands that wait for a reply. More are refused, so that a stuck server fills no memory. */
export const MAX_PENDING = 1000;

interface Waiting {
  heard: (ok: any) => void;
  resolve: (ok: any) => void;
  reject: (error: DardaError) => void;
  timer: ReturnType<typeof setTimeout>;
}

export function tooMany(): DardaError {
  return new DardaError('busy', 'too many commands wait', 1000);
}

export class Replies {
  #waiting = new Map<number, Waiting>();
  #last = 0;

  get none(): boolean {
    return this.#waiting.size === 0;
  }

  /** Sends something with a new id. `heard` is called with its reply, before anybody else gets it. */
  async to(send: (id: number) => void, heard: (ok: any) => void = () => {}): Promise<any> {
    if (this.#waiting.size >= MAX_PENDING) throw tooMany();
    const id = (this.#last += 1);
    return new Promise((resolve, reject) => {
      const late = new DardaError('unavailable', 'no reply came in time', 100);
      const timer = setTimeout(() => this.settle(id, null, late), REPLY_WITHIN_MS);
      this.#waiting.set(id, { heard, resolve, reject, timer });
      send(id);
    });
  }

  /** A reply. One that nobody waits for, the second to the same command say, is nothing. */
  settle(id: number, ok: unknown, error?: DardaError): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    if (error) {
      waiting.reject(error);
    } else {
      waiting.heard(ok);
      waiting.resolve(ok);
    }
  }

  /** No reply will come any more. */
  lose(error: DardaError): void {
    for (const id of [...this.#waiting.keys()]) this.settle(id, null, error);
  }
}
