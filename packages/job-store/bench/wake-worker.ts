/** The waiting side of wake.ts: claims what wakes it and says how old it was; then says what idling cost. */
import { openJobStore } from '@conductor-run/job-store';

const [path = '', count = '0', idleMs = '0'] = process.argv.slice(2);
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;
const store = await openJobStore({ path });
const ages: number[] = [];
process.send?.('ready');
while (ages.length < Number(count)) {
  const leases = await store.claimNext({ workerId: 'woken', leaseMs: 60_000, limit: 10 });
  for (const lease of leases) {
    ages.push(nowMs() - Number(lease.payload));
    await store.succeed(lease);
  }
  if (leases.length === 0) await store.waitForDue();
}
const before = process.cpuUsage();
await store.waitForDue({ maxWaitMs: 10 });
for (const endMs = nowMs() + Number(idleMs); nowMs() < endMs;) {
  await store.claimNext({ workerId: 'idle', leaseMs: 60_000 });
  await store.waitForDue({ maxWaitMs: Math.max(0, Math.ceil(endMs - nowMs())) });
}
const { user, system } = process.cpuUsage(before);
process.send?.({ ages, idleShare: (user + system) / 1000 / Number(idleMs) });
await store.close();
process.disconnect();
