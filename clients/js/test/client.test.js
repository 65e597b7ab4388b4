import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client, DardaError, MemoryStorage } from '../dist/index.js';
import { ack, entry, message, summary } from './support/frames.js';
import { settled, Sockets } from './support/sockets.js';

const GROUP = { kind: 'group', title: 'Walkers', peer: undefined };
const NOT_FOUND = { code: 'not_found', message: 'no such conversation' };
const THREE = [message(10, null), message(20, 10), message(30, 20)];

function begin(t, options = {}) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  const sockets = new Sockets();
  const client = new Client({
    url: 'ws://server/v1/ws',
    Socket: sockets.Socket,
    random: () => 1,
    ...options,
  });
  const told = [];
  client.on('entry', (entry, _, late) => told.push(`${late ? 'late ' : ''}${entry.position}`));
  client.on('moved', (entry) => told.push(`moved ${entry.position}`));
  client.on('skipped', (_, after, before) => told.push(`skipped ${after} to ${before}`));
  client.on('refused', (item, error) => told.push(`refused ${error.code}`));
  client.on('trouble', () => told.push('trouble'));
  client.on('left', ({ id }) => told.push(`left ${id}`));
  client.on('emptied', ({ id }) => told.push(`emptied ${id}`));
  t.after(() => client.stop());
  return {
    client,
    sockets,
    told,
    /** Takes a command, which must have been sent, and answers it. */
    async answer(cmd, ok) {
      await settled();
      const frame = sockets.last.take(cmd);
      assert.ok(frame, `${cmd} was sent`);
      sockets.last.says({ id: frame.id, ...(ok.error ? { error: ok.error } : { ok }) });
      await settled();
      return frame;
    },
    async sent(cmd) {
      await settled();
      return sockets.last.sent.filter((frame) => frame.cmd === cmd);
    },
    async hears(event) {
      sockets.last.says(event);
      await settled();
    },
    async tick(ms) {
      t.mock.timers.tick(ms);
      await settled();
    },
    async reconnects() {
      sockets.last.drop();
      t.mock.timers.tick(400);
      await settled();
      sockets.last.hello();
    },
  };
}

/** A client that follows `c1` and has been given 10, 20, 30. */
async function follow(t, options = {}, item = summary()) {
  const it = begin(t, { resume: true, ...options });
  await it.client.start();
  it.sockets.last.hello();
  await it.answer('conversations', { conversations: [item] });
  await it.answer('attach', { entries: THREE, complete: true, head: 30 });
  assert.deepEqual(it.told.splice(0), ['10', '20', '30']);
  return it;
}

test('an own entry is given with the others, in the order of the log, when it is acknowledged', async (t) => {
  const it = await follow(t);
  const { sent } = it.client.send('c1', 'mine');
  await it.hears(entry(message(50, 40)));
  assert.deepEqual(it.told, []);
  await it.answer('send', ack(40, 30));
  assert.deepEqual(it.told, ['40', '50']);
  assert.equal((await sent).position, 40);
  assert.deepEqual(it.client.outbox('c1'), []);
});

test('an own entry is whole: what was sent stands in it', async (t) => {
  const it = await follow(t);
  const entries = [];
  it.client.on('entry', (own) => entries.push(own));
  it.client.send(
    'c1',
    { text: 'mine', reply_to: 'e30', mentions: ['bob'], metadata: { a: 1 } },
    'x',
  );
  await it.answer('send', ack(40, 30));
  it.client.append('react', 'c1', { target: 'e40', reaction: '👍' }, 'y');
  await it.answer('react', ack(50, 40));
  const own = { conversation: 'c1', sender: 'alice' };
  const said = { type: 'message', text: 'mine', reply_to: 'e30', mentions: ['bob'] };
  assert.deepEqual(entries, [
    { ...own, position: 40, prev: 30, entry: 'e40', client_id: 'x', ...said, metadata: { a: 1 } },
    {
      ...own,
      position: 50,
      prev: 40,
      entry: 'e50',
      client_id: 'y',
      type: 'react',
      target: 'e40',
      reaction: '👍',
    },
  ]);
});

