/**
 * What came in on a connection and has its turn later: one peer, however fast it talks, has a few milliseconds of each
 * turn of the loop. Invariant: messages are taken in the order in which they came; while some wait, nothing is read.
 */
import type { Clock } from '@conductor-run/clock';

/** What an inbox works with. */
export interface InboxOptions<Message> {
  readonly clock: Clock;
  /** Takes one message; must not throw. */
  readonly take: (message: Message) => void;
  /** Called when messages begin to wait: what is not read need not be kept. */
  readonly onFull: () => void;
  /** Called when none waits any more. */
  readonly onEmpty: () => void;
}

/** Messages of one connection. */
export interface Inbox<Message> {
  /** Takes a message now, or when it is its turn. */
  put(message: Message): void;
  /** Whether some wait. */
  isWaiting(): boolean;
  /** Forgets what waits. */
  clear(): void;
}

/**
 * Makes an empty inbox.
 *
 * @param options - who takes the messages
 */
export function createInbox<Message>(options: InboxOptions<Message>): Inbox<Message> {
  const { clock, take, onFull, onEmpty } = options;
  let waiting: Message[] = [];
  let turnEndsMs: number | undefined;
  let takenThisTurn = 0;

  const endTurn = (): void => {
    turnEndsMs = undefined;
    if (waiting.length === 0) return;
    beginTurn();
    const messages = waiting;
    let taken = 0;
    while (taken < messages.length && !isTurnOver()) {
      const message = messages[taken];
      taken += 1;
      takenThisTurn += 1;
      if (message !== undefined) take(message);
      // Taking it may have ended the connection.
      if (waiting !== messages) return;
    }
    waiting = messages.slice(taken);
    if (waiting.length === 0) onEmpty();
  };
  const beginTurn = (): void => {
    turnEndsMs = clock.monotonicMs() + TURN_MS;
    takenThisTurn = 0;
    setImmediate(endTurn);
  };
  // A few in any case: on a busy machine the time may have passed without us.
  const isTurnOver = (): boolean =>
    turnEndsMs !== undefined && takenThisTurn >= MIN_MESSAGES && clock.monotonicMs() >= turnEndsMs;

  return {
    put(message) {
      if (waiting.length > 0) waiting.push(message);
      else if (isTurnOver()) {
        waiting.push(message);
        onFull();
      } else {
        if (turnEndsMs === undefined) beginTurn();
        takenThisTurn += 1;
        take(message);
      }
    },
    isWaiting: () => waiting.length > 0,
    clear() {
      waiting = [];
    },
  };
}

/** A turn with several busy connections still answers everybody within a blink. */
const TURN_MS = 4;
const MIN_MESSAGES = 32;
