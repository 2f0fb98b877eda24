/**
 * Ours beside croner, node-cron, cron, node-schedule and toad-scheduler, each with its defaults, each scenario in a
 * process of its own. `node packages/timed-jobs/bench/peers.ts`; takes about two minutes, mostly waiting.
 * Ours has to be right in every row; the process exits with 1 when it is not.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

const PEERS = ['timed-jobs', 'croner', 'node-cron', 'cron', 'node-schedule', 'toad-scheduler'];

/** What is asked, and the right answer. Times are UTC, zone America/New_York. */
const ROWS: readonly (readonly [scenario: string, title: string, right: string])[] = [
  ['overlap', 'copies of a 3.5 s job every second', '1'],
  ['blocked', 'fires right after a loop blocked for 5 s', '1'],
  ['throw', 'an async throw in a job', 'lives on'],
  ['delay', 'a job in 40 days', 'waits'],
  ['gap-fixed', '`30 2 * * *` in the gap', '07:00'],
  ['overlap-fixed', '`30 1 * * *` in the overlap', '05:30'],
  ['overlap-wild', '`*/30 * * * *` in the overlap', '05:00 05:30 06:00 06:30 07:00'],
  ['gap-wild', '`0 */2 * * *` in the gap', '08:00'],
  ['gap-range', '`*/30 1-3 * * *` in the gap', '06:00 06:30 07:00 07:30'],
];

async function ask(peer: string, scenario: string): Promise<string> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'peer-child.ts'), peer, scenario], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit') as Promise<[number]>]);
  return code === 0 ? (output.trimEnd().split('\n').at(-1) ?? '') : `process ends (${code})`;
}

console.log(`| case | right | ${PEERS.join(' | ')} |`);
console.log(`| --- | --- |${' --- |'.repeat(PEERS.length)}`);
let isRight = true;
for (const [scenario, title, right] of ROWS) {
  const answers: string[] = [];
  for (const peer of PEERS) answers.push(await ask(peer, scenario));
  const marked = answers.map((answer) => (answer === right ? answer : `**${answer}**`));
  console.log(`| ${title} | ${right} | ${marked.join(' | ')} |`);
  isRight &&= answers[0] === right;
}
if (!isRight) process.exitCode = 1;
