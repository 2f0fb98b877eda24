/** What a step says, in the words of ARCP. Invariant: a body is passed on as the step wrote it, but for what ARCP requires. */
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import type { StepEvent } from '@conductor-run/worker-runner';

/** An event for `AgentJob.emit`. */
export interface JobEvent {
  readonly kind: string;
  readonly body: unknown;
}

/**
 * Translates one event.
 *
 * @param event - of the step
 * @param artifactsDir - where relative paths of artifacts start
 * @returns `undefined` for what is no event to ARCP: the result travels at the end, a question is answered
 */
export function toJobEvent({ kind, body }: StepEvent, artifactsDir: string): JobEvent | undefined {
  switch (kind) {
    case 'progress':
    case 'metric':
    case 'thought':
    case 'tool_call':
    case 'tool_result':
    case 'status':
    case 'result_chunk':
      return { kind, body };
    case 'log':
      return { kind, body: { level: 'info', ...body } };
    case 'artifact_ref':
      return { kind, body: toArtifactRef(body, artifactsDir) };
    case 'summary':
      return { kind: 'status', body: { ...body, phase: 'summary', message: body['text'] } };
    case 'blocked':
    case 'needs_human':
      return { kind: 'status', body: { message: body['reason'] ?? body['question'], ...body, phase: kind } };
    case 'result':
    case 'checkpoint':
    case 'authorize':
      return undefined;
  }
}

/** A step names a file by its path; ARCP wants an address and a media type. */
function toArtifactRef(body: Readonly<Record<string, unknown>>, artifactsDir: string): object {
  const { path: named } = body;
  const uri = typeof named === 'string' ? pathToFileURL(path.resolve(artifactsDir, named)).href : undefined;
  return { content_type: 'application/octet-stream', ...(uri !== undefined && { uri }), ...body };
}
