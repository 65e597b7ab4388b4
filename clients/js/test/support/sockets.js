// Sockets without a network: a test says what the server does.

export class Sockets {
  /** Every socket that was opened, the newest last. */
  opened = [];

  constructor() {
    const { opened } = this;
    this.Socket = class {
      /** Frames that were sent and not yet taken by the test. */
      sent = [];
      closedWith = null;

      constructor(url, protocol) {
        Object.assign(this, { url, protocol });
        opened.push(this);
      }

      send(text) {
        this.sent.push(JSON.parse(text));
      }

      close(code = 1005) {
        this.closedWith ??= code;
      }

      // ---- the server's side

      says(frame) {
        this.onmessage({ data: JSON.stringify(frame) });
      }

      hello(heartbeat_ms = 25_000) {
        this.says({
          event: 'hello',
          user: 'alice',
          session: 's',
          node: 'n',
          heartbeat_ms,
          limits: {},
        });
      }

      /** Takes the command that is asked for, wherever it stands among those sent. */
      take(cmd) {
        const at = this.sent.findIndex((frame) => frame.cmd === cmd);
        return at < 0 ? undefined : this.sent.splice(at, 1)[0];
      }

      drop(code = 1006) {
        this.onclose({ code });
      }
    };
  }

  get last() {
    return this.opened.at(-1);
  }
}

/** Lets what is already resolved run. */
export async function settled() {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}
