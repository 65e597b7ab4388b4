import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Chat } from '../../../darda-server/page/js/chat.js';
import { MemoryStorage } from '../../../darda-server/page/js/vendor/darda-client.js';
import { ack, entry, message, summary } from '../../../clients/js/test/support/frames.js';
import { settled, Sockets } from '../../../clients/js/test/support/sockets.js';

/** A chat with one conversation open that holds 10, 20, 30. */
async function begin(t, { storage = new MemoryStorage(), item = summary() } = {}) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  const sockets = new Sockets();
  const notices = [];
  const on = { change() {}, arrived() {}, notice: (text) => notices.push(text) };
  const options = {
    url: 'ws://server/v1/ws',
    storage,
    on,
    Socket: sockets.Socket,
    random: () => 1,
  };
  const chat = new Chat('alice', options);
  t.after(() => chat.stop());
  chat.start();
  const it = {
    chat,
    sockets,
    notices,
    storage,
    /** Takes a command, which must have been sent, and answers it. */
    async answer(cmd, ok, socket = sockets.last) {
      await settled();
      const frame = socket.take(cmd);
      assert.ok(frame, `${cmd} was sent`);
      socket.says({ id: frame.id, ...(ok.error ? { error: ok.error } : { ok }) });
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
    async reconnect() {
      sockets.last.drop();
      await it.tick(400);
      sockets.last.hello();
    },
    async tick(ms) {
      t.mock.timers.tick(ms);
      await settled();
    },
    get conversation() {
      return chat.conversations[0];
    },
    texts: () => chat.conversations[0].rows().map(({ text }) => text),
  };
  sockets.last.hello();
  await it.answer('conversations', { conversations: [item] });
  chat.open('c1');
  const entries = [message(10, null), message(20, 10), message(30, 20)];
  await it.answer('attach', { entries, complete: true, head: 30 });
  sockets.last.sent.length = 0;
  return it;
}

test('a live entry that follows is taken without asking', async (t) => {
  const it = await begin(t);
  await it.hears(entry(message(40, 30)));
  assert.deepEqual(it.texts(), ['text 10', 'text 20', 'text 30', 'text 40']);
  assert.deepEqual(await it.sent('attach'), []);
  assert.equal((await it.sent('delivered'))[0].position, 40);
});

test('a gap asks with the cursor, once, and marks nothing beyond it until it is closed', async (t) => {
  const it = await begin(t);
  await it.hears(entry(message(60, 50)));
  await it.hears(entry(message(70, 60)));
  assert.deepEqual(await it.sent('delivered'), []);
  assert.equal((await it.sent('attach')).length, 1);
  const asked = await it.answer('attach', {
    entries: [message(40, 30), message(50, 40), message(60, 50)],
    complete: true,
    head: 70,
  });
  assert.equal(asked.cursor, 30);
  assert.deepEqual(it.texts().slice(-4), ['text 40', 'text 50', 'text 60', 'text 70']);
  assert.equal((await it.sent('delivered'))[0].position, 70);
});

test('a wide gap is paged, from where it begins', async (t) => {
  const it = await begin(t);
  await it.hears(entry(message(90, 80)));
  const gap = { after: 30, before: 90 };
  await it.answer('attach', { entries: [message(90, 80)], complete: false, gap, head: 90 });
  const first = await it.answer('history', {
    entries: [message(40, 30), message(50, 40)],
    more: true,
  });
  assert.equal(first.after, 30);
  const second = await it.answer('history', { entries: [message(80, 50)], more: true });
  assert.equal(second.after, 50);
  assert.equal(it.conversation.log.cursor, 90);
  assert.deepEqual(await it.sent('history'), []);
});

test('a gap that is too wide starts the log again', async (t) => {
  const it = await begin(t);
  await it.hears(entry(message(9000, 8990)));
  const gap = { after: 30, before: 9000 };
  await it.answer('attach', { entries: [message(9000, 8990)], complete: false, gap, head: 9000 });
  for (let page = 0; page < 5; page += 1) {
    const at = 100 * (page + 1);
    await it.answer('history', { entries: [message(at, null)], more: true });
  }
  const newest = await it.answer('attach', {
    entries: [message(9000, 8990)],
    complete: true,
    head: 9000,
  });
  assert.equal(newest.cursor, undefined);
  assert.deepEqual(it.texts(), ['text 9000']);
});

test('an entry whose predecessor may be an own one waits for the ack', async (t) => {
  const it = await begin(t);
  it.chat.send(it.conversation, 'mine');
  await it.hears(entry(message(50, 40)));
  assert.deepEqual(await it.sent('attach'), []);
  await it.answer('send', ack(40, 30));
  assert.equal(it.conversation.log.cursor, 50);
  await it.tick(1000);
  assert.deepEqual(await it.sent('attach'), []);
  assert.deepEqual(it.texts().slice(-2), ['mine', 'text 50']);
});

