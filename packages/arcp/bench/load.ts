/** One connection that loads a runtime: echo jobs with 100 in flight, and one job of many events. Any runtime, by its address. */
import { performance } from 'node:perf_hooks';
import { WebSocket } from 'ws';
import { FEATURES } from '@conductor-run/arcp';

/** How much. */
export const JOBS = 10_000;
export const EVENTS = 100_000;
const IN_FLIGHT = 100;

/** What came of it. */
export interface Load {
  readonly jobsPerSec: number;
  /** Milliseconds from submit to result, the median. */
  readonly p50Ms: number;
  readonly eventsPerSec: number;
}

interface Frame {
  readonly type: string;
  readonly session_id?: string;
  readonly job_id?: string;
  readonly event_seq?: number;
  readonly payload: { readonly job_id?: string };
}

/**
 * Loads a runtime that offers `echo`, which gives its input back, and `stream`, which emits `input.n` log events.
 *
 * @param url - its WebSocket
 * @param token - a bearer token it knows
 */
export async function loadRuntime(url: string, token: string): Promise<Load> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  let onFrame: (frame: Frame) => void = () => undefined;
  socket.on('message', (bytes: Buffer) => {
    const frame = JSON.parse(bytes.toString('utf8')) as Frame;
    // Some runtimes end a session that does not say what it has seen.
    if (frame.event_seq !== undefined && frame.event_seq % 500 === 0) {
      send('session.ack', { last_processed_seq: frame.event_seq });
    }
    if (frame.type === 'session.error') throw new Error(`Refused: ${bytes.toString('utf8')}`);
    onFrame(frame);
  });
  let id = 0;
  let sessionId: string | undefined;
  const send = (type: string, payload: unknown): void =>
    socket.send(JSON.stringify({ arcp: '1.1', id: `m${id++}`, type, session_id: sessionId, payload }));
  await new Promise<void>((resolve) => {
    onFrame = (frame) => {
      sessionId = frame.session_id;
      resolve();
    };
    send('session.hello', {
      client: { name: 'bench', version: '1' },
      auth: { scheme: 'bearer', token },
      capabilities: { encodings: ['json'], features: FEATURES },
    });
  });

  const latencies: number[] = [];
  const startedAt = performance.now();
  await new Promise<void>((resolve) => {
    const sentAt: number[] = [];
    const acceptedAt = new Map<string, number>();
    let sent = 0;
    let done = 0;
    const submit = (): void => {
      if (sent >= JOBS) return;
      sent += 1;
      sentAt.push(performance.now());
      send('job.submit', { agent: 'echo', input: { n: sent } });
    };
    onFrame = (frame) => {
      if (frame.type === 'job.accepted') acceptedAt.set(frame.payload.job_id ?? '', sentAt.shift() ?? 0);
      if (frame.type !== 'job.result') return;
      latencies.push(performance.now() - (acceptedAt.get(frame.job_id ?? '') ?? 0));
      acceptedAt.delete(frame.job_id ?? '');
      done += 1;
      if (done === JOBS) resolve();
      else submit();
    };
    for (let at = 0; at < IN_FLIGHT; at += 1) submit();
  });
  const jobsPerSec = JOBS / ((performance.now() - startedAt) / 1_000);
  latencies.sort((left, right) => left - right);

  const streamedAt = performance.now();
  await new Promise<void>((resolve) => {
    let seen = 0;
    onFrame = (frame) => {
      if (frame.type === 'job.event') seen += 1;
      if (frame.type === 'job.result' && seen >= EVENTS) resolve();
    };
    send('job.submit', { agent: 'stream', input: { n: EVENTS } });
  });
  const eventsPerSec = EVENTS / ((performance.now() - streamedAt) / 1_000);
  socket.close();
  return { jobsPerSec, p50Ms: latencies[Math.floor(JOBS / 2)] ?? 0, eventsPerSec };
}
