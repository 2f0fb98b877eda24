/** One scenario of one peer in a process of its own: `node peer-child.ts PEER SCENARIO`; prints its answer as the last line. */

import { setTimeout as sleep } from 'node:timers/promises';
import { PEERS } from './peer-adapters.ts';

const [, , peerName = '', scenario = ''] = process.argv;
const peer = PEERS[peerName];
if (peer === undefined)
  throw new Error(`Cannot run peer "${peerName}": expected one of ${Object.keys(PEERS).join(', ')}`);

const scenarios: Readonly<Record<string, () => Promise<string>>> = {
  /** A job of 3.5 s every second: how many copies at once? */
  async overlap() {
    let running = 0;
    let most = 0;
    peer.everySecond(async () => {
      running += 1;
      most = Math.max(most, running);
      await sleep(3_500);
      running -= 1;
    });
    await sleep(6_500);
    return String(most);
  },
  /** Fires within 300 ms after the loop was blocked for 5 s. */
  async blocked() {
    let count = 0;
    peer.everySecond(() => {
      count += 1;
      return Promise.resolve();
    });
    // To the middle of a second, so that no regular fire falls into the 300 ms.
    await sleep(1_500 - (Date.now() % 1_000));
    await sleep(1_000);
    const endMs = Date.now() + 5_000;
    while (Date.now() < endMs);
    count = 0;
    await sleep(300);
    return String(count);
  },
  /** Does the process live on? */
  async throw() {
    let count = 0;
    peer.everySecond(() => {
      count += 1;
      return Promise.reject(new Error('async throw'));
    });
    await sleep(3_200);
    return count >= 2 ? 'lives on' : `lives on, but ${count} fires`;
  },
  /** Fires that came 40 days early. */
  async delay() {
    let count = 0;
    peer.inFortyDays(new Date(Date.now() + 40 * 86_400_000), () => {
      count += 1;
      return Promise.resolve();
    });
    await sleep(2_500);
    return count === 0 ? 'waits' : `fires at once (${count})`;
  },
  'gap-fixed': async () => nextInstants('30 2 * * *', '2026-03-08T05:00Z', '2026-03-09T04:00Z'),
  'overlap-fixed': async () => nextInstants('30 1 * * *', '2026-11-01T04:00Z', '2026-11-02T05:00Z'),
  'overlap-wild': async () => nextInstants('*/30 * * * *', '2026-11-01T04:45Z', '2026-11-01T07:15Z'),
  'gap-wild': async () => nextInstants('0 */2 * * *', '2026-03-08T05:30Z', '2026-03-08T09:00Z'),
  'gap-range': async () => nextInstants('*/30 1-3 * * *', '2026-03-08T05:45Z', '2026-03-08T09:00Z'),
};

/** Fire times in New York, as UTC clock times, asked one after another with `Date` standing at each. */
function nextInstants(pattern: string, from: string, until: string): string {
  if (peer?.next === undefined) return 'no calendar';
  const RealDate = Date;
  const untilMs = RealDate.parse(until);
  let nowMs = RealDate.parse(from);
  globalThis.Date = class extends RealDate {
    constructor(...args: readonly unknown[]) {
      super(...((args.length === 0 ? [nowMs] : args) as [number]));
    }
    static override now(): number {
      return nowMs;
    }
  } as DateConstructor;
  const found: string[] = [];
  while (found.length < 8) {
    const nextMs = peer.next(pattern, 'America/New_York')?.getTime();
    if (nextMs === undefined || nextMs >= untilMs) break;
    found.push(new RealDate(nextMs).toISOString().slice(11, 16));
    if (nextMs <= nowMs) {
      found.push('(stuck)');
      break;
    }
    nowMs = nextMs;
  }
  globalThis.Date = RealDate;
  return found.length === 0 ? 'none' : found.join(' ');
}

const answer = await scenarios[scenario]?.();
process.stdout.write(`\n${answer}\n`, () => process.exit(0));
