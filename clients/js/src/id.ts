// Names that nobody else has: of sends, and of tabs.

/** 128 random bits. `crypto.randomUUID` is not there on pages without TLS. */
export function randomId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-');
}
