/**
 * Takes secrets out of what is written as JSON: events as they come in, envelopes as they go out.
 * Invariant: texts are looked at as they are, never as they were spelled, keys and numbers included; what a program goes
 * by (ids, paths, closed lists of words) stays as it is.
 */
import type { StepResult } from './result.ts';

/** Takes secrets out of a text. */
export type Redact = (text: string) => string;

/**
 * A JSON value without secrets.
 *
 * @param value - parsed JSON, not deeper than the stack
 * @param redact - what takes secrets out of a text
 * @returns the value itself when there is nothing to take out
 */
export function redactJson(value: unknown, redact: Redact): unknown {
  const json = JSON.stringify(value);
  // Written by us, a text has one spelling: one look at the whole is enough for almost every value.
  return redact(json) === json ? value : redactDeeply(value, redact);
}

/**
 * An envelope without secrets.
 *
 * @param result - made of parsed JSON and texts
 * @param redact - what takes secrets out of a text
 * @returns the envelope itself when there is nothing to take out
 */
export function redactResult(result: StepResult, redact: Redact): StepResult {
  const json = JSON.stringify(result);
  if (redact(json) === json) return result;
  const { reasonText, signal, suggestedFollowup, state } = result;
  return {
    ...result,
    stepName: redact(result.stepName),
    stepKind: redact(result.stepKind),
    summary: redact(result.summary),
    ...(reasonText === undefined ? {} : { reasonText: redact(reasonText) }),
    ...(signal === undefined ? {} : { signal: redact(signal) }),
    ...(suggestedFollowup === undefined ? {} : { suggestedFollowup: redact(suggestedFollowup) }),
    metadata: redactObject(result.metadata, redact),
    state: { ...state, ...(state.summary === undefined ? {} : { summary: redact(state.summary) }) },
    logSummary: { ...result.logSummary, tail: result.logSummary.tail.map(redact) },
    lifecycleEvents: result.lifecycleEvents.map((event) => ({
      ...event,
      message: redact(event.message),
      ...(event.data === undefined ? {} : { data: redactObject(event.data, redact) }),
    })),
    artifacts: result.artifacts.map((artifact) => ({
      ...artifact,
      path: redact(artifact.path),
      ...(artifact.title === undefined ? {} : { title: redact(artifact.title) }),
    })),
  };
}

/** Whether a JSON value has more than so many arrays and objects inside each other. Looks level by level. */
export function isDeeperThan(value: unknown, levels: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    const inner = level.filter((item): item is object => typeof item === 'object' && item !== null);
    if (inner.length > 0 && depth >= levels) return true;
    level = inner.flatMap((item): unknown[] => Object.values(item));
  }
  return false;
}

function redactDeeply(value: unknown, redact: Redact): unknown {
  if (typeof value === 'string') return redact(value);
  if (typeof value === 'number') return redactNumber(value, redact);
  if (Array.isArray(value)) return value.map((item: unknown) => redactDeeply(item, redact));
  if (typeof value !== 'object' || value === null) return value;
  return redactObject(value, redact);
}

function redactObject(value: object, redact: Redact): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [redact(key), redactDeeply(item, redact)]),
  );
}

/** A secret of digits alone may come as a number. */
function redactNumber(value: number, redact: Redact): number | string {
  const text = String(value);
  const clean = redact(text);
  return clean === text ? value : clean;
}
