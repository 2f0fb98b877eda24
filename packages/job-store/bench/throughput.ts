/**
 * Claim + complete of no-op jobs with a backlog of 50,000, beside plainjob, liteque and bare SQL on the same machine in
 * one run. The rounds of all contenders are interleaved, so that a slow minute hits them alike.
 * `BENCH_ONLY='plainjob NORMAL,one by one'` runs only those with one of these in their name.
 */
import { join } from 'node:path';
import { openJobStore, type Lease } from '@conductor-run/job-store';
import { measurePace, median, printTable, rounds, withDir, type Pace } from './fixtures.ts';
import { openLitequePattern, openPlainjob, type Synchronous } from './peers.ts';

const BACKLOG = 50_000;
const claim = { workerId: 'worker', leaseMs: 60_000 };
type Durability = 'process' | 'power';

async function ourStore<Result>(
  durability: Durability,
  work: (store: Awaited<ReturnType<typeof openJobStore>>) => Promise<Result>,
): Promise<Result> {
  return withDir(async (dir) => {
    const store = await openJobStore({ path: join(dir, 'jobs.db'), durability });
    for (let from = 0; from < BACKLOG; from += 1000) {
      const batch = Array.from({ length: 1000 }, (_, i) => ({ kind: 'noop', key: `job-${from + i}` }));
      await store.enqueueMany(batch);
    }
    try {
      return await work(store);
    } finally {
      await store.close();
    }
  });
}

const inFlight = (durability: Durability, width: number, count: number) => (): Promise<Pace> =>
  ourStore(durability, (store) =>
    measurePace(async () => {
      let done = 0;
      const worker = async (): Promise<void> => {
        while (done < count) {
          const [lease] = await store.claimNext(claim);
          if (lease === undefined) return;
          await store.succeed(lease);
          done += 1;
        }
      };
      await Promise.all(Array.from({ length: width }, worker));
      return done;
    }),
  );

const oneByOne = (durability: Durability, count: number) => (): Promise<Pace> =>
  ourStore(durability, (store) =>
    measurePace(() => {
      for (let done = 0; done < count; done += 1) {
        const [lease] = store.sync.claimNext(claim);
        if (lease === undefined) return done;
        store.sync.succeed(lease);
      }
      return count;
    }),
  );

const fused = (durability: Durability, count: number) => (): Promise<Pace> =>
  ourStore(durability, (store) =>
    measurePace(() => {
      let [lease]: readonly (Lease | undefined)[] = store.sync.claimNext(claim);
      for (let done = 0; done < count; done += 1) {
        if (lease === undefined) return done;
        [lease] = store.sync.completeAndClaim(lease, {}, claim).leases;
      }
      return count;
    }),
  );

const peer =
  (open: typeof openPlainjob, synchronous: Synchronous, backlog: number, count: number) =>
  (): Promise<Pace> =>
    withDir(async (dir) => {
      const queue = open(dir, synchronous, backlog);
      try {
        return await measurePace(() => {
          let done = 0;
          while (done < count && queue.claimAndComplete()) done += 1;
          return done;
        });
      } finally {
        queue.close();
      }
    });

const all: readonly (readonly [name: string, run: () => Promise<Pace>])[] = [
  ['plainjob NORMAL', peer(openPlainjob, 'normal', BACKLOG, 20_000)],
  ['plainjob FULL', peer(openPlainjob, 'full', BACKLOG, 5000)],
  // Its queries read the whole backlog, so it gets a tenth of it.
  ['liteque pattern NORMAL, backlog 5,000', peer(openLitequePattern, 'normal', BACKLOG / 10, 500)],
  ['liteque pattern FULL, backlog 5,000', peer(openLitequePattern, 'full', BACKLOG / 10, 500)],
  ['ours process, sync one by one', oneByOne('process', 10_000)],
  ['ours process, sync fused', fused('process', 10_000)],
  ['ours process, 1 in flight', inFlight('process', 1, 10_000)],
  ['ours process, 64 in flight', inFlight('process', 64, BACKLOG)],
  ['ours process, 256 in flight', inFlight('process', 256, BACKLOG)],
  ['ours power, sync one by one', oneByOne('power', 5000)],
  ['ours power, sync fused', fused('power', 5000)],
  ['ours power, 1 in flight', inFlight('power', 1, 5000)],
  ['ours power, 64 in flight', inFlight('power', 64, BACKLOG)],
  ['ours power, 256 in flight', inFlight('power', 256, BACKLOG)],
];
const wanted = (process.env['BENCH_ONLY'] ?? '').split(',');
const contenders = all.filter(([name]) => wanted.some((part) => name.includes(part)));

const paces = new Map<string, Pace[]>();
for (let round = 0; round < rounds; round += 1) {
  for (const [name, run] of contenders) paces.set(name, [...(paces.get(name) ?? []), await run()]);
}
const of = (name: string): Pace => ({
  perSecond: median((paces.get(name) ?? []).map(({ perSecond }) => perSecond)),
  cpuUs: median((paces.get(name) ?? []).map(({ cpuUs }) => cpuUs)),
});
const base = of('plainjob NORMAL');
printTable(
  contenders.map(([name]) => {
    const { perSecond, cpuUs } = of(name);
    return {
      'claim + complete': name,
      'jobs/s': perSecond,
      'x plainjob NORMAL': (perSecond / base.perSecond).toFixed(2),
      'CPU µs a job': cpuUs.toFixed(1),
    };
  }),
);
