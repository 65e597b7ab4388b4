import assert from 'node:assert/strict';
import { test } from 'node:test';

import { stage } from './support/stage.js';

const here = stage();

/** Presses Tab (or Shift+Tab) until what has the focus matches. */
async function tabTo(page, selector, key = 'Tab') {
  for (let presses = 0; presses < 40; presses += 1) {
    if (await page.evaluate((it) => document.activeElement?.matches(it) ?? false, selector)) return;
    await page.keyboard.press(key);
  }
  assert.fail(`${key} does not lead to ${selector}`);
}

const focusOn = (page, selector) =>
  page.waitForFunction((it) => document.activeElement?.matches(it), selector);

test('everything is done without a pointer', async (t) => {
  const ruth = await here.at(t, 'ruth');
  const sven = await here.at(t, 'sven');
  const { page } = ruth;
  const { keyboard } = page;

  await tabTo(page, '#new-group');
  await keyboard.press('Enter');
  await focusOn(page, '[name="title"]');
  await keyboard.type('Keys');
  await tabTo(page, '[name="members"]');
  await keyboard.type('sven, tina');
  await keyboard.press('Enter');
  await ruth.inConversation('Keys');
  await focusOn(page, '#text');

  await keyboard.type('first line');
  await keyboard.press('Shift+Enter');
  await keyboard.type('second line');
  await keyboard.press('Enter');
  await sven.open('Keys');
  await sven.reads(['first line\nsecond line']);
  await sven.say('an answer');
  await ruth.reads(['first line\nsecond line', 'an answer']);

  await t.test('edit the last own message by the arrow key', async () => {
    await keyboard.press('ArrowUp');
    await page.getByText('Editing your message').waitFor();
    await keyboard.press('Control+A');
    await keyboard.type('edited');
    await keyboard.press('Enter');
    await sven.reads(['edited', 'an answer']);
  });

  await t.test('Escape ends an edit and leaves the message', async () => {
    await keyboard.press('ArrowUp');
    await page.getByText('Editing your message').waitFor();
    await keyboard.press('Escape');
    await page.getByText('Editing your message').waitFor({ state: 'hidden' });
    assert.equal(await page.locator('#text').inputValue(), '');
  });

  await t.test('react to the newest message', async () => {
    await tabTo(page, '.row-message', 'Shift+Tab');
    await keyboard.press('Enter');
    await focusOn(page, '[data-do="react"]');
    await keyboard.press('Enter');
    await focusOn(page, '[aria-label="React with 👍"]');
    await keyboard.press('ArrowRight');
    await keyboard.press('Enter');
    await sven.message('an answer').getByRole('button', { name: '❤️ 1' }).waitFor();
  });

  await t.test('reply to it', async () => {
    await focusOn(page, '.row-message');
    await keyboard.press('Enter');
    await keyboard.press('ArrowRight');
    await focusOn(page, '[data-do="reply"]');
    await keyboard.press('Enter');
    await focusOn(page, '#text');
    await keyboard.type('a reply');
    await keyboard.press('Enter');
    await sven.message('a reply').locator('.quote').getByText('an answer').waitFor();
  });

  await t.test('delete one further up', async () => {
    await ruth.ticked('a reply', 'sent').catch(() => {});
    await tabTo(page, '.row-message', 'Shift+Tab');
    await keyboard.press('ArrowUp');
    await keyboard.press('ArrowUp');
    await keyboard.press('Enter');
    await tabTo(page, '[data-do="delete"]');
    await keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await tabTo(page, '.button.danger');
    await keyboard.press('Enter');
    await sven.reads(['Message deleted', 'an answer', 'a reply']);
  });

  await t.test('Escape goes back to writing, and then to the list', async () => {
    await focusOn(page, '.row-message');
    await keyboard.press('Escape');
    await focusOn(page, '#text');
    await keyboard.press('Escape');
    await focusOn(page, '.conversation');
    await keyboard.press('Enter');
    await focusOn(page, '#text');
  });

  await t.test('Escape closes a window and gives the focus back', async () => {
    await tabTo(page, '#header-title', 'Shift+Tab');
    await keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await focusOn(page, '#header-title');
  });
});