test('it waits one second at most', async (t) => {
  const it = await begin(t);
  it.chat.send(it.conversation, 'mine');
  await it.hears(entry(message(50, 40)));
  await it.tick(1000);
  assert.equal((await it.sent('attach')).length, 1);
});

test('sends go out one after the other, in the order of writing', async (t) => {
  const it = await begin(t);
  it.chat.send(it.conversation, 'one');
  it.chat.send(it.conversation, 'two');
  assert.equal((await it.sent('send')).length, 1);
  assert.equal((await it.answer('send', ack(40, 30))).text, 'one');
  assert.equal((await it.answer('send', ack(50, 40))).text, 'two');
  assert.deepEqual((await it.storage.load()).items, []);
});

test('a send that is refused for now is repeated, marked, with the same client id', async (t) => {
  const it = await begin(t);
  it.chat.send(it.conversation, 'mine');
  const error = { code: 'rate_limited', message: 'too many', retry_after_ms: 700 };
  const first = await it.answer('send', { error });
  assert.equal(first.resend, undefined);
  await it.tick(699);
  assert.deepEqual(await it.sent('send'), []);
  await it.tick(400);
  const second = await it.answer('send', ack(40, 30));
  assert.equal(second.resend, true);
  assert.equal(second.client_id, first.client_id);
  assert.deepEqual(it.notices, []);
});

test('a send that is refused for good is shown with its reason and lets the next pass', async (t) => {
  const it = await begin(t);
  it.chat.send(it.conversation, 'bad');
  it.chat.send(it.conversation, 'good');
  await it.answer('send', {
    error: { code: 'blocked', message: 'one of you has blocked the other' },
  });
  await it.answer('send', ack(40, 30));
  const rows = it.conversation.rows().slice(-2);
  assert.deepEqual(
    rows.map(({ text, state }) => [text, state]),
    [
      ['good', 'sent'],
      ['bad', 'failed'],
    ],
  );
  it.chat.retry(it.conversation, rows[1].clientId);
  assert.equal((await it.answer('send', ack(50, 40))).resend, true);
});

test('a reconnect resumes with the cursors before it sends what waits', async (t) => {
  const it = await begin(t);
  it.sockets.last.drop();
  it.chat.send(it.conversation, 'written offline');
  await it.tick(400);
  it.sockets.last.hello();
  await it.answer('conversations', { conversations: [summary({ head: 50 })] });
  assert.deepEqual(await it.sent('send'), []);
  const entries = [message(40, 30), message(50, 40)];
  const part = { conversation: 'c1', entries, complete: true, head: 50 };
  const { cursors } = await it.answer('resume', { conversations: [part] });
  assert.deepEqual(cursors, [{ conversation: 'c1', cursor: 30 }]);
  const sent = await it.answer('send', ack(60, 50));
  assert.equal(sent.resend, undefined, 'it was never sent before');
  assert.deepEqual(it.texts().slice(-3), ['text 40', 'text 50', 'written offline']);
});

test('what the resume shows as kept is not sent again', async (t) => {
  const it = await begin(t);
  it.chat.send(it.conversation, 'ack lost');
  await settled();
  const { client_id } = it.sockets.last.take('send');
  it.sockets.last.drop();
  await it.tick(400);
  it.sockets.last.hello();
  await it.answer('conversations', { conversations: [summary({ head: 40 })] });
  const entries = [message(40, 30, { sender: 'alice', client_id, text: 'ack lost' })];
  await it.answer('resume', {
    conversations: [{ conversation: 'c1', entries, complete: true, head: 40 }],
  });
  assert.deepEqual(await it.sent('send'), []);
  assert.deepEqual(it.texts().slice(-1), ['ack lost']);
  assert.deepEqual((await it.storage.load()).items, []);
});

test('a withdrawn entry goes, and the one that stands is fetched', async (t) => {
  const it = await begin(t);
  await it.hears({
    event: 'withdrawn',
    conversation: 'c1',
    entry: 'e30',
    position: 30,
    stands: 15,
  });
  assert.deepEqual(it.texts(), ['text 10', 'text 20']);
  const stands = message(15, 10, { entry: 'e30', text: 'text 30' });
  const asked = await it.answer('history', { entries: [stands], more: true });
  assert.deepEqual([asked.after, asked.limit], [14, 1]);
  assert.deepEqual(it.texts(), ['text 10', 'text 30', 'text 20']);
});

test('heads beyond the cursor attach, others do not', async (t) => {
  const it = await begin(t);
  await it.hears({ event: 'heads', heads: [{ conversation: 'c1', position: 30 }] });
  assert.deepEqual(await it.sent('attach'), []);
  await it.hears({ event: 'heads', heads: [{ conversation: 'c1', position: 40 }] });
  await it.answer('attach', { entries: [message(40, 30)], complete: true, head: 40 });
  assert.equal(it.texts().at(-1), 'text 40');
});

