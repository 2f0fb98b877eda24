/** OpenAPI 3.1 of the API, made from the endpoints. Invariant: it says nothing a schema does not say, and every route is in it. */
import type { FastifyPluginAsync } from 'fastify';
import { z } from 'zod';

import { ENDPOINTS, RAW_ENDPOINTS } from '../api/endpoints.ts';
import { STREAM_EVENTS } from '../api/stream-events.ts';
import { VERSION } from '../version.ts';
import { viewJsonSchemas } from '../views/command-views.ts';
import { HTTP_STATUS } from './envelope.ts';

/** A document of JSON. */
type Json = Readonly<Record<string, unknown>>;

/** Serves the document at `/openapi.json`; it is the same for the life of a daemon. */
export const openApiRoutes: FastifyPluginAsync = async (app) => {
  const document = createOpenApi();
  app.get('/openapi.json', { config: { isRaw: true } }, async () => document);
};

/** Makes the document. */
function createOpenApi(): Json {
  const paths: Record<string, Record<string, unknown>> = {};
  const add = (path: string, method: string, operation: Json): void => {
    const name = path.replaceAll(/:(\w+)/g, '{$1}');
    paths[name] = { ...paths[name], [method.toLowerCase()]: operation };
  };
  for (const { method, path, operationId, summary, params, query, body, view, errors } of ENDPOINTS) {
    add(path, method, {
      operationId,
      summary,
      tags: [tagOf(path)],
      parameters: parametersOf(params, query),
      ...(body !== undefined && {
        requestBody: { content: { 'application/json': { schema: inline(body, 'input') } } },
      }),
      responses: { 200: jsonAnswer('What was asked for', envelopeOf(refToView(view))), ...refusals(errors) },
    });
  }
  for (const { path, operationId, summary, params, query, contentType, errors } of RAW_ENDPOINTS) {
    const isStream = contentType === 'text/event-stream';
    add(path, 'GET', {
      operationId,
      summary,
      tags: [tagOf(path)],
      parameters: [...parametersOf(params, query), ...(isStream ? [LAST_EVENT_ID] : [])],
      responses: {
        200: { description: isStream ? STREAM_TEXT : 'What was asked for', content: { [contentType]: {} } },
        ...(isStream && { 204: { description: 'The end was delivered before: stay away' } }),
        ...refusals(errors),
      },
    });
  }
  for (const [path, operation] of Object.entries(OPERATIONS)) add(path, 'GET', operation);
  return {
    openapi: '3.1.1',
    info: {
      title: 'Conductor',
      version: VERSION,
      description: 'Runs long steps on your own machines and never loses track of them.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'The shared token' } },
      schemas: { ...components(), ErrorEnvelope: ERROR_ENVELOPE },
    },
  };
}

/** Refusals every route may answer with. */
const COMMON_ERRORS = [
  'request-invalid',
  'unauthorized',
  'host-refused',
  'origin-refused',
  'rate-limited',
  'internal',
  'busy',
  'answer-timeout',
] as const;

/** Statuses with the codes they come with. */
function refusals(codes: readonly string[]): Json {
  const statuses = new Map(Object.entries<number>(HTTP_STATUS));
  const byStatus = new Map<number, string[]>();
  for (const code of [...COMMON_ERRORS, ...codes]) {
    const status = statuses.get(code) ?? UNAVAILABLE;
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, each]) => [
      status,
      jsonAnswer(each.join(', '), { $ref: '#/components/schemas/ErrorEnvelope' }),
    ]),
  );
}

function jsonAnswer(description: string, schema: unknown): Json {
  return { description, content: { 'application/json': { schema } } };
}

function envelopeOf(data: unknown): Json {
  return {
    type: 'object',
    properties: {
      ok: { const: true },
      request_id: { type: 'string', description: "Names the request in the daemon's log" },
      data,
    },
    required: ['ok', 'request_id', 'data'],
    additionalProperties: false,
  };
}

function parametersOf(params: z.ZodType<object>, query: z.ZodType<object>): readonly Json[] {
  return [
    ...fieldsOf(params).map(({ name, schema, description }) => ({
      name,
      in: 'path',
      required: true,
      description,
      schema,
    })),
    ...fieldsOf(query).map(({ name, schema, description }) => ({ name, in: 'query', description, schema })),
  ];
}

interface Field {
  readonly name: string;
  readonly description: string | undefined;
  readonly schema: unknown;
}

function fieldsOf(schema: z.ZodType<object>): readonly Field[] {
  const { properties = {} } = inline(schema, 'output') as { readonly properties?: Record<string, Json> };
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    description: typeof description === 'string' ? description : undefined,
    schema: rest,
  }));
}

/** A schema without the reference to its dialect: that of the document counts. */
function inline(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io });
  return rest;
}

function components(): Json {
  return Object.fromEntries(
    Object.entries(viewJsonSchemas(refTo)).map(([name, schema]) => {
      const { $schema: _dialect, $id: _id, ...rest } = schema as Json;
      return [name, rest];
    }),
  );
}

function refTo(name: string): string {
  return `#/components/schemas/${name}`;
}

function refToView(view: z.ZodType): Json {
  const name = z.globalRegistry.get(view)?.id;
  if (name === undefined) throw new TypeError('Cannot refer to a view: it has no name, expected one');
  return { $ref: refTo(name) };
}

/** The first word behind `/v1/`. */
function tagOf(path: string): string {
  return path.split('/')[2] ?? 'daemon';
}

const ERROR_ENVELOPE: Json = {
  type: 'object',
  description: 'Why a request was refused or failed',
  properties: {
    ok: { const: false },
    request_id: { type: 'string', description: "Names the request in the daemon's log" },
    error: {
      type: 'object',
      properties: {
        code: { type: 'string', description: 'A stable word' },
        message: { type: 'string', description: 'One sentence' },
        details: { type: 'object', description: 'What to do next as hint, fields that do not fit, and more' },
      },
      required: ['code', 'message', 'details'],
      additionalProperties: false,
    },
  },
  required: ['ok', 'request_id', 'error'],
  additionalProperties: false,
};

const LAST_EVENT_ID: Json = {
  name: 'Last-Event-ID',
  in: 'header',
  description: 'Go on behind the event with this id',
  schema: { type: 'string' },
};

const STREAM_TEXT = `Events ${Object.keys(STREAM_EVENTS).join(', ')}: their data is an OutputEventView, a RunEventView, a RunEndView. Comments keep the connection alive`;

const UNAVAILABLE = 503;

/** Routes for whoever watches the daemon. */
const OPERATIONS: Readonly<Record<string, Json>> = {
  '/healthz': {
    operationId: 'checkHealth',
    summary: 'Whether the process answers',
    tags: ['daemon'],
    security: [],
    responses: {
      200: jsonAnswer('It does', envelopeOf({ type: 'object', properties: { status: { const: 'ok' } } })),
    },
  },
  '/readyz': {
    operationId: 'checkReadiness',
    summary: 'Whether the daemon can do its work',
    tags: ['daemon'],
    responses: { 200: jsonAnswer('It can', envelopeOf({ type: 'object' })), ...refusals(['not-ready']) },
  },
  '/metrics': {
    operationId: 'readMetrics',
    summary: 'Metrics for Prometheus',
    tags: ['daemon'],
    responses: {
      200: { description: 'Text exposition format', content: { 'text/plain': {} } },
      ...refusals([]),
    },
  },
  '/openapi.json': {
    operationId: 'readOpenApi',
    summary: 'This document',
    tags: ['daemon'],
    responses: { 200: jsonAnswer('OpenAPI 3.1', { type: 'object' }), ...refusals([]) },
  },
};
