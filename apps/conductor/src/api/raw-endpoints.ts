/** Routes that answer with bytes, text or server-sent events instead of an envelope. */
import type { z } from 'zod';

import { type Nothing, nothing, type RunParams, runParams } from './endpoint.ts';
import {
  type FollowQuery,
  followQuery,
  type OutputParams,
  outputParams,
  type OutputQuery,
  outputQuery,
} from './run-endpoints.ts';

/** One such route, always a GET. */
export interface RawEndpoint<Params, Query> {
  /** Its name in OpenAPI, camel case. */
  readonly operationId: string;
  /** With `:name` for each parameter. */
  readonly path: string;
  /** One sentence without its full stop. */
  readonly summary: string;
  readonly params: z.ZodType<Params>;
  readonly query: z.ZodType<Query>;
  /** The media type of the answer. */
  readonly contentType: string;
  /** Codes of refusals of its own, besides those every route has. */
  readonly errors: readonly string[];
}

/** `GET /v1/runs/:run/output/:channel`. */
export const readOutput: RawEndpoint<OutputParams, OutputQuery> = {
  operationId: 'readOutput',
  path: '/v1/runs/:run/output/:channel',
  summary: "Bytes of a run's output as they were written; empty past the end",
  params: outputParams,
  query: outputQuery,
  contentType: 'application/octet-stream',
  errors: ['run-unknown'],
};

/** `GET /v1/runs/:run/patch`. */
export const readPatch: RawEndpoint<RunParams, Nothing> = {
  operationId: 'readPatch',
  path: '/v1/runs/:run/patch',
  summary: 'What a run changed in its work tree, as git apply takes it',
  params: runParams,
  query: nothing,
  contentType: 'text/x-patch',
  errors: ['run-unknown', 'checkpoint-unknown'],
};

/** `GET /v1/runs/:run/stream`. */
export const followRun: RawEndpoint<RunParams, FollowQuery> = {
  operationId: 'followRun',
  path: '/v1/runs/:run/stream',
  summary:
    'Output and lifecycle events of a run as server-sent events until it ends; goes on behind Last-Event-ID',
  params: runParams,
  query: followQuery,
  contentType: 'text/event-stream',
  errors: ['run-unknown', 'stream-limit', 'usage'],
};
