import assert from 'node:assert/strict';
import { test } from 'node:test';

import axe from 'axe-core';

import { stage } from './support/stage.js';

const here = stage();

async function judge(page, what) {
  const violations = await page.evaluate(async (source) => {
    if (!window.axe) (0, eval)(source);
    const { violations: found } = await window.axe.run(document);
    return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join('; ')}`);
  }, axe.source);
  assert.deepEqual(violations, [], what);
}

for (const colorScheme of ['light', 'dark']) {
  for (const viewport of [
    { width: 1280, height: 800 },
    { width: 390, height: 844 },
  ]) {
    test(`no accessibility rule is broken: ${colorScheme}, ${viewport.width} wide`, async (t) => {
      const key = `${colorScheme}${viewport.width}`;
      const options = { colorScheme, viewport, bypassCSP: true, reducedMotion: 'reduce' };
      const uma = await here.at(t, `uma ${key}`, options);
      const vera = await here.at(t, `vera ${key}`);
      await judge(uma.page, 'an empty list');
      await vera.makeGroup('Garden', [uma.name]);
      await vera.say('The tomatoes are ripe.');
      await vera.say('Who wants some?');
      await uma.listed('Garden').getByLabel('2 unread').waitFor();
      await judge(uma.page, 'a list with unread messages');
      await uma.open('Garden');
      await uma.say('Me!');
      await uma.ticked('Me!', 'seen');
      await uma.act('Who wants some?', 'React');
      await uma.page.getByRole('button', { name: 'React with 🎉' }).click();
      await uma.message('Who wants some?').getByRole('button', { name: /🎉 1/ }).waitFor();
      await uma.act('Who wants some?', 'Reply');
      await judge(uma.page, 'a conversation');
      await uma.page.locator('#header-title').click();
      await uma.page.getByRole('list', { name: 'Members' }).waitFor();
      await judge(uma.page, 'the members');
    });
  }
}

test('no accessibility rule is broken where one picks a name', async (t) => {
  const context = await here.browser.newContext({ bypassCSP: true });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(here.server.origin);
  await page.getByRole('textbox', { name: 'Name' }).waitFor();
  await judge(page, 'the name');
  await page.keyboard.type('wanda');
  await page.keyboard.press('Enter');
  await page.locator('#app[data-state="online"]').waitFor();
});
