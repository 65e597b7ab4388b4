import type { Random } from './backoff.js';
import type { DardaError } from './errors.js';
import type { Line } from './line.js';
import type { Outbox } from './outbox.js';
import type { Item } from './storage.js';
export declare class Delivery {
    #private;
    constructor(line: Line, outbox: Outbox, refused: (item: Item, error: DardaError) => void, random?: Random);
    flushAll(): void;
    flush(conversation: string): Promise<void>;
    isSending(conversation: string): boolean;
}
