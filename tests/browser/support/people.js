// People at the page, each in a browser profile of their own.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });
}

export class Person {
  /** What went wrong in the page and nobody asked for. */
  errors = [];

  static async at(browser, origin, name, options = {}) {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 800 },
      ...options,
    });
    const person = new Person(name, await context.newPage());
    person.page.on('request', (request) => {
      const url = request.url();
      if (new URL(url).host !== new URL(origin).host) person.errors.push(`another host: ${url}`);
    });
    await person.page.goto(`${origin}/?id=${encodeURIComponent(name)}`);
    await person.page.locator('#app[data-state="online"]').waitFor();
    return person;
  }

  constructor(name, page) {
    this.name = name;
    this.page = page;
    page.setDefaultTimeout(20_000);
    page.on('pageerror', (error) => this.errors.push(String(error)));
    page.on('console', (message) => {
      if (message.text().includes('Content Security Policy')) this.errors.push(message.text());
    });
  }

  async leave() {
    assert.deepEqual(this.errors, [], `errors in the page of ${this.name}`);
    await this.page.context().close();
  }

  async chatWith(name) {
    await this.page.getByRole('button', { name: 'New chat' }).first().click();
    await this.page.getByRole('textbox', { name: 'Name' }).fill(name);
    await this.page.getByRole('button', { name: 'Open' }).click();
    await this.inConversation(name);
  }

  async makeGroup(title, members) {
    await this.page.getByRole('button', { name: 'New group' }).click();
    await this.page.getByRole('textbox', { name: 'Title' }).fill(title);
    await this.page.getByRole('textbox', { name: /Members/ }).fill(members.join(', '));
    await this.page.getByRole('button', { name: 'Create group' }).click();
    await this.inConversation(title);
  }

  inConversation(name) {
    return this.page.locator('#header-name').getByText(name, { exact: true }).waitFor();
  }

  listed(name) {
    const title = this.page.locator('.conversation-name').getByText(name, { exact: true });
    return this.page.locator('.conversation').filter({ has: title });
  }

  async open(name) {
    await this.listed(name).click();
    await this.inConversation(name);
  }

  async say(text) {
    const field = this.page.locator('#text');
    await field.fill(text);
    await field.press('Enter');
  }

  /** A message by its whole text. */
  message(text) {
    const body = this.page.locator('.text').getByText(text, { exact: true });
    return this.page.locator('.row-message').filter({
      has: body.or(this.page.locator('.text').filter({ hasText: new RegExp(`^${escape(text)}$`) })),
    });
  }

  /** A line between the messages: somebody left, say. */
  isTold(text) {
    return this.page.locator('.row-notice').getByText(text, { exact: true }).waitFor();
  }

  texts() {
    return this.page.locator('.row-message .text').allTextContents();
  }

  /** Waits until the messages are these and no others. */
  async reads(expected) {
    await this.page
      .waitForFunction((wanted) => {
        const texts = [...document.querySelectorAll('.row-message .text')].map(
          (it) => it.textContent,
        );
        return JSON.stringify(texts) === wanted;
      }, JSON.stringify(expected))
      .catch(async (error) => {
        assert.deepEqual(await this.texts(), expected);
        throw error;
      });
  }

  /** Waits until the message's tick says this: `waiting`, `sent`, `delivered`, `seen`, `failed`. */
  ticked(text, tick) {
    return this.message(text).locator(`[data-tick="${tick}"]`).waitFor();
  }

  /** Presses a button of the message's toolbar. */
  async act(text, action) {
    await this.message(text).hover();
    await this.page.getByRole('toolbar').getByRole('button', { name: action, exact: true }).click();
  }

  isOffline() {
    return this.page.getByText('You are offline.').waitFor();
  }

  isOnline() {
    return this.page.locator('#app[data-state="online"]').waitFor();
  }
}

function escape(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
