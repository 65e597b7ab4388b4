import assert from 'node:assert/strict';
import { test } from 'node:test';

import { DardaError } from '../dist/errors.js';
import { MAX_ITEMS, Outbox } from '../dist/outbox.js';
import { MemoryStorage } from '../dist/storage.js';

/** A line whose other end is the test. */
class Line {
  state = 'offline';
  leads = true;
  sent = [];
  said = [];
  random = () => 0;

  share(message) {
    this.said.push(structuredClone(message));
  }

  request(cmd, { client_id: clientId, resend, text }) {
    return new Promise((resolve, reject) => {
      this.sent.push({ clientId, resend, text, resolve, reject });
    });
  }
}

function outbox(storage = new MemoryStorage()) {
  const line = new Line();
  const told = [];
  const it = new Outbox(line, storage, {
    changed() {},
    refused: ({ clientId }, { code }) => told.push(`refused ${clientId} ${code}`),
    trouble: () => told.push('trouble'),
  });
  let last = 0;
  const add = (conversation, text) => it.add('send', conversation, { text }, `c${(last += 1)}`);
  return { it, add, line, told, storage };
}

const settled = () => new Promise(setImmediate);
const texts = (items) => items.map(({ fields }) => fields.text);
const entry = (clientId, position) => ({
  conversation: 'c1',
  client_id: clientId,
  entry: `e${position}`,
  position,
  prev: null,
});

/** The server acknowledges the oldest send: its entry comes, then the reply. */
async function ack({ it, line }) {
  const { clientId, resolve } = line.sent.shift();
  it.settle(entry(clientId, 1));
  resolve();
  await settled();
}

test('a restart finds what waits, in order, and sends it as what may have been sent before', async () => {
  const before = outbox();
  before.add('c1', 'one');
  before.add('c1', 'two');
  const it = outbox(before.storage);
  it.it.load((await it.storage.load()).items);
  it.line.state = 'online';
  it.it.flushAll();
  it.it.add('send', 'c1', { text: 'three' }, 'new');
  const sent = [];
  for (let at = 0; at < 3; at += 1) {
    await settled();
    assert.equal(it.line.sent.length, 1, 'one at a time');
    sent.push([it.line.sent[0].text, it.line.sent[0].resend]);
    await ack(it);
  }
  assert.deepEqual(sent, [
    ['one', true],
    ['two', true],
    ['three', undefined],
  ]);
});

test('what another tab wrote stands in the order of writing, and is not marked until it was tried', async () => {
  const it = outbox();
  it.add('c1', 'one');
  it.add('c1', 'two');
  const put = { conversation: 'c1', clientId: 'x', seq: 1, failure: null, fields: { text: 'x' } };
  it.it.hear({ put });
  assert.deepEqual(texts(it.it.of('c1')), ['one', 'x', 'two']);
  it.it.suspect();
  it.line.state = 'online';
  it.it.flushAll();
  await settled();
  assert.equal(it.line.sent[0].resend, true, 'a tab that takes over suspects all');
});

test('what is settled is gone, also from the storage', async () => {
  const { it, add, storage } = outbox();
  const { clientId, sent } = add('c1', 'one');
  it.settle({ ...entry(clientId, 1), conversation: 'c2' });
  assert.equal(it.of('c1').length, 1);
  it.settle(entry(clientId, 1));
  assert.deepEqual(await sent, { entry: 'e1', position: 1, prev: null });
  await settled();
  assert.deepEqual((await storage.load()).items, []);
});

test('a failed one does not hold up the next, and can be tried again', async () => {
  const it = outbox();
  it.line.state = 'online';
  const first = it.add('c1', 'one');
  it.add('c1', 'two');
  await settled();
  it.line.sent.shift().reject(new DardaError('too_large', 'too long'));
  await settled();
  await assert.rejects(first.sent, { code: 'too_large' });
  assert.deepEqual(it.told, ['refused c1 too_large']);
  assert.equal((await it.storage.load()).items[0].failure, 'too long');
  assert.equal(it.line.sent[0].text, 'two');
  await ack(it);
  it.it.retry('c1', first.clientId);
  await settled();
  assert.deepEqual([it.line.sent[0].text, it.line.sent[0].resend], ['one', true]);
});