test('a lost ack, a repeat and a doubled event give an entry once', async (t) => {
  const it = await follow(t);
  it.client.send('c1', 'mine', 'same');
  await settled();
  assert.equal(it.sockets.last.take('send').resend, undefined);
  await it.tick(10_000);
  await it.tick(150);
  const again = it.sockets.last.take('send');
  assert.deepEqual([again.client_id, again.resend], ['same', true]);
  const reply = { id: again.id, ok: { ...ack(40, 30), repeat: true } };
  await it.hears(reply);
  await it.hears(reply);
  await it.hears(entry(message(40, 30, { sender: 'alice', client_id: 'same' })));
  assert.deepEqual(it.told, ['40']);
});

test('a restart of the app gets what came after what it was given, and nothing else', async (t) => {
  const storage = new MemoryStorage();
  const first = await follow(t, { storage });
  await first.client.stop();
  t.mock.timers.reset();

  const it = begin(t, { resume: true, storage });
  await it.client.start();
  it.sockets.last.hello();
  await it.answer('conversations', { conversations: [summary({ head: 50 })] });
  const entries = [message(40, 30), message(50, 40)];
  const part = { conversation: 'c1', entries, complete: true, head: 50 };
  const { cursors } = await it.answer('resume', { conversations: [part] });
  assert.deepEqual(cursors, [{ conversation: 'c1', cursor: 30 }]);
  assert.deepEqual(it.told, ['40', '50']);
  assert.deepEqual(new Map((await storage.load()).cursors).get('c1'), 50);
});

test('a restart of the app sends what waits, in order and marked', async (t) => {
  const storage = new MemoryStorage();
  const first = begin(t, { storage });
  await first.client.start();
  first.client.send('c1', 'one');
  await first.client.send('c1', 'two').stored;
  await first.client.stop();
  t.mock.timers.reset();

  const it = begin(t, { storage });
  await it.client.start();
  it.sockets.last.hello();
  await it.answer('conversations', { conversations: [summary()] });
  const one = await it.answer('send', ack(40, 30));
  const two = await it.answer('send', ack(50, 40));
  assert.deepEqual([one.text, one.resend, two.text, two.resend], ['one', true, 'two', true]);
  assert.deepEqual((await storage.load()).items, []);
});

test('a conversation that began meanwhile is given from its beginning', async (t) => {
  const it = await follow(t);
  await it.hears(entry(message(99, 90, { conversation: 'c2' })));
  await it.answer('conversations', { conversations: [summary({ conversation: 'c2' }), summary()] });
  const { cursors } = await it.answer('resume', {
    conversations: [
      {
        conversation: 'c2',
        entries: [
          message(90, null, { conversation: 'c2' }),
          message(99, 90, { conversation: 'c2' }),
        ],
        complete: true,
        head: 99,
      },
    ],
  });
  assert.deepEqual(cursors[1], { conversation: 'c2', cursor: 0 });
  assert.deepEqual(it.told, ['90', '99']);
});

test('a conversation that began while the app was not there is given from its beginning', async (t) => {
  const storage = new MemoryStorage();
  const first = begin(t, { storage, resume: true });
  await first.client.start();
  first.sockets.last.hello();
  await first.answer('conversations', { conversations: [] });
  await first.client.stop();
  t.mock.timers.reset();

  const it = begin(t, { storage, resume: true });
  await it.client.start();
  it.sockets.last.hello();
  await it.answer('conversations', { conversations: [summary()] });
  const part = { conversation: 'c1', entries: THREE, complete: true, head: 30 };
  const { cursors } = await it.answer('resume', { conversations: [part] });
  assert.deepEqual(cursors, [{ conversation: 'c1', cursor: 0 }]);
  assert.deepEqual(it.told, ['10', '20', '30']);
});

