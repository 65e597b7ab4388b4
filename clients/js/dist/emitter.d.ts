export declare class Emitter<Events extends Record<string, unknown[]>> {
    #private;
    /** Calls `listener` for each event of this name; the function that is returned ends that. */
    on<Name extends keyof Events>(name: Name, listener: (...args: Events[Name]) => void): () => void;
    protected emit<Name extends keyof Events>(name: Name, ...args: Events[Name]): void;
}
