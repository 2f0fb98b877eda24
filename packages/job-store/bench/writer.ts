/** Writes jobs in a tight loop until it is killed. */
import { openJobStore } from '@conductor-run/job-store';

const [path = '', name = '', batch = '50', durability] = process.argv.slice(2);
const store = await openJobStore({
  path,
  durability: durability === 'power' ? 'power' : 'process',
  busyTimeoutMs: 60_000,
});
process.send?.('ready');
for (let i = 0; ; i += 1) {
  await store.enqueueMany(
    Array.from({ length: Number(batch) }, (_, n) => ({
      kind: 'flood',
      key: `${name}-${n}`,
      watermark: i + 1,
    })),
  );
}
