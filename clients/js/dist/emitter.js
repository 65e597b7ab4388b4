// Who listens to what.
export class Emitter {
    #listeners = new Map();
    /** Calls `listener` for each event of this name; the function that is returned ends that. */
    on(name, listener) {
        const listeners = this.#listeners.get(name) ?? new Set();
        this.#listeners.set(name, listeners);
        listeners.add(listener);
        return () => listeners.delete(listener);
    }
    emit(name, ...args) {
        for (const listener of this.#listeners.get(name) ?? []) {
            try {
                listener(...args);
            }
            catch (error) {
                // A defect of the app is the app's: it must not leave a log half done.
                queueMicrotask(() => {
                    throw error;
                });
            }
        }
    }
}
