import assert from 'node:assert/strict';
import { test } from 'node:test';

import { stage } from './support/stage.js';

const here = stage();

test('two people talk both ways, and ticks go from sent to delivered to seen', async (t) => {
  const alice = await here.at(t, 'alice');
  await alice.chatWith('bob');
  await alice.say('are you there?');
  await alice.ticked('are you there?', 'sent');

  const bob = await here.at(t, 'bob');
  await alice.ticked('are you there?', 'delivered');

  await bob.open('alice');
  await bob.reads(['are you there?']);
  await alice.ticked('are you there?', 'seen');

  await bob.say('yes');
  await alice.reads(['are you there?', 'yes']);
  await bob.ticked('yes', 'seen');
});

test('what a user writes is text and never HTML', async (t) => {
  const eve = await here.at(t, 'eve');
  const frank = await here.at(t, 'frank');
  const text = '<img src="x" onerror="document.title=1"><b>bold</b>';
  await eve.chatWith('frank');
  await eve.say(text);
  await frank.open('eve');
  await frank.reads([text]);
  assert.equal(await frank.page.locator('.text img, .text b').count(), 0);
  await eve.makeGroup('<i>group</i>', ['frank']);
  await frank.open('<i>group</i>');
});

test('the list counts unread messages, the open conversation does not', async (t) => {
  const gina = await here.at(t, 'gina');
  const hugo = await here.at(t, 'hugo');
  await gina.chatWith('hugo');
  for (const text of ['one', 'two', 'three']) await gina.say(text);

  await hugo.listed('gina').getByLabel('3 unread').waitFor();
  await hugo.page.waitForFunction(() => document.title.startsWith('(3)'));
  await hugo.open('gina');
  await hugo.page.getByText('New messages').waitFor();
  await hugo
    .listed('gina')
    .getByLabel(/unread/)
    .waitFor({ state: 'detached' });

  await gina.say('four');
  await gina.ticked('four', 'seen');
  assert.equal(
    await hugo
      .listed('gina')
      .getByLabel(/unread/)
      .count(),
    0,
  );
});

test('unread messages are counted by the server for somebody who was away', async (t) => {
  const ines = await here.at(t, 'ines');
  await ines.chatWith('jack');
  for (const text of ['one', 'two']) await ines.say(text);
  await ines.ticked('two', 'sent');
  const jack = await here.at(t, 'jack');
  await jack.listed('ines').getByLabel('2 unread').waitFor();
});

test('one sees that the other types, and no longer after the message came', async (t) => {
  const kate = await here.at(t, 'kate');
  const liam = await here.at(t, 'liam');
  await kate.chatWith('liam');
  await kate.say('hello');
  await liam.open('kate');
  await liam.page.locator('#text').pressSequentially('well');
  await kate.page.locator('#header-status').getByText('typing…').waitFor();
  await liam.page.locator('#text').press('Enter');
  await kate.reads(['hello', 'well']);
  await kate.page.locator('#header-status').getByText('typing…').waitFor({ state: 'detached' });
});

test('one sees whether the other is there', async (t) => {
  const mia = await here.at(t, 'mia');
  await mia.chatWith('noah');
  await mia.say('hello');
  const status = mia.page.locator('#header-status');
  await status.getByText(/offline|last seen/).waitFor();
  const noah = await here.at(t, 'noah');
  await status.getByText('online', { exact: true }).waitFor();
  await noah.page.close();
  await status.getByText(/last seen|offline/).waitFor();
});

test('an edit, a reaction, a reply and a deletion are seen by the other', async (t) => {
  const olga = await here.at(t, 'olga');
  const paul = await here.at(t, 'paul');
  await olga.chatWith('paul');
  await olga.say('helo');
  await paul.open('olga');
  await olga.act('helo', 'Edit');
  await olga.say('hello');
  await paul.reads(['hello']);
  await paul.message('hello').getByText('edited').waitFor();

  await paul.act('hello', 'React');
  await paul.page.getByRole('button', { name: 'React with 👍' }).click();
  await olga.message('hello').getByRole('button', { name: /👍 1/ }).waitFor();
  await olga.message('hello').getByRole('button', { name: /👍 1/ }).click();
  await paul.message('hello').getByRole('button', { name: '👍 2, with yours' }).click();
  await olga.message('hello').getByRole('button', { name: '👍 1, with yours' }).waitFor();

  await paul.act('hello', 'Reply');
  await paul.say('hi');
  await olga.message('hi').locator('.quote').getByText('hello').waitFor();

  await olga.act('hello', 'Delete');
  await olga.page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await paul.reads(['Message deleted', 'hi']);
});
