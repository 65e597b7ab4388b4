// One table of the figures that `darda load --json` wrote. Usage: node summary.js NAME=FILE…

import { readFileSync } from 'node:fs';

const number = (value, digits = 1) => (value ?? NaN).toFixed(digits);
const row = (cells) => cells.map((cell, at) => (at ? cell.padStart(12) : cell.padEnd(22))).join('');

console.log(
  row(['', 'messages/s', 'ack p99', 'last p50', 'last p99', 'wire p99', 'receipts/s', 'CPU µs/dlv', 'faults']),
);
for (const argument of process.argv.slice(2)) {
  const [name, file] = argument.split('=');
  const json = JSON.parse(readFileSync(file, 'utf8'));
  // With --find-rate the figures are those of the best rate.
  const report = 'steps' in json ? json.best : json;
  if (report === null) {
    console.log(row([name, 'no rate held']));
    continue;
  }
  const cpu = report.parts.reduce((sum, part) => sum + part.us_per_delivery, 0);
  const last = report.ms['with the last member'];
  console.log(
    row([
      name,
      number(report.rate, 0),
      number(report.ms.acknowledged.p99),
      number(last.p50),
      number(last.p99),
      number(report.ms['put on the wire'].p99),
      number(report.counts['receipts sent'] / report.seconds, 0),
      number(cpu),
      String(report.faults),
    ]),
  );
}
