// How it stands with the server, in words that can be shown as they are.

import type { State } from './line.js';

export interface Status {
  state: State;
  /** Online, but something that was missed is still being fetched. */
  behind: boolean;
  /** A sentence. */
  text: string;
}

/** Why the server ended the connection. */
const REASONS: Record<number, string> = {
  1012: ': the server restarts',
  1013: ': the server is full',
  4429: ': too much was sent',
};

export function status(state: State, behind: boolean, closeCode: number): Status {
  const text = {
    connecting: 'Connecting.',
    online: behind ? 'Online, fetching what was missed.' : 'Online.',
    offline: `Offline${REASONS[closeCode] ?? ''}. Trying again; what you do is sent later.`,
    refused: 'The server does not let you in. Sign in again.',
    stopped: 'Signed out.',
  }[state];
  return { state, behind, text };
}
