// How long to wait before the next try, so that many clients that failed together do not come back
// together. All times are in milliseconds.
/** Between half of `base · 2^failures` and all of it, at most `cap`. */
export function backoff(failures, { base = 400, cap = 15_000, random = Math.random } = {}) {
    const ceiling = Math.min(cap, base * 2 ** Math.min(failures, 20));
    return ceiling / 2 + (random() * ceiling) / 2;
}
/** What the server asked for and up to a half more. */
export function after(retryAfterMs, random = Math.random) {
    return retryAfterMs * (1 + random() / 2);
}
export function pause(ms) {
    return new Promise((resolve) => {
        setTimeout(resolve, ms);
    });
}
