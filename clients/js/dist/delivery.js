// Takes what waits in the outbox to the server: one at a time in each conversation, in the order of
// writing, until it is acknowledged or refused for good.
import { after, pause } from './backoff.js';
export class Delivery {
    #line;
    #outbox;
    #refused;
    #random;
    #busy = new Set();
    constructor(line, outbox, refused, random = Math.random) {
        this.#line = line;
        this.#outbox = outbox;
        this.#refused = refused;
        this.#random = random;
    }
    flushAll() {
        for (const conversation of this.#outbox.conversations)
            this.flush(conversation);
    }
    async flush(conversation) {
        if (this.#busy.has(conversation) || !this.#can)
            return;
        this.#busy.add(conversation);
        let item = this.#outbox.next(conversation);
        while (item && this.#can) {
            try {
                await this.#send(item);
                // Its entry came as an event and took it out; if not, the ack says as much.
                this.#outbox.settle(conversation, item.clientId);
            }
            catch (error) {
                const { code, retryAfterMs } = error;
                if (code === 'line_lost' || code === 'stopped')
                    break;
                if (retryAfterMs !== undefined)
                    await pause(after(retryAfterMs, this.#random));
                else if (!(await this.#reopened(item, code)))
                    this.#refused(item, error);
            }
            item = this.#outbox.next(conversation);
        }
        this.#busy.delete(conversation);
        // The line came back while the last try was still ending.
        if (item && this.#can)
            this.flush(conversation);
    }
    isSending(conversation) {
        return this.#busy.has(conversation);
    }
    get #can() {
        return this.#line.leads && this.#line.state === 'online';
    }
    async #send(item) {
        const { conversation, clientId, cmd, fields } = item;
        await this.#outbox.kept(item);
        const frame = { conversation, client_id: clientId, ...fields };
        if (this.#outbox.trying(item))
            Object.assign(frame, { resend: true });
        await this.#line.request(cmd, frame);
    }
    /** A direct conversation comes into being with its first message; until then a node may forget it. */
    async #reopened(item, code) {
        const { peer } = item;
        if (code !== 'not_found' || peer === undefined)
            return false;
        delete item.peer;
        await this.#line.ask('open_direct', { user: peer }).catch(() => { });
        return true;
    }
}
