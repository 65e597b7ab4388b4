// The built server, on a free port, until it is stopped by its id.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const STARTS_WITHIN_MS = 20_000;

export async function startServer(settings = {}) {
  const child = spawn(process.env.DARDA_SERVER, {
    env: { ...process.env, DARDA_LISTEN: '127.0.0.1:0', ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const origin = await listeningOn(child);
  return {
    origin,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}

async function listeningOn(child) {
  const signal = AbortSignal.timeout(STARTS_WITHIN_MS);
  const lines = createInterface({ input: child.stdout, signal });
  for await (const line of lines) {
    const origin = /listening on (http:\S+)/.exec(line)?.[1];
    if (origin) {
      // What it says later must not fill the pipe.
      child.stdout.resume();
      return origin.replace(/\/$/, '');
    }
  }
  throw new Error('the server did not say where it listens');
}