test('a slow session catches up with what it is told, or with everything', async (t) => {
  const it = await begin(t);
  await it.hears({ event: 'gap', conversations: ['c1'] });
  await it.answer('attach', { entries: [], complete: true, head: 30 });
  await it.hears({ event: 'gap', all: true });
  await it.answer('conversations', { conversations: [summary()] });
  await it.answer('resume', { conversations: [] });
});

test('who is removed loses the conversation and is told', async (t) => {
  const it = await begin(t);
  await it.hears({ event: 'left', conversation: 'c1' });
  assert.equal(it.chat.active, null);
  assert.deepEqual(it.chat.conversations, []);
  assert.deepEqual(it.notices, ['You are no longer a member of bob.']);
});

test('a conversation that one joins comes with the list', async (t) => {
  const it = await begin(t);
  await it.hears({ event: 'joined', conversation: 'c2' });
  const group = { conversation: 'c2', kind: 'group', title: 'Walkers', head: 99, delivered: 0 };
  await it.answer('conversations', { conversations: [summary(group), summary()] });
  await it.answer('resume', { conversations: [] });
  const entries = [message(99, null, { conversation: 'c2' })];
  await it.answer('attach', { entries, complete: true, head: 99 });
  assert.deepEqual(
    it.chat.conversations.map(({ name }) => name),
    ['Walkers', 'bob'],
  );
  assert.equal((await it.sent('delivered'))[0].position, 99);
});

test('a group that the list no longer names after a reconnect is ours no more', async (t) => {
  const it = await begin(t, {
    item: summary({ kind: 'group', title: 'Walkers', peer: undefined }),
  });
  await it.reconnect();
  await it.answer('conversations', { conversations: [] });
  await it.answer('resume', {
    conversations: [{ conversation: 'c1', error: { code: 'not_found', message: 'no such' } }],
  });
  assert.deepEqual(it.chat.conversations, []);
});

test('a direct conversation that the server has lost is empty, and what waits is sent', async (t) => {
  const it = await begin(t);
  it.sockets.last.drop();
  it.chat.send(it.conversation, 'written offline');
  await it.tick(400);
  it.sockets.last.hello();
  await it.answer('conversations', { conversations: [] });
  await it.answer('resume', {
    conversations: [{ conversation: 'c1', error: { code: 'not_found', message: 'no such' } }],
  });
  assert.equal((await it.answer('open_direct', { conversation: 'c1' })).user, 'bob');
  await it.answer('send', ack(40, null));
  assert.deepEqual(it.texts(), ['written offline']);
});

test('only what is looked at is marked as seen', async (t) => {
  const it = await begin(t);
  await it.hears(entry(message(40, 30)));
  await it.answer('delivered', {});
  assert.equal(it.conversation.unread().count, 1);
  it.chat.look(true);
  const { position } = await it.answer('seen', {});
  assert.equal(position, 40);
  assert.equal(it.conversation.unread().count, 0);
});

test('receipts of others never go back', async (t) => {
  const it = await begin(t);
  const hear = (delivered, seen) =>
    it.hears({
      event: 'receipts',
      conversation: 'c1',
      receipts: [{ user: 'bob', delivered, seen }],
    });
  await hear(30, 20);
  await hear(10, 10);
  assert.deepEqual(it.conversation.reached(30), { delivered: 1, seen: 0, of: 1 });
  assert.deepEqual(it.conversation.reached(20), { delivered: 1, seen: 1, of: 1 });
});

test('typing ends by itself after six seconds', async (t) => {
  const it = await begin(t);
  await it.hears({ event: 'typing', conversation: 'c1', user: 'bob', active: true });
  await it.tick(5999);
  assert.equal(it.conversation.typing.size, 1);
  await it.tick(1);
  assert.equal(it.conversation.typing.size, 0);
});

test('one tells that one types every three seconds at most, and that it ended', async (t) => {
  const it = await begin(t);
  await it.tick(10_000);
  for (let at = 0; at < 10; at += 1) it.chat.typing(true);
  await it.tick(3001);
  it.chat.typing(true);
  it.chat.send(it.conversation, 'done');
  assert.deepEqual(
    (await it.sent('typing')).map(({ active }) => active),
    [true, true, false],
  );
});

test('a stale answer is asked for again', async (t) => {
  const it = await begin(t);
  await it.hears(entry(message(50, 40)));
  await it.answer('attach', {
    entries: [message(40, 30), message(50, 40)],
    complete: true,
    head: 50,
    stale: true,
  });
  assert.deepEqual(await it.sent('attach'), []);
  await it.tick(5000);
  assert.equal((await it.sent('attach')).length, 1);
});
