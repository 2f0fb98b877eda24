/** Two transports joined in one process. Invariant: delivery is never synchronous, as on a real wire. */
import { CLOSE_CODES, type Transport, type TransportClose, type TransportListener } from './transport.ts';

/** Both ends. */
export interface TransportPair {
  /** For the client. */
  readonly client: Transport;
  /** For the runtime. */
  readonly runtime: Transport;
}

/** Makes two ends; what one sends the other receives on a later turn of the loop. */
export function createMemoryTransportPair(): TransportPair {
  const client = createEnd();
  const runtime = createEnd();
  client.join(runtime);
  runtime.join(client);
  return { client: client.transport, runtime: runtime.transport };
}

interface End {
  readonly transport: Transport;
  join(peer: End): void;
  deliver(messages: readonly string[], bytes: number): void;
  taken(bytes: number): void;
  end(close: TransportClose): void;
}

function createEnd(): End {
  let peer: End | undefined;
  let listener: TransportListener | undefined;
  const inbox: (readonly [readonly string[], number])[] = [];
  let ending: TransportClose | undefined;
  let isOver = false;
  let isPaused = false;
  let isScheduled = false;
  let buffered = 0;

  const schedule = (): void => {
    if (isScheduled || listener === undefined || isPaused) return;
    isScheduled = true;
    setImmediate(run);
  };
  const take = (): readonly [readonly string[], number] | undefined =>
    isPaused || isOver ? undefined : inbox.shift();
  const run = (): void => {
    isScheduled = false;
    for (let next = take(); next !== undefined; next = take()) {
      const [messages, bytes] = next;
      for (const text of messages) if (!isOver) listener?.message(text);
      peer?.taken(bytes);
    }
    if (ending !== undefined && inbox.length === 0 && !isOver) {
      isOver = true;
      listener?.closed(ending);
    }
  };
  const end = (close: TransportClose): void => {
    ending ??= close;
    schedule();
  };
  const transport: Transport = {
    open(to) {
      listener = to;
      schedule();
    },
    send(messages) {
      if (isOver || ending !== undefined || messages.length === 0) return;
      const bytes = messages.reduce((sum, text) => sum + text.length, 0);
      buffered += bytes;
      peer?.deliver(messages, bytes);
    },
    bufferedBytes: () => buffered,
    pause() {
      isPaused = true;
    },
    resume() {
      isPaused = false;
      schedule();
    },
    close(close) {
      if (ending !== undefined) return;
      // Both ends hear of it; what was sent before is still delivered, what would arrive here is not.
      inbox.length = 0;
      isPaused = false;
      end(close);
      peer?.end(
        close.code === CLOSE_CODES.normal ? { code: CLOSE_CODES.normal, reason: close.reason } : close,
      );
    },
  };
  return {
    transport,
    join(other) {
      peer = other;
    },
    deliver(messages, bytes) {
      if (isOver || ending !== undefined) return;
      inbox.push([messages, bytes]);
      schedule();
    },
    taken(bytes) {
      buffered -= bytes;
      if (buffered === 0 && !isOver) listener?.drained();
    },
    end,
  };
}
