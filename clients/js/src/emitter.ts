// Who listens to what.

type Listener = (...args: any[]) => unknown;

export class Emitter<Events extends Record<string, unknown[]>> {
  #listeners = new Set<[name: keyof Events, listener: Listener]>();

  /** Calls `listener` for each event of this name; the function that is returned ends that. */
  on<Name extends keyof Events>(
    name: Name,
    listener: (...args: Events[Name]) => unknown,
  ): () => void {
    const listening: [Name, Listener] = [name, listener];
    this.#listeners.add(listening);
    return () => this.#listeners.delete(listening);
  }

  /** What the listeners are still doing with it. */
  protected emit<Name extends keyof Events>(name: Name, ...args: Events[Name]): unknown[] {
    const doing: unknown[] = [];
    for (const [wanted, listener] of this.#listeners) {
      try {
        if (wanted === name) doing.push(listener(...args));
      } catch (error) {
        // A defect of the app is the app's: it must not leave a log half done.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    return doing.filter(Boolean);
  }
}