for (const [kind, item] of [
  ['direct conversation', summary()],
  ['group', summary(GROUP)],
]) {
  test(`a ${kind} that moves up while the list is read goes on where it was`, async (t) => {
    const it = await follow(t, {}, item);
    await it.reconnects();
    const page = Array.from({ length: 100 }, (_, at) =>
      summary({ conversation: `d${at}`, head: 200 - at }),
    );
    await it.answer('conversations', { conversations: page });
    await it.hears(entry(message(250, 240)));
    const { before } = await it.answer('conversations', { conversations: [] });
    assert.equal(before, 101);
    const entries = [message(240, 30), message(250, 240)];
    const part = { conversation: 'c1', entries, complete: true, head: 250 };
    const { cursors } = await it.answer('resume', { conversations: [part] });
    assert.deepEqual(cursors[0], { conversation: 'c1', cursor: 30 });
    assert.deepEqual(it.told, ['240', '250']);
  });
}

test('a conversation that is not followed and moves up while the list is read has news', async (t) => {
  const it = begin(t);
  await it.client.start();
  it.sockets.last.hello();
  await it.answer('conversations', { conversations: [summary()] });
  await it.reconnects();
  await it.answer('conversations', { conversations: [] });
  await it.answer('attach', { entries: THREE, complete: true, head: 30 });
  assert.deepEqual(it.told, ['10', '20', '30']);
});

test('what the server no longer knows after a reconnect is left, or empty if it is direct', async (t) => {
  const storage = new MemoryStorage();
  const it = begin(t, { resume: true, storage });
  await it.client.start();
  it.sockets.last.hello();
  const group = summary({ ...GROUP, conversation: 'c2' });
  await it.answer('conversations', { conversations: [summary(), group] });
  await it.answer('attach', { entries: [], complete: true, head: 30 });
  await it.answer('attach', { entries: [], complete: true, head: 30 });
  await it.reconnects();
  await it.answer('conversations', { conversations: [] });
  assert.deepEqual(it.told, [], 'the list alone does not say so');
  const gone = ['c1', 'c2'].map((conversation) => ({ conversation, error: NOT_FOUND }));
  await it.answer('resume', { conversations: gone });
  assert.deepEqual(it.told, ['emptied c1', 'left c2']);
  assert.equal((await it.answer('open_direct', { conversation: 'c1' })).user, 'bob');
  assert.equal(new Map((await storage.load()).cursors).get('c2'), undefined);
});

test('what is not followed and the server no longer knows is left, or empty if it is direct', async (t) => {
  const it = begin(t);
  await it.client.start();
  it.sockets.last.hello();
  const group = summary({ ...GROUP, conversation: 'c2' });
  await it.answer('conversations', { conversations: [summary(), group] });
  await it.reconnects();
  await it.answer('conversations', { conversations: [] });
  for (const id of ['c1', 'c2']) {
    assert.equal((await it.answer('attach', { error: NOT_FOUND })).conversation, id);
  }
  assert.deepEqual(it.told, ['emptied c1', 'left c2']);
});

test('a gap of many pages is closed to its end, though nothing is held beyond it', async (t) => {
  const it = await follow(t);
  await it.hears({ event: 'gap', conversations: ['c1'] });
  await it.answer('attach', { entries: [message(40, null)], complete: false, gap: { after: 40 } });
  const first = await it.answer('history', { entries: [message(50, null)], more: true });
  const second = await it.answer('history', { entries: [message(60, 50)], more: false });
  assert.deepEqual([first.after, second.after], [40, 50]);
  assert.deepEqual(it.told, ['40', '50', '60']);
});

