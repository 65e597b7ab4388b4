// What outlives a restart: what waits to be sent, and how far each conversation was given to the app.
/** Outlives a client, not the process. */
export class MemoryStorage {
    #items = new Map();
    #cursors = new Map();
    /** Items that wait. */
    get size() {
        return this.#items.size;
    }
    async load() {
        const items = [...this.#items.values()].map((item) => structuredClone(item));
        return { items, cursors: [...this.#cursors] };
    }
    async put(item) {
        this.#items.set(`${item.conversation} ${item.clientId}`, structuredClone(item));
    }
    async remove(conversation, clientId) {
        this.#items.delete(`${conversation} ${clientId}`);
    }
    async setCursors(cursors) {
        for (const [conversation, position] of cursors) {
            if (position === null)
                this.#cursors.delete(conversation);
            else
                this.#cursors.set(conversation, position);
        }
    }
}
