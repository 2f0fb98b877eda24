import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

test('hello greets whoever started it', () => {
  const out = execFileSync(process.execPath, ['hello.mjs', 'a test'], { encoding: 'utf8' });
  assert.match(out, /started by a test/);
});
