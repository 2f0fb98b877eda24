// Plays the part of a coding agent: edits, adds, deletes and renames files, one of them binary, and says how far it is.
import { appendFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const steps = [
  [
    'edit src/convert.js',
    () =>
      appendFileSync(
        'src/convert.js',
        '\nexport function toCelsius(fahrenheit) {\n  return (fahrenheit - 32) / 1.8;\n}\n',
      ),
  ],
  ['add docs.md', () => writeFileSync('docs.md', '# Usage\n\nCall `toCelsius(212)`.\n')],
  ['delete src/legacy.js', () => rmSync('src/legacy.js')],
  ['rename src/names.js to src/units.js', () => renameSync('src/names.js', 'src/units.js')],
  [
    'change logo.bin, a binary file',
    () => writeFileSync('logo.bin', Buffer.from(readFileSync('logo.bin').map((byte) => byte ^ 0xff))),
  ],
  ['add icon.bin, another one', () => writeFileSync('icon.bin', Buffer.from([0, 255, 0, 13, 10, 0, 26]))],
];

for (const [index, [what, act]] of steps.entries()) {
  act();
  const line = { kind: 'progress', body: { current: index + 1, total: steps.length, message: what } };
  if (process.env.CONDUCTOR_EVENTS_FD) {
    appendFileSync(Number(process.env.CONDUCTOR_EVENTS_FD), `${JSON.stringify(line)}\n`);
  }
  console.log(`[${index + 1}/${steps.length}] ${what}`);
  await sleep(150);
}
