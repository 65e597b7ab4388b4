import assert from 'node:assert/strict';
import { test } from 'node:test';

import { stage } from './support/stage.js';

const here = stage();
const TEN = Array.from({ length: 10 }, (_, at) => `message ${at + 1}`);

/** Two people in a conversation; the second one's network can be cut. */
async function pair(t, a, b) {
  const network = await here.network(t);
  const first = await here.at(t, a);
  const second = await here.at(t, b, { through: network });
  await first.chatWith(b);
  await first.say('hello');
  await second.open(a);
  await second.reads(['hello']);
  return { first, second, network };
}

test('one who was cut off finds all ten messages in order and none twice', async (t) => {
  const { first, second, network } = await pair(t, 'alice', 'bob');
  network.cut();
  await second.isOffline();
  for (const text of TEN) await first.say(text);
  await first.ticked('message 10', 'sent');
  assert.deepEqual(await second.texts(), ['hello']);

  network.mend();
  await second.reads(['hello', ...TEN]);
  await first.ticked('message 10', 'seen');
  await second.page.getByText('You are offline.').waitFor({ state: 'hidden' });
});

test('messages written offline arrive once and in order', async (t) => {
  const { first, second, network } = await pair(t, 'carol', 'dave');
  network.cut();
  await second.isOffline();
  await second.say('written offline');
  await second.say('and another');
  await second.ticked('and another', 'waiting');

  network.mend();
  await first.reads(['hello', 'written offline', 'and another']);
  await second.ticked('and another', 'seen');
  await second.reads(['hello', 'written offline', 'and another']);
});

test('a message whose acknowledgement was lost is there once', async (t) => {
  const { first, second, network } = await pair(t, 'erin', 'fred');
  network.loseReplies();
  await second.say('did it arrive?');
  await first.reads(['hello', 'did it arrive?']);
  await second.ticked('did it arrive?', 'waiting');
  network.cut();
  await second.isOffline();
  await first.say('yes');

  network.mend();
  await second.reads(['hello', 'did it arrive?', 'yes']);
  await second.ticked('did it arrive?', 'seen');
  await first.page.reload();
  await first.open('fred');
  await first.reads(['hello', 'did it arrive?', 'yes']);
});

test('a repeat is marked, with the client id of the first try', async (t) => {
  const network = await here.network(t);
  const gwen = await here.at(t, 'gwen', { through: network });
  const sends = [];
  gwen.page.on('websocket', (socket) =>
    socket.on('framesent', ({ payload }) => {
      const frame = JSON.parse(payload);
      if (frame.cmd === 'send') sends.push(frame);
    }),
  );
  await gwen.page.reload();
  await gwen.isOnline();
  await gwen.chatWith('hans');
  network.loseCommands();
  await gwen.say('twice sent');
  await gwen.ticked('twice sent', 'waiting');
  network.cut();
  await gwen.isOffline();
  network.mend();
  await gwen.ticked('twice sent', 'sent');
  assert.equal(sends.length, 2);
  assert.equal(sends[0].resend, undefined);
  assert.equal(sends[1].resend, true);
  assert.equal(sends[1].client_id, sends[0].client_id);
});

test('a reload sends what still waits, once', async (t) => {
  const { first, second, network } = await pair(t, 'iris', 'jens');
  network.loseReplies();
  await second.say('received before the reload');
  await first.reads(['hello', 'received before the reload']);
  network.loseCommands();
  await second.say('not yet received');
  await second.ticked('not yet received', 'waiting');

  await second.page.reload();
  await second.open('iris');
  const all = ['hello', 'received before the reload', 'not yet received'];
  await second.reads(all);
  await first.reads(all);
  await second.ticked('not yet received', 'seen');
});

test('a reaction made offline arrives after the reconnect', async (t) => {
  const { first, second, network } = await pair(t, 'karl', 'lena');
  network.cut();
  await second.isOffline();
  await second.act('hello', 'React');
  await second.page.getByRole('button', { name: 'React with ❤️' }).click();
  await second.message('hello').getByRole('button', { name: '❤️ 1, with yours' }).waitFor();
  network.mend();
  await first.message('hello').getByRole('button', { name: '❤️ 1' }).waitFor();
});

test('a server that comes back finds everybody again', async (t) => {
  const network = await here.network(t);
  const mona = await here.at(t, 'mona', { through: network });
  for (let round = 0; round < 3; round += 1) {
    network.cut();
    await mona.isOffline();
    network.mend();
    await mona.page.getByRole('button', { name: 'Try now' }).click();
    await mona.isOnline();
  }
  await mona.chatWith('nils');
  await mona.say('still here');
  await mona.ticked('still here', 'sent');
});
