// The client as a subject of the suite of clients: told by lines on standard input what to do,
// reports by lines on standard output. The lines are described in clients/suite/README.md.

import { readFileSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

import WebSocket from 'ws';

import { Client, MemoryStorage } from '../dist/index.js';
import { JournalStorage } from './journal.js';

const { name, version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url)));

/** At once, whoever reads it and however slowly: what was reported has been reported. */
function say(report) {
  let bytes = Buffer.from(`${JSON.stringify(report)}\n`);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(1, bytes));
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}

let client;
/** Where entries stand that were given, by id. */
const places = new Map();
/** What the app has not taken yet; `null` while it takes everything at once. */
let held = null;

/** Fulfilled when the app has it: until then the client's cursor stays where it is. */
function give(report) {
  if (!held) return say(report);
  return new Promise((taken) => {
    held.push(() => taken(say(report)));
  });
}

/** The client's waits become shorter by a clock of timers that runs faster. */
function hasten(speed) {
  for (const timer of ['setTimeout', 'setInterval']) {
    const slow = globalThis[timer];
    globalThis[timer] = (act, ms = 0, ...rest) => slow(act, ms / speed, ...rest);
  }
}

function listen() {
  const status = ({ state, behind, text }) =>
    say({ report: 'status', state: behind ? 'behind' : state, text });
  client.on('status', status);
  client.on('entry', (entry, _, late) => {
    places.set(entry.entry, entry.position);
    return give({ report: 'entry', text: null, ...entry, ...(late ? { late } : {}) });
  });
  const moved = (conversation, entry, to) => {
    const from = places.get(entry);
    places.set(entry, to);
    give({ report: 'moved', conversation, entry, from, to });
  };
  client.on('moved', ({ entry, position }, { id }) => moved(id, entry, position));
  client.on('withdrawn', (entry, position, stands, { id }) => {
    if (stands === null && places.get(entry) === position) moved(id, entry, null);
  });
  client.on('refused', ({ conversation, clientId, fields: { text } }, { code, message }) => {
    say({ report: 'refused', conversation, client_id: clientId, text, code, message });
  });
  client.on('trouble', (error) => console.error('the storage failed:', error));
  status(client.status);
}

const commands = {
  async open({ url, storage, speed = 1 }) {
    hasten(speed);
    client = new Client({
      url,
      storage: storage === null ? new MemoryStorage() : new JournalStorage(storage),
      Socket: WebSocket,
      resume: true,
    });
    listen();
    await client.start();
  },
  async direct({ user }) {
    const { id } = await client.openDirect(user);
    return { conversation: id };
  },
  async send({ conversation, text }) {
    const { clientId, stored, sent } = client.send(conversation, text);
    sent.then(
      ({ entry, position }) =>
        say({ report: 'acked', conversation, client_id: clientId, entry, position, text }),
      // Reported as refused.
      () => {},
    );
    await stored;
  },
  pause() {
    held ??= [];
  },
  continue() {
    const given = held ?? [];
    held = null;
    for (const take of given) take();
  },
  /** The client reads the wall clock only to say when something was written. */
  clock({ by_ms: by }) {
    const now = Date.now;
    Date.now = () => now() + by;
  },
  async stop() {
    await client.stop();
  },
};

async function obey({ do: what, n, ...fields }) {
  try {
    if (!Object.hasOwn(commands, what)) throw new Error(`there is no command ${what}`);
    say({ report: 'done', n, ...(await commands[what](fields)) });
    if (what === 'stop') process.exit(0);
  } catch (error) {
    say({ report: 'failed', n, why: String(error.message) });
  }
}

say({ report: 'ready', client: `${name} ${version}`, can: ['restart'] });
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => obey(JSON.parse(line)));
lines.on('close', () => process.exit(0));