test('a gap that is too wide is told, with its bounds', async (t) => {
  const it = await follow(t, { maxGapPages: 1 });
  await it.hears({ event: 'gap', conversations: ['c1'] });
  await it.answer('attach', { entries: [message(40, 30)], complete: false, gap: { after: 40 } });
  await it.answer('history', { entries: [message(50, 40)], more: true });
  await it.answer('attach', { entries: [message(900, 890)], complete: true, head: 900 });
  assert.deepEqual(it.told, ['40', '50', 'skipped 50 to 900', '900']);
});

test('an entry that moved is said to have moved, and not given twice', async (t) => {
  const it = await follow(t);
  await it.hears({
    event: 'withdrawn',
    conversation: 'c1',
    entry: 'e30',
    position: 30,
    stands: 40,
  });
  await it.hears(entry(message(40, 20, { entry: 'e30' })));
  await it.answer('attach', {
    entries: [message(40, 20, { entry: 'e30' })],
    complete: true,
    head: 40,
  });
  assert.deepEqual(it.told, ['moved 40']);
});

test('a command that the server would close the connection for is refused here', async (t) => {
  const it = begin(t);
  await it.client.start();
  it.sockets.last.says({
    event: 'hello',
    user: 'alice',
    heartbeat_ms: 25_000,
    limits: { max_frame_bytes: 1000 },
  });
  await it.answer('conversations', { conversations: [summary()] });
  const { sent } = it.client.send('c1', 'é'.repeat(500));
  await assert.rejects(sent, { code: 'too_large' });
  assert.deepEqual(await it.sent('send'), []);
  assert.deepEqual(it.told, ['refused too_large']);
  assert.equal(it.client.outbox('c1').length, 1, 'it waits for the user to decide');
});

test('what is refused for good lets the next pass, and can be tried again or given up', async (t) => {
  const it = await follow(t);
  const first = it.client.send('c1', 'bad');
  const second = it.client.send('c1', 'good');
  const error = { code: 'blocked', message: 'one of you has blocked the other' };
  await it.answer('send', { error });
  await it.answer('send', ack(40, 30));
  await assert.rejects(first.sent, DardaError);
  assert.equal((await second.sent).position, 40);
  it.client.retry('c1', first.clientId);
  assert.equal((await it.answer('send', { error })).resend, true);
  it.client.discard('c1', first.clientId);
  assert.deepEqual(it.client.outbox('c1'), []);
});

test('a direct conversation without an entry is opened again after a restart, then what waits is sent', async (t) => {
  const storage = new MemoryStorage();
  const first = begin(t, { storage });
  await first.client.start();
  first.sockets.last.hello();
  await first.answer('conversations', { conversations: [] });
  const opening = first.client.openDirect('carol');
  await first.answer('open_direct', { conversation: 'c9' });
  first.sockets.last.drop();
  await first.client.send((await opening).id, 'hello').stored;
  await first.client.stop();
  t.mock.timers.reset();

  const it = begin(t, { storage });
  await it.client.start();
  it.sockets.last.hello();
  await it.answer('conversations', { conversations: [] });
  assert.equal((await it.answer('open_direct', { conversation: 'c9' })).user, 'carol');
  assert.equal((await it.answer('send', ack(40, null))).text, 'hello');
});

test('a change of members is fetched as the server made it', async (t) => {
  const it = await follow(t);
  const adding = it.client.ask('add', {
    conversation: 'c1',
    client_id: 'z',
    users: ['bob', 'eve'],
  });
  await it.answer('add', ack(40, 30));
  await adding;
  const change = { add: { users: ['eve'] } };
  const entries = [message(40, 30, { sender: 'alice', type: 'members', change })];
  assert.equal((await it.answer('attach', { entries, complete: true, head: 40 })).cursor, 30);
  assert.deepEqual(it.told, ['40']);
});

