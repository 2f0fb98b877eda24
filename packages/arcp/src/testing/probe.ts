/** A peer for checks: says exactly what it is told, keeps what comes, waits with a deadline. */
import type { Clock } from '@conductor-run/clock';
import { parseFrame } from '../frame.ts';
import type { Transport } from '../transport.ts';
import { FEATURES, PROTOCOL_VERSION, type Envelope } from '../wire.ts';

/** A message with its payload as an object. */
export interface ProbeFrame extends Envelope {
  /** Empty when the payload was no object. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A peer without any cleverness. */
export interface Probe {
  /** Everything that came. */
  readonly frames: readonly ProbeFrame[];
  /** From the welcome; empty before. */
  sessionId(): string;
  /** Sends a message; gives its id. */
  send(type: string, payload: unknown, extra?: Readonly<Record<string, unknown>>): string;
  /** Sends any text. */
  raw(text: string): void;
  /** Says hello with all features, or as told, and waits for the welcome. */
  hello(token: string, more?: Readonly<Record<string, unknown>>): Promise<ProbeFrame>;
  /** Submits and waits for job.accepted; gives the job's name. */
  submit(agent: string, more?: Readonly<Record<string, unknown>>): Promise<string>;
  /** The next message of the type that fits; rejects after the deadline. */
  next(type: string, fits?: (frame: ProbeFrame) => boolean): Promise<ProbeFrame>;
  /** Resolves when the connection has ended, with its code. */
  ended(): Promise<number>;
  /** Drops the connection. */
  drop(): void;
}

/** Opens a probe on a transport. */
export function createProbe(transport: Transport, clock: Clock, deadlineMs: number): Probe {
  const frames: ProbeFrame[] = [];
  let cursor = 0;
  let nextId = 1;
  let sessionId = '';
  let code: number | undefined;
  transport.open({
    message(text) {
      const envelope = parseFrame(text, { maxLength: Number.MAX_SAFE_INTEGER });
      frames.push({ ...envelope, fields: asFields(envelope.payload) });
    },
    malformed: () => undefined,
    drained: () => undefined,
    closed(close) {
      code = close.code;
    },
  });
  const wait = async <T>(look: () => T | undefined, what: string): Promise<T> => {
    const endMs = clock.monotonicMs() + deadlineMs;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (clock.monotonicMs() >= endMs) {
        const types = frames
          .slice(-5)
          .map((frame) => `${frame.type} ${JSON.stringify(frame.payload).slice(0, 200)}`);
        throw new Error(`Waited ${deadlineMs} ms for ${what}; last came: ${types.join('; ')}`);
      }
      await clock.sleep(POLL_MS);
    }
  };
  const probe: Probe = {
    frames,
    sessionId: () => sessionId,
    send(type, payload, extra = {}) {
      const id = `t${nextId++}`;
      const session = sessionId === '' ? {} : { session_id: sessionId };
      transport.send([JSON.stringify({ arcp: PROTOCOL_VERSION, id, type, ...session, ...extra, payload })]);
      return id;
    },
    raw: (text) => transport.send([text]),
    async hello(token, more = {}) {
      probe.send('session.hello', {
        client: { name: 'conformance', version: '1' },
        auth: { scheme: 'bearer', token },
        capabilities: { encodings: ['json'], features: FEATURES },
        ...more,
      });
      const welcome = await probe.next('session.welcome');
      sessionId = welcome.session_id ?? '';
      return welcome;
    },
    async submit(agent, more = {}) {
      probe.send('job.submit', { agent, input: null, ...more });
      return String((await probe.next('job.accepted')).fields['job_id']);
    },
    next: async (type, fits = () => true) =>
      wait(() => {
        const at = frames.findIndex((frame, index) => index >= cursor && frame.type === type && fits(frame));
        if (at === -1) return undefined;
        cursor = at + 1;
        return frames[at];
      }, type),
    ended: async () => wait(() => code, 'the end of the connection'),
    drop: () => transport.close({ code: 1001, reason: 'dropped' }),
  };
  return probe;
}

function asFields(payload: unknown): Readonly<Record<string, unknown>> {
  return typeof payload === 'object' && payload !== null ? { ...payload } : {};
}

const POLL_MS = 2;
