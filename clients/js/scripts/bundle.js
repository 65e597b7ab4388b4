// One minified file of all that is in dist/: for pages without a build step, and to be measured.

import { build } from 'esbuild';

await build({
  entryPoints: ['dist/index.js'],
  outfile: 'dist/darda-client.js',
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
  banner: { js: '// darda-client, built from clients/js. MIT OR Apache-2.0.' },
});