test('nothing is sent before the storage has it', async () => {
  let stored;
  const storage = { put: () => new Promise((resolve) => (stored = resolve)) };
  const it = outbox(storage);
  it.line.state = 'online';
  it.add('c1', 'one');
  await settled();
  assert.deepEqual(it.line.sent, []);
  stored();
  await settled();
  assert.equal(it.line.sent.length, 1);
});

test('what is given up before the storage has it is not sent', async () => {
  let stored;
  const storage = {
    put: () => new Promise((resolve) => (stored = resolve)),
    remove: async () => {},
  };
  const it = outbox(storage);
  it.line.state = 'online';
  const { clientId } = it.add('c1', 'one');
  it.it.discard('c1', clientId);
  stored();
  await settled();
  assert.deepEqual(it.line.sent, []);
});

test('what is given up on its way and then refused stays given up', async () => {
  const it = outbox();
  it.line.state = 'online';
  const { clientId } = it.add('c1', 'one');
  await settled();
  it.it.discard('c1', clientId);
  it.line.sent.shift().reject(new DardaError('too_large', 'too long'));
  await settled();
  assert.deepEqual((await it.storage.load()).items, []);
  assert.deepEqual(it.told, []);
});

test('a full outbox refuses', () => {
  const { add } = outbox();
  for (let at = 0; at < MAX_ITEMS; at += 1) add('c1', 'x');
  assert.throws(() => add('c1', 'x'), { code: 'outbox_full' });
});

test('the same client id again is the same item', () => {
  const { it } = outbox();
  const first = it.add('send', 'c1', { text: 'one' }, 'same');
  assert.equal(it.add('send', 'c1', { text: 'one' }, 'same'), first);
  assert.equal(it.of('c1').length, 1);
  it.add('send', 'c2', { text: 'one' }, 'same');
  assert.equal(it.of('c2').length, 1);
});

test('a broken storage leaves an outbox that works, and is told', async () => {
  const no = () => Promise.reject(new Error('quota'));
  const it = outbox({ put: no, remove: no });
  it.line.state = 'online';
  const { stored } = it.add('c1', 'one');
  await assert.rejects(stored, /quota/);
  await settled();
  await ack(it);
  assert.deepEqual(it.it.of('c1'), []);
  assert.deepEqual(it.told, ['trouble', 'trouble']);
});

test('other tabs are told of an item when the storage has it, and when it is given up', async () => {
  const one = outbox();
  const other = outbox();
  const { clientId, sent } = one.add('c1', 'one');
  assert.deepEqual(one.line.said, []);
  await settled();
  other.it.hear(one.line.said.shift());
  assert.deepEqual(texts(other.it.of('c1')), ['one']);
  one.it.discard('c1', clientId);
  other.it.hear(one.line.said.shift());
  assert.deepEqual(other.it.of('c1'), []);
  await assert.rejects(sent, { code: 'discarded' });
});

test('a tab hears what the server refused of it in another', async () => {
  const writer = outbox();
  writer.line.leads = false;
  const leader = outbox();
  leader.line.state = writer.line.state = 'online';
  const { sent } = writer.add('c1', 'bad');
  await settled();
  assert.deepEqual(writer.line.sent, [], 'only the tab with the connection sends');
  leader.it.hear(writer.line.said.shift());
  await settled();
  leader.line.sent.shift().reject(new DardaError('blocked', 'no'));
  await settled();
  writer.it.hear(leader.line.said.shift());
  await assert.rejects(sent, { message: 'no' });
  assert.deepEqual(writer.told, ['refused c1 refused']);
});
