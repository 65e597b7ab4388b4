// How it stands with the server, in words that can be shown as they are.
const MENDED = 'it does not understand this app, which is to be mended';
const REASONS = {
    1002: MENDED,
    1003: MENDED,
    1009: MENDED,
    1012: 'it restarts',
    1013: 'it is full',
    4400: MENDED,
    4408: 'it heard nothing of this device',
    4429: 'this device sent too much',
};
export function status(state, behind, closeCode) {
    const reason = REASONS[closeCode];
    const text = {
        connecting: 'Connecting.',
        online: behind ? 'Online, and fetching what was missed.' : 'Online.',
        offline: `Offline${reason ? `: the server ended the connection, ${reason}` : ''}. Trying again; what you do is sent later.`,
        refused: 'The server does not let you in. Sign in again.',
        stopped: 'Signed out.',
    }[state];
    return { state, behind, text };
}
