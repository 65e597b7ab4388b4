import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Person } from './support/people.js';
import { stage } from './support/stage.js';

const here = stage({ settings: { DARDA_RATE_LIMITS: 'off' }, prepare });
const ALL = Array.from({ length: 1000 }, (_, at) => `message ${at + 1}`);

async function prepare({ browser, server }) {
  const writer = await Person.at(browser, server.origin, 'writer');
  await writer.chatWith('reader');
  await writer.page.evaluate(writeAll, { user: 'writer', to: 'reader', texts: ALL });
  await writer.leave();
}

/** In the page: a socket of its own, a hundred sends in flight. */
async function writeAll({ user, to, texts }) {
  const socket = new WebSocket(
    `${location.origin.replace('http', 'ws')}/v1/ws?id=${user}`,
    'darda.v1',
  );
  const replies = new Map();
  await new Promise((resolve) => {
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.event === 'hello') resolve();
      replies.get(frame.id)?.(frame);
    };
  });
  let id = 0;
  const ask = (cmd, fields) =>
    new Promise((resolve, reject) => {
      id += 1;
      replies.set(id, ({ ok, error }) => (error ? reject(new Error(error.message)) : resolve(ok)));
      socket.send(JSON.stringify({ id, cmd, ...fields }));
    });
  const { conversation } = await ask('open_direct', { user: to });
  for (let from = 0; from < texts.length; from += 100) {
    const sends = texts
      .slice(from, from + 100)
      .map((text, at) => ask('send', { conversation, client_id: `seed-${from + at}`, text }));
    await Promise.all(sends);
  }
  socket.close();
}

const start = (reader) => reader.page.locator('#history-start[data-state="reached"]');

test('scrolling to the top shows a history of 1,000, whole and in order', async (t) => {
  const reader = await here.at(t, 'reader');
  await reader.open('writer');
  await reader.message('message 1000').waitFor();
  assert.ok((await reader.texts()).length < 300, 'only the newest are there at first');

  const scroller = reader.page.locator('#scroller');
  await scroller.hover();
  let top = NaN;
  while ((await start(reader).count()) === 0 || top > 0) {
    await reader.page.mouse.wheel(0, -1500);
    top = await scroller.evaluate((it) => it.scrollTop);
  }
  await reader.reads(ALL);
});

test('what one reads stays in its place while earlier messages come', async (t) => {
  const reader = await here.at(t, 'reader');
  await reader.open('writer');
  await reader.message('message 1000').waitFor();
  const moved = await reader.page.evaluate(async () => {
    const scroller = document.querySelector('#scroller');
    const count = () => document.querySelectorAll('.row-message').length;
    const before = count();
    scroller.scrollTop = 300;
    const inSight = [...document.querySelectorAll('.row-message')].find(
      (it) => it.getBoundingClientRect().top >= scroller.getBoundingClientRect().top,
    );
    const from = inSight.getBoundingClientRect().top;
    await new Promise((resolve) => {
      const observer = new MutationObserver(() => count() > before && resolve());
      observer.observe(document.querySelector('#messages'), { childList: true });
    });
    await new Promise(requestAnimationFrame);
    return Math.abs(inSight.getBoundingClientRect().top - from);
  });
  assert.ok(moved <= 2, `it moved by ${moved} px`);
});

test('a reader in the past is not pulled to the end, and goes there by one button', async (t) => {
  const reader = await here.at(t, 'reader');
  const writer = await here.at(t, 'writer');
  await reader.open('writer');
  await reader.message('message 1000').waitFor();
  const scroller = reader.page.locator('#scroller');
  await scroller.evaluate((it) => {
    it.scrollTop = it.scrollHeight / 2;
  });
  await reader.page.locator('#jump').waitFor();
  await writer.open('reader');
  await writer.say('news');
  await reader.page.getByRole('button', { name: '1 new messages, go to the newest' }).waitFor();
  await writer.ticked('news', 'delivered');
  assert.equal(await writer.message('news').locator('[data-tick="seen"]').count(), 0);
  await reader.page.locator('#jump').click();
  await writer.ticked('news', 'seen');
});
