import * as fc from 'fast-check';
import { describe, expect, inject, test } from 'vitest';
import { createMemoryEventStore } from '@conductor-run/arcp/runtime';
import {
  createTokenAuthenticator,
  createFunctionHost,
  startRuntime,
  type Runtime,
} from '@conductor-run/arcp/runtime';
import { ALICE, connectPeer, until, type Frame, type Peer } from './fixtures/peer.ts';
import { createPuppetAgent, type Puppet } from './fixtures/setup.ts';

const RUNS = inject('soak') ? 400 : 40;

type Step =
  | { readonly do: 'submit' | 'drop' | 'restart' | 'list'; readonly which?: undefined }
  | { readonly do: 'emit' | 'finish' | 'fail' | 'cancel' | 'delegate' | 'ack'; readonly which: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    arbitrary: fc.record({ do: fc.constantFrom('submit' as const, 'drop' as const, 'list' as const) }),
    weight: 4,
  },
  { arbitrary: fc.record({ do: fc.constant('restart' as const) }), weight: 1 },
  {
    arbitrary: fc.record({
      do: fc.constantFrom(
        'emit' as const,
        'finish' as const,
        'fail' as const,
        'cancel' as const,
        'delegate' as const,
        'ack' as const,
      ),
      which: fc.nat(9),
    }),
    weight: 8,
  },
);

describe('a session', () => {
  test('given any history of submits, events, ends, cancels, lost connections and restarts, the stream has no gap and every job one end, last', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const world = await createWorld();
        for (const next of steps) await world.take(next);
        const stream = await world.finish();

        expect(stream.map((frame) => frame.event_seq)).toEqual(stream.map((_, at) => at + 1));
        const ended = new Set<string>();
        let wasHeardAfterItsEnd = false;
        for (const { job_id: jobId = '', type } of stream) {
          if (ended.has(jobId)) wasHeardAfterItsEnd = true;
          if (type !== 'job.event') ended.add(jobId);
        }
        expect(wasHeardAfterItsEnd).toBe(false);
        expect(world.accepted.filter((jobId) => !ended.has(jobId))).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });
});

interface World {
  readonly accepted: string[];
  take(step: Step): Promise<void>;
  finish(): Promise<readonly Frame[]>;
}

/** One client with one session, a runtime that may be replaced, and everything the client ever received in order. */
async function createWorld(): Promise<World> {
  const store = createMemoryEventStore();
  const stream: Frame[] = [];
  const accepted: string[] = [];
  let puppets: Puppet[] = [];
  let runtime: Runtime = start();
  let peer: Peer = connectPeer(runtime);
  let welcome = await peer.hello();

  function start(): Runtime {
    puppets = [];
    return startRuntime({
      store,
      host: createFunctionHost([{ name: 'puppet', versions: { '1': createPuppetAgent(puppets) } }]),
      authenticator: createTokenAuthenticator({ [ALICE]: 'alice' }),
    });
  }
  const collect = (): void => {
    // The client knows only what came; what did not comes again after resuming.
    for (const frame of peer.sequenced()) if ((frame.event_seq ?? 0) > stream.length) stream.push(frame);
  };
  const reconnect = async (): Promise<void> => {
    collect();
    const resume = {
      session_id: welcome.session_id,
      resume_token: welcome.payload['resume_token'],
      last_event_seq: stream.length,
    };
    peer = connectPeer(runtime);
    welcome = await peer.hello({ resume });
  };
  const settle = async (): Promise<void> => {
    peer.send('session.ping', { nonce: 'settle' });
    await peer.next('session.pong');
  };
  const act = async (puppet: Puppet, what: Step['do']): Promise<void> => {
    if (puppet.job.signal.aborted) return;
    if (what === 'emit') await quietly(puppet.job.emit('log', { level: 'info', message: 'x' }));
    else if (what === 'finish') puppet.end({ result: 1 });
    else if (what === 'fail') puppet.fail(new Error('no'));
    else if (what === 'delegate') await quietly(puppet.job.delegate({ agent: 'puppet' }));
    else if (what === 'cancel') peer.send('job.cancel', { job_id: puppet.job.jobId });
  };
  return {
    accepted,
    async take(next) {
      if (next.do === 'submit') {
        const { payload } = await peer.submit('puppet', null, {
          lease_request: { 'agent.delegate': ['puppet'] },
        });
        accepted.push(String(payload['job_id']));
      } else if (next.do === 'drop') {
        peer.close();
        await reconnect();
      } else if (next.do === 'restart') {
        await runtime.stop();
        runtime = start();
        await reconnect();
      } else if (next.do === 'list') peer.send('session.list_jobs', {});
      else if (next.do === 'ack') {
        collect();
        peer.send('session.ack', { last_processed_seq: Math.max(0, stream.length - (next.which ?? 0)) });
      } else {
        const puppet = puppets[(next.which ?? 0) % Math.max(1, puppets.length)];
        if (puppet !== undefined) await act(puppet, next.do);
      }
      await settle();
    },
    async finish() {
      for (const { job } of puppets) if (!job.signal.aborted) peer.send('job.cancel', { job_id: job.jobId });
      await until(() => runtime.stats().jobs === 0, 'the end of all jobs');
      await reconnect();
      await settle();
      await until(() => {
        collect();
        return stream.length > 0 || accepted.length === 0;
      }, 'the stream');
      await settle();
      await settle();
      collect();
      await runtime.stop();
      return stream;
    },
  };
}

async function quietly(promise: Promise<unknown>): Promise<void> {
  // An agent whose job ended is refused; that is what it deserves.
  await promise.catch(() => undefined);
}
