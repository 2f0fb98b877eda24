/** Questions of steps to the client that decides for them, over its connection. Invariant: a question ends with its connection. */
import type { Authorizer } from './answers.ts';
import type { LineSocket } from './line-socket.ts';
import { parseAnswer } from './protocol.ts';

/** Asks one client, and takes its answers. */
export interface Decisions {
  /** Asks; rejects when the client is gone. */
  readonly decide: Authorizer;
  /** Takes the answer to question `id`. */
  take(id: number, answer: unknown): void;
}

/** Questions to one client, and its answers. */
export function decisionsOf(socket: LineSocket): Decisions {
  const known = decisionsBySocket.get(socket);
  if (known !== undefined) return known;
  const open = new Map<number, { answer(value: unknown): void; giveUp(): void }>();
  let last = 0;
  const decisions: Decisions = {
    decide: (question) =>
      new Promise((resolve, reject) => {
        const giveUp = (): void => reject(new Error('The one who decides is gone'));
        if (socket.closed.aborted) {
          giveUp();
          return;
        }
        last += 1;
        open.set(last, { answer: (value) => resolve(parseAnswer(value)), giveUp });
        socket.send({ ask: last, question });
      }),
    take(id, value) {
      open.get(id)?.answer(value);
      open.delete(id);
    },
  };
  const loseAll = (): void => {
    for (const question of open.values()) question.giveUp();
    open.clear();
  };
  socket.closed.addEventListener('abort', loseAll, { once: true });
  decisionsBySocket.set(socket, decisions);
  return decisions;
}

const decisionsBySocket = new WeakMap<LineSocket, Decisions>();
