export type Random = () => number;
/** Between half of `base · 2^failures` and all of it, at most `cap`. */
export declare function backoff(failures: number, { base, cap, random }?: {
    base?: number | undefined;
    cap?: number | undefined;
    random?: Random | undefined;
}): number;
/** What the server asked for and up to a half more. */
export declare function after(retryAfterMs: number, random?: Random): number;
export declare function pause(ms: number): Promise<void>;