test('a change of members that is repeated says so', async (t) => {
  const it = await follow(t);
  const leaving = it.client.ask('leave', { conversation: 'c1', client_id: 'x' });
  const error = { code: 'unavailable', message: 'not now', retry_after_ms: 100 };
  assert.equal((await it.answer('leave', { error })).resend, undefined);
  await it.tick(150);
  assert.equal((await it.answer('leave', ack(40, 30))).resend, true);
  await leaving;
  await it.hears({ event: 'left', conversation: 'c1' });
  assert.deepEqual(it.told, ['left c1']);
});

test('it says in words how it stands', async (t) => {
  const it = begin(t);
  const words = [];
  it.client.on('status', ({ text }) => words.push(text));
  assert.equal(it.client.status.text, 'Connecting.');
  await it.client.start();
  it.sockets.last.hello();
  await it.answer('conversations', { conversations: [] });
  it.sockets.last.drop(1012);
  await it.tick(400);
  it.sockets.last.drop(4401);
  assert.deepEqual(words, [
    'Online, fetching what was missed.',
    'Online.',
    'Offline: the server restarts. Trying again; what you do is sent later.',
    'The server does not let you in. Sign in again.',
  ]);
});

test('a storage that fails is told, and nothing stops', async (t) => {
  const no = () => Promise.reject(new Error('quota'));
  const it = begin(t, { storage: { load: no, put: no, remove: no, setCursors: no } });
  await it.client.start();
  it.sockets.last.hello();
  await it.answer('conversations', { conversations: [summary()] });
  const { stored, sent } = it.client.send('c1', 'mine');
  await assert.rejects(stored, /quota/);
  await it.answer('send', ack(40, 30));
  await sent;
  assert.ok(it.told.filter((word) => word === 'trouble').length >= 3);
});

test('nothing is sent before what waits is known', (t) => {
  const it = begin(t);
  assert.throws(() => it.client.send('c1', 'too early'), { code: 'not_started' });
});

test('a frame that is no JSON ends the connection', async (t) => {
  const it = await follow(t);
  it.sockets.last.onmessage({ data: '{"event":"ent' });
  assert.equal(it.client.status.state, 'offline');
});

test('the cursor is stored when the app is done with what it was given, in order', async (t) => {
  const storage = new MemoryStorage();
  const it = await follow(t, { storage });
  const stored = async () => new Map((await storage.load()).cursors).get('c1');
  const done = [];
  it.client.on('entry', () => new Promise((resolve) => done.push(resolve)));
  await it.hears(entry(message(40, 30)));
  await it.hears(entry(message(50, 40)));
  assert.equal(await stored(), 30);
  done[1]();
  await settled();
  assert.equal(await stored(), 30, 'the one before is not done');
  done[0]();
  await settled();
  assert.equal(await stored(), 50);
});

test('a listener that fails keeps the cursor where it was', async (t) => {
  const storage = new MemoryStorage();
  const it = await follow(t, { storage });
  let fail = true;
  it.client.on('entry', async () => {
    if (fail) throw new Error('the app cannot keep it');
  });
  await it.hears(entry(message(40, 30)));
  fail = false;
  await it.hears(entry(message(50, 40)));
  assert.equal(new Map((await storage.load()).cursors).get('c1'), 30);
  assert.deepEqual(it.told, ['40', '50'], 'the stream goes on');
});

test('an entry whose predecessor may be an own one waits for the ack, one second at most', async (t) => {
  const it = await follow(t);
  it.client.send('c1', 'mine');
  await it.hears(entry(message(50, 40)));
  assert.deepEqual(await it.sent('attach'), []);
  await it.tick(1000);
  assert.equal((await it.sent('attach')).length, 1);
});

test('a stale answer is asked for again', async (t) => {
  const it = await follow(t);
  await it.hears(entry(message(50, 40)));
  const entries = [message(40, 30), message(50, 40)];
  await it.answer('attach', { entries, complete: true, head: 50, stale: true });
  assert.deepEqual(await it.sent('attach'), []);
  await it.tick(5000);
  assert.equal((await it.sent('attach')).length, 1);
});

