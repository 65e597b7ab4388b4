import type { State } from './line.js';
export interface Status {
    state: State;
    /** Online, but something that was missed is still being fetched. */
    behind: boolean;
    /** A sentence. */
    text: string;
}
export declare function status(state: State, behind: boolean, closeCode: number): Status;
