/**
 * Who decides about the `authorize` events of each run of a supervisor.
 * Invariant: a step is never allowed something because nobody was there: questions wait for somebody who decides.
 */
import type { Authorizer, AuthorizationAnswer, AuthorizationQuestion } from './answers.ts';

/** The ones who decide, by run. */
export interface Deciders {
  /** Questions of a run go to this one from now on, also those that wait. */
  connect(key: string, decide: Authorizer): void;
  /** Waits for an answer, and for somebody who gives one. */
  ask(key: string, question: AuthorizationQuestion): Promise<AuthorizationAnswer>;
  /** The run is over. */
  forget(key: string): void;
}

/** Makes an empty list. */
export function createDeciders(): Deciders {
  const decideByKey = new Map<string, Authorizer>();
  const waiting = new Map<string, (() => void)[]>();
  return {
    connect(key, decide) {
      decideByKey.set(key, decide);
      for (const wake of waiting.get(key) ?? []) wake();
      waiting.delete(key);
    },
    forget(key) {
      decideByKey.delete(key);
      waiting.delete(key);
    },
    async ask(key, question) {
      for (;;) {
        const decide = decideByKey.get(key);
        try {
          if (decide !== undefined) return await decide(question);
        } catch {
          // The one who decides is gone; the next one is asked again.
          if (decideByKey.get(key) === decide) decideByKey.delete(key);
        }
        if (!decideByKey.has(key)) {
          await new Promise<void>((resolve) => {
            waiting.set(key, [...(waiting.get(key) ?? []), resolve]);
          });
        }
      }
    },
  };
}
