import { createRealClock } from '@conductor-run/clock';
import { describe, expect, onTestFinished, test } from 'vitest';

import { listenForStop, type StopRequest } from '../src/daemon/stop-request.ts';

/** A stop request whose signals are sent by hand. */
function setup(isTerminalClosed: () => boolean): {
  readonly stop: StopRequest;
  readonly send: (signal: NodeJS.Signals) => void;
  readonly isAsked: () => Promise<boolean>;
} {
  let send = (_signal: NodeJS.Signals): void => undefined;
  const io = {
    onSignal(listener: (signal: NodeJS.Signals) => void) {
      send = listener;
      return () => undefined;
    },
    isTerminalClosed,
    clock: createRealClock(),
  };
  const stop = listenForStop(io, Infinity);
  onTestFinished(() => stop.release());
  let asked = false;
  void stop.asked.then(() => (asked = true));
  return {
    stop,
    send: (signal) => send(signal),
    async isAsked() {
      await Promise.resolve();
      return asked;
    },
  };
}

describe('listenForStop', () => {
  test('given SIGHUP while there is a terminal or never was one, it reads the config again, also what was asked before anybody could', async () => {
    const { stop, send, isAsked } = setup(() => false);
    let reloads = 0;

    send('SIGHUP');
    stop.onReload(() => (reloads += 1));
    send('SIGHUP');

    expect(reloads).toBe(2);
    expect(await isAsked()).toBe(false);
  });

  test('given SIGHUPs because the terminal was closed, it drains, and does not hurry', async () => {
    const { stop, send, isAsked } = setup(() => true);
    let reloads = 0;
    stop.onReload(() => (reloads += 1));

    send('SIGHUP');
    send('SIGHUP');

    expect(await isAsked()).toBe(true);
    expect(stop.hurryReason()).toBeUndefined();
    expect(reloads).toBe(0);
  });

  test('given SIGHUP while it stops, nothing is read again, and a second SIGTERM hurries', async () => {
    const { stop, send, isAsked } = setup(() => false);
    let reloads = 0;
    stop.onReload(() => (reloads += 1));

    send('SIGTERM');
    send('SIGHUP');
    expect(stop.hurryReason()).toBeUndefined();
    send('SIGTERM');

    expect(await isAsked()).toBe(true);
    expect(stop.hurryReason()).toBe('second-signal');
    expect(reloads).toBe(0);
  });
});
