import assert from 'node:assert/strict';
import { test } from 'node:test';

import { stage } from './support/stage.js';

const here = stage();

const members = (person) => person.page.getByRole('dialog').locator('.member-name');

async function openMembers(person) {
  await person.page.locator('#header-title').click();
  await person.page.getByRole('list', { name: 'Members' }).waitFor();
}

async function closeMembers(person) {
  await person.page.keyboard.press('Escape');
  await person.page.getByRole('dialog').waitFor({ state: 'detached' });
}

test('an owner adds, renames, promotes and removes; all see it', async (t) => {
  const anna = await here.at(t, 'anna');
  const ben = await here.at(t, 'ben');
  const cleo = await here.at(t, 'cleo');
  await anna.makeGroup('Band', ['ben']);
  await anna.say('welcome');
  await ben.open('Band');
  await ben.reads(['welcome']);

  await openMembers(anna);
  const dialog = anna.page.getByRole('dialog').last();
  await dialog.getByRole('button', { name: 'Add members' }).click();
  await anna.page.getByRole('textbox', { name: /Names/ }).fill('cleo');
  await anna.page.getByRole('button', { name: 'Add', exact: true }).click();
  await members(anna).getByText('cleo').waitFor();
  await cleo.open('Band');
  await cleo.reads(['welcome']);
  await ben.isTold('anna added cleo');

  await dialog.getByRole('button', { name: 'Rename' }).click();
  await anna.page.getByRole('textbox', { name: 'Title' }).fill('Choir');
  await anna.page.getByRole('dialog').last().getByRole('button', { name: 'Rename' }).click();
  await ben.inConversation('Choir');
  await cleo.inConversation('Choir');

  await dialog.getByRole('button', { name: 'Make ben an admin' }).click();
  await ben.isTold('anna made you an admin');
  await dialog.getByRole('button', { name: 'Remove cleo' }).click();
  await cleo.page.getByText('You are no longer a member of Choir.').waitFor();
  await cleo.listed('Choir').waitFor({ state: 'detached' });
  await closeMembers(anna);
  await anna.say('without cleo');
  await ben.reads(['welcome', 'without cleo']);
  assert.equal(await cleo.page.getByText('without cleo').count(), 0);
});

test('a member sees the members but may only leave', async (t) => {
  const dora = await here.at(t, 'dora');
  const emil = await here.at(t, 'emil');
  await dora.makeGroup('Club', ['emil', 'fine']);
  await emil.open('Club');
  await openMembers(emil);
  await members(emil).getByText('fine').waitFor();
  const dialog = emil.page.getByRole('dialog');
  for (const name of ['Add members', 'Rename', 'Remove fine']) {
    assert.equal(await dialog.getByRole('button', { name }).count(), 0, name);
  }
  await dialog.getByRole('button', { name: 'Leave' }).click();
  await emil.page.getByRole('dialog').last().getByRole('button', { name: 'Leave' }).click();
  await emil.listed('Club').waitFor({ state: 'detached' });
  await dora.isTold('emil left');
});

test('a group message is seen when all have seen it', async (t) => {
  const gerd = await here.at(t, 'gerd');
  const hana = await here.at(t, 'hana');
  const ivan = await here.at(t, 'ivan');
  await gerd.makeGroup('Three', ['hana', 'ivan']);
  await gerd.say('all of you');
  await gerd.ticked('all of you', 'delivered');
  await hana.open('Three');
  await hana.reads(['all of you']);
  await ivan.open('Three');
  await gerd.ticked('all of you', 'seen');
});

test('an error of the server is shown where it was asked', async (t) => {
  const jana = await here.at(t, 'jana');
  await jana.page.getByRole('button', { name: 'New group' }).click();
  await jana.page.getByRole('textbox', { name: 'Title' }).fill('é'.repeat(100));
  await jana.page.getByRole('button', { name: 'Create group' }).click();
  await jana.page.getByRole('alert').getByText(/title/i).waitFor();
});
