import type { Item, Storage } from './storage.js';
export declare class IndexedDbStorage implements Storage {
    #private;
    /** `name`: of the database; different for each user. */
    constructor(name: string);
    load(): Promise<{
        items: Item[];
        cursors: [string, number][];
    }>;
    put(item: Item): Promise<void>;
    remove(conversation: string, clientId: string): Promise<void>;
    setCursors(batch: [string, number | null][]): Promise<void>;
}
