// One minified file of all that is in dist/: for pages without a build step, and to be measured.

import { writeFile } from 'node:fs/promises';

import { build } from 'esbuild';
import { minify } from 'terser';

/** What only the client's own modules say to each other; what an app or the wire names stays. */
const OWN = `
  abandon attached become begin broken catchUp changed check closeCode doing eager empty fetchAt flush
  flushAll forget frame gone hasNews hear heard how idle isBehind known leads lose none pageAfter
  pageBefore receive refused restart run sawHead sending settle share shared summarize suspect take
  timer told trim trouble turn withdraw working
`;

const { outputFiles } = await build({
  entryPoints: ['dist/index.js'],
  bundle: true,
  minify: true,
  write: false,
  format: 'esm',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
  mangleProps: new RegExp(`^(${OWN.trim().split(/\s+/).join('|')})$`),
});
const { code } = await minify(outputFiles[0].text, {
  module: true,
  ecma: 2022,
  compress: {
    passes: 4,
    unsafe_arrows: true,
    keep_fargs: false,
    pure_getters: true,
    hoist_funs: true,
  },
});
const banner = '// darda-client. MIT OR Apache-2.0\n';
await writeFile('dist/darda-client.js', `${banner}${code}\n`);
