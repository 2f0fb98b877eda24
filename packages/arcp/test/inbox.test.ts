import { createRealClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';
import { createInbox, type Inbox } from '../src/runtime/inbox.ts';

/** An inbox whose messages take as many milliseconds as they say. */
function setup(): { readonly inbox: Inbox<number>; readonly seen: (number | string)[] } {
  const seen: (number | string)[] = [];
  let nowMs = 0;
  const inbox = createInbox<number>({
    clock: { ...createRealClock(), monotonicMs: () => nowMs },
    take(message) {
      nowMs += message;
      seen.push(message);
    },
    onFull: () => seen.push('full'),
    onEmpty: () => seen.push('empty'),
  });
  return { inbox, seen };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}

describe('inbox', () => {
  test('given quick messages, when they come, each is taken at once', () => {
    const { inbox, seen } = setup();

    for (let at = 0; at < 3; at += 1) inbox.put(1);

    expect(seen).toEqual([1, 1, 1]);
    expect(inbox.isWaiting()).toBe(false);
  });

  test('given slow messages, when they come in one turn, the rest has its turn later, in order, and reading stops meanwhile', async () => {
    const { inbox, seen } = setup();

    const messages = Array.from({ length: 80 }, (_, at) => at + 1);
    for (const message of messages) inbox.put(message);
    const first = [...seen];
    await turn();
    const second = [...seen];
    await turn();

    expect(first).toEqual([...messages.slice(0, 32), 'full']);
    expect(second).toEqual([...first, ...messages.slice(32, 64)]);
    expect(seen).toEqual([...second, ...messages.slice(64), 'empty']);
  });

  test('given messages that wait, when the connection ends, they are forgotten', async () => {
    const { inbox, seen } = setup();
    for (let at = 0; at < 40; at += 1) inbox.put(1);

    inbox.clear();
    await turn();

    expect(seen).toEqual([...Array.from({ length: 32 }, () => 1), 'full']);
  });
});