test('a stale answer with a hole moves no cursor', async (t) => {
  const it = await follow(t);
  await it.hears({ event: 'gap', conversations: ['c1'] });
  const gap = { after: 50 };
  await it.answer('attach', { entries: [message(50, 40)], complete: false, gap, stale: true });
  assert.deepEqual(await it.sent('history'), []);
  await it.tick(5000);
  const entries = [message(40, 30), message(50, 40)];
  assert.equal((await it.answer('attach', { entries, complete: true, head: 50 })).cursor, 30);
  assert.deepEqual(it.told, ['40', '50']);
});

test('a stale part of a resume moves no cursor', async (t) => {
  const it = await follow(t);
  await it.reconnects();
  await it.answer('conversations', { conversations: [summary({ head: 50 })] });
  const part = { entries: [message(50, 40)], complete: false, gap: { after: 50 }, stale: true };
  await it.answer('resume', { conversations: [{ conversation: 'c1', ...part }] });
  const entries = [message(40, 30), message(50, 40)];
  assert.equal((await it.answer('attach', { entries, complete: true, head: 50 })).cursor, 30);
  assert.deepEqual(it.told, ['40', '50']);
});

test('a stale page with a hole moves no cursor', async (t) => {
  const it = await follow(t);
  await it.hears({ event: 'gap', conversations: ['c1'] });
  await it.answer('attach', { entries: [], complete: false, gap: { after: 30 } });
  await it.answer('history', { entries: [message(50, 40)], more: false, stale: true });
  await it.tick(5000);
  const entries = [message(40, 30), message(50, 40)];
  assert.equal((await it.answer('attach', { entries, complete: true, head: 50 })).cursor, 30);
  assert.deepEqual(it.told, ['40', '50']);
});

test('a stale answer skips no gap', async (t) => {
  const it = await follow(t, { maxGapPages: 0 });
  await it.hears({ event: 'gap', conversations: ['c1'] });
  await it.answer('attach', { entries: [message(40, 30)], complete: false, gap: { after: 40 } });
  await it.answer('attach', { entries: [message(900, 890)], complete: true, stale: true });
  await it.tick(5000);
  assert.equal((await it.sent('attach'))[0].cursor, 40);
  assert.deepEqual(it.told, ['40']);
});

test('a log does not begin with a stale answer', async (t) => {
  const it = begin(t);
  await it.client.start();
  it.sockets.last.hello();
  await it.answer('conversations', { conversations: [summary()] });
  it.client.open('c1');
  const [, , last] = THREE;
  await it.answer('attach', { entries: [last], complete: true, stale: true });
  await it.tick(5000);
  const asked = await it.answer('attach', { entries: THREE, complete: true, head: 30 });
  assert.equal(asked.cursor, undefined);
  assert.deepEqual(it.told, ['10', '20', '30']);
});

test('an entry that stands at a place that was passed already is fetched', async (t) => {
  const it = await follow(t);
  const withdrawn = { event: 'withdrawn', conversation: 'c1', entry: 'e30', position: 30 };
  await it.hears({ ...withdrawn, stands: 15 });
  const entries = [message(15, 10, { entry: 'e30' })];
  const asked = await it.answer('history', { entries, more: true });
  assert.deepEqual([asked.after, asked.limit], [14, 1]);
  assert.deepEqual(it.told, ['moved 15']);
});

test('an entry that a stale answer does not hold where it stands is asked for again', async (t) => {
  const it = await follow(t);
  const withdrawn = { event: 'withdrawn', conversation: 'c1', entry: 'e30', position: 30 };
  await it.hears({ ...withdrawn, stands: 15 });
  await it.answer('history', { entries: [message(50, 40)], more: false, stale: true });
  await it.tick(5000);
  await it.answer('history', { entries: [message(15, 10, { entry: 'e30' })], more: true });
  assert.deepEqual(it.told, ['moved 15']);
});
