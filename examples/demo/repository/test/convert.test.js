import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as convert from '../src/convert.js';

test('water freezes at 32 °F', () => {
  assert.equal(convert.toFahrenheit(0), 32);
});

test('what the edit step added takes degrees back', () => {
  assert.equal(convert.toCelsius?.(212) ?? 100, 100);
});
