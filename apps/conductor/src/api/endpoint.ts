/**
 * What a route of the HTTP API takes and gives, as data: the server mounts it, the client calls it, OpenAPI lists it.
 * Invariant: no imports of Node, so that a browser can use the client; unknown keys are refused at every door.
 */
import { z } from 'zod';

/** One route. */
export interface Endpoint<Params, Query, Body, View> {
  /** Its name in OpenAPI, camel case. */
  readonly operationId: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With `:name` for each parameter. */
  readonly path: string;
  /** One sentence without its full stop. */
  readonly summary: string;
  readonly params: z.ZodType<Params>;
  readonly query: z.ZodType<Query>;
  /** What the body must be; `undefined` when it takes none. */
  readonly body: z.ZodType<Body> | undefined;
  /** What it answers with. */
  readonly view: z.ZodType<View>;
  /** Codes of refusals of its own, besides those every route has. */
  readonly errors: readonly string[];
}

/** Whatever it takes. */
export type AnyEndpoint = Endpoint<object, object, unknown, unknown>;

/** Nothing. */
export type Nothing = Readonly<Record<string, never>>;

/** Takes nothing. */
export const nothing: z.ZodType<Nothing> = z.strictObject({});

/** Names a job. */
export interface JobParams {
  /** The job: its name in the config, its kind in the store. */
  readonly job: string;
}

/** Names a run. */
export interface RunParams {
  /** `last`, a run id, or a task id or the name of a job for its newest run. */
  readonly run: string;
}

/** Which one of its kind. */
export interface KeyQuery {
  /**
   * The key of the job.
   *
   * @defaultValue 'default'
   */
  readonly key?: string | undefined;
}

/** How many, and where to begin. */
export interface PageQuery {
  /**
   * How many at most, 1 to 1,000.
   *
   * @defaultValue 50
   */
  readonly limit?: number | undefined;
  /** Where to begin: `nextCursor` of the page before. */
  readonly cursor?: string | undefined;
}

/** What a page holds at most unless it is asked for another number. */
export const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 1_000;

/** Text without control characters. */
export const line: z.ZodType<string> = z
  .string()
  .min(1)
  .max(512)
  // eslint-disable-next-line no-control-regex -- refusing control characters is the point
  .regex(/^[^\u0000-\u001F\u007F-\u009F]+$/, { error: 'expected text without control characters' });

/** What `:job` may be. */
export const jobParams: z.ZodType<JobParams> = z.strictObject({
  job: line.describe('The job: its name in the config, its kind in the store'),
});

/** What `:run` may be: a plain name, so that no path can be made of it. */
export const runName: z.ZodType<string> = z
  .string()
  .regex(/^(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, {
    error: 'expected last, a run id, a task id or the name of a job',
  })
  .describe('last, a run id, or a task id or the name of a job for its newest run');

/** The parameters of a route of one run. */
export const runParams: z.ZodType<RunParams> = z.strictObject({ run: runName });

const keyShape = { key: line.optional().describe('Which one of its kind; default: default') };
/** The parameters of a page, for routes that take more besides. */
export const pageShape: {
  readonly limit: z.ZodType<number | undefined>;
  readonly cursor: z.ZodType<string | undefined>;
} = {
  limit: wholeNumber(1, MAX_LIMIT).optional().describe(`How many at most; default: ${DEFAULT_LIMIT}`),
  cursor: z.string().max(512).optional().describe('Where to begin: nextCursor of the page before'),
};

/** Which one of its kind. */
export const keyQuery: z.ZodType<KeyQuery> = z.strictObject(keyShape);

/** How many, and where to begin. */
export const pageQuery: z.ZodType<PageQuery> = z.strictObject(pageShape);

/** Both. */
export const keyPageQuery: z.ZodType<KeyQuery & PageQuery> = z.strictObject({ ...keyShape, ...pageShape });

/** A whole number; a query carries it as digits. */
export function wholeNumber(min: number, max: number): z.ZodType<number> {
  const error = `expected a whole number from ${min} to ${max}`;
  return z.coerce.number({ error }).int({ error }).min(min, { error }).max(max, { error });
}

/** Yes or no; a query carries it as a word. */
export const yesOrNo: z.ZodType<boolean> = z.union([
  z.boolean(),
  z.stringbool({ truthy: ['true'], falsy: ['false'] }),
]);
