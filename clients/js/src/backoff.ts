// How long to wait before the next try, so that many clients that failed together do not come back
// together. All times are in milliseconds.

export type Random = () => number;

/** Between half of `base · 2^failures` and all of it, at most `cap`. */
export function backoff(
  failures: number,
  { base = 400, cap = 15_000, random = Math.random as Random } = {},
): number {
  const ceiling = Math.min(cap, base * 2 ** Math.min(failures, 20));
  return ceiling / 2 + (random() * ceiling) / 2;
}

/** What the server asked for and up to a half more. */
export function after(retryAfterMs: number, random: Random = Math.random): number {
  return retryAfterMs * (1 + random() / 2);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
