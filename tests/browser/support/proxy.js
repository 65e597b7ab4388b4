// A TCP proxy before the server, which can lose what goes through it: the network of one user.

import net from 'node:net';
import { once } from 'node:events';

export async function startProxy(origin) {
  const { hostname, port } = new URL(origin);
  const pairs = new Set();
  let refusing = false;

  const listener = net.createServer((client) => {
    if (refusing) {
      client.destroy();
      return;
    }
    const server = net.connect(Number(port), hostname);
    const pair = { client, server, deaf: false, dumb: false };
    pairs.add(pair);
    client.on('data', (bytes) => pair.dumb || server.write(bytes));
    server.on('data', (bytes) => pair.deaf || client.write(bytes));
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.on('close', end).on('error', end);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');

  return {
    origin: `http://127.0.0.1:${listener.address().port}`,
    /** Ends every connection without a goodbye and refuses new ones. */
    cut() {
      refusing = true;
      for (const { client, server } of pairs) {
        client.resetAndDestroy();
        server.resetAndDestroy();
      }
    },
    mend() {
      refusing = false;
    },
    /** The connections there are lose what the server says. */
    loseReplies() {
      for (const pair of pairs) pair.deaf = true;
    },
    /** The connections there are lose what the client says. */
    loseCommands() {
      for (const pair of pairs) pair.dumb = true;
    },
    async stop() {
      for (const { client, server } of pairs) {
        client.destroy();
        server.destroy();
      }
      listener.close();
      await once(listener, 'close');
    },
  };
}
