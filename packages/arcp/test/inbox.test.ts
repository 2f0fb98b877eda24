import { createRealClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';
import { createInbox, type Inbox } from '../src/runtime/inbox.ts';

/** An inbox whose messages take as many milliseconds as they say; those below zero are refused. */
function setup() {
  const seen: (number | string)[] = [];
  const pauses: { readonly ms: number; readonly end: () => void }[] = [];
  let nowMs = 0;
  const inbox: Inbox<number> = createInbox<number>({
    clock: {
      ...createRealClock(),
      monotonicMs: () => nowMs,
      setTimer(ms, end) {
        pauses.push({ ms, end });
        const cancel = () => void pauses.splice(0);
        return { cancel, [Symbol.dispose]: cancel };
      },
    },
    take(message) {
      nowMs += Math.max(0, message);
      seen.push(message);
      return message >= 0;
    },
    onFull: () => seen.push('full'),
    onEmpty: () => seen.push('empty'),
  });
  return { inbox, seen, pauses };
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

  test('given one refusal after the other, when they come in one turn, nothing more is read until a pause is over', async () => {
    const { inbox, seen, pauses } = setup();
    const messages = Array.from({ length: 40 }, (_, at) => -1 - at);

    for (const message of messages) inbox.put(message);
    await turn();
    const first = [...seen];
    inbox.put(7);
    pauses[0]?.end();
    const second = seen.slice(first.length);
    await turn();
    pauses[1]?.end();

    expect(first).toEqual([...messages.slice(0, 17), 'full']);
    expect(second).toEqual(messages.slice(17, 34));
    expect(seen.slice(-8)).toEqual([...messages.slice(34), 7, 'empty']);
    expect(pauses.map(({ ms }) => ms)).toEqual([20, 20]);
  });

  test('given refusals between useful messages, when they are few in a turn, there is no pause', async () => {
    const { inbox, seen, pauses } = setup();

    for (let at = 0; at < 32; at += 1) inbox.put(at % 2 === 0 ? -1 : 0);
    await turn();
    inbox.put(1);

    expect(seen).toHaveLength(33);
    expect(pauses).toEqual([]);
  });

  test('given a pause, when the connection ends, the pause ends too and nothing is taken', async () => {
    const { inbox, seen, pauses } = setup();
    for (let at = 0; at < 20; at += 1) inbox.put(-1);
    await turn();

    inbox.clear();

    expect(pauses).toEqual([]);
    expect(seen).toEqual([...Array.from({ length: 17 }, () => -1), 'full']);
  });
});
