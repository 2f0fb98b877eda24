/**
 * What came in on a connection and has its turn later: one peer, however fast it talks, has a few milliseconds of each
 * turn of the loop, and after a turn of nonsense it has to wait for the next. Invariant: messages are taken in the order in which they came; while some wait, nothing is read.
 */
import type { Clock, Timer } from '@conductor-run/clock';

/** What an inbox works with. */
export interface InboxOptions<Message> {
  readonly clock: Clock;
  /** Takes one message and says whether it was of use; must not throw. */
  readonly take: (message: Message) => boolean;
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
  let refusedThisTurn = 0;
  let pause: Timer | undefined;

  const hand = (message: Message): void => {
    takenThisTurn += 1;
    if (!take(message)) refusedThisTurn += 1;
  };
  const endTurn = (): void => {
    if (refusedThisTurn > MAX_REFUSALS) {
      pause = clock.setTimer(PAUSE_MS, endPause, { keepAlive: false });
      refusedThisTurn = 0;
    } else nextTurn();
  };
  const endPause = (): void => {
    pause = undefined;
    nextTurn();
  };
  const nextTurn = (): void => {
    turnEndsMs = undefined;
    if (waiting.length === 0) return;
    beginTurn();
    const messages = waiting;
    let taken = 0;
    while (taken < messages.length && !isTurnOver()) {
      const message = messages[taken];
      taken += 1;
      if (message !== undefined) hand(message);
      // Taking it may have ended the connection.
      if (waiting !== messages) return;
    }
    waiting = messages.slice(taken);
    if (waiting.length === 0) onEmpty();
  };
  const beginTurn = (): void => {
    turnEndsMs = clock.monotonicMs() + TURN_MS;
    takenThisTurn = 0;
    refusedThisTurn = 0;
    setImmediate(endTurn);
  };
  // A few in any case: on a busy machine the time may have passed without us.
  const isTurnOver = (): boolean =>
    pause !== undefined ||
    refusedThisTurn > MAX_REFUSALS ||
    (turnEndsMs !== undefined && takenThisTurn >= MIN_MESSAGES && clock.monotonicMs() >= turnEndsMs);

  return {
    put(message) {
      if (waiting.length > 0) waiting.push(message);
      else if (isTurnOver()) {
        waiting.push(message);
        onFull();
      } else {
        if (turnEndsMs === undefined) beginTurn();
        hand(message);
      }
    },
    isWaiting: () => waiting.length > 0,
    clear() {
      pause?.cancel();
      pause = undefined;
      waiting = [];
    },
  };
}

/** A turn with several busy connections still answers everybody within a blink. */
const TURN_MS = 4;
const MIN_MESSAGES = 32;
/** More of them in one turn are no slip: a client that talks in good faith is refused now and then. */
const MAX_REFUSALS = 16;
/** What a turn of refusals costs the one who asked for it, and nobody else. */
const PAUSE_MS = 20;
