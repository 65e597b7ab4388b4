// Where the page starts: who it is, then their chat on the screen.

import { Chat } from './chat.js';
import { IndexedDbStorage } from './vendor/darda-client.js';
import { Screen } from './view/screen.js';

const form = document.querySelector('#sign-in');
const asked = new URLSearchParams(location.search).get('id')?.trim();

if (asked) {
  begin(asked);
} else {
  document.querySelector('#welcome').hidden = false;
  form.querySelector('input').focus();
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    location.assign(`?${new URLSearchParams(new FormData(form))}`);
  });
}

function begin(user) {
  let screen;
  // Several servers may be mounted on one host.
  const name = `darda ${new URL('.', document.baseURI).pathname} ${user}`;
  const chat = new Chat(user, {
    url: socketUrl(user),
    storage: new IndexedDbStorage(name),
    tabs: name,
    on: {
      change: () => screen?.changed(),
      notice: (text) => screen?.notice(text),
      arrived: (conversation, entry) => screen?.arrived(conversation, entry),
    },
  });
  screen = new Screen(chat);
  chat.start();
  document.querySelector('#sign-out').addEventListener('click', () => {
    chat.stop();
    location.assign(location.pathname);
  });
}

/** Beside this page, so that it also works where the server is mounted under a prefix. */
function socketUrl(user) {
  const url = new URL('v1/ws', document.baseURI);
  url.protocol = url.protocol.replace('http', 'ws');
  url.searchParams.set('id', user);
  return url;
}
