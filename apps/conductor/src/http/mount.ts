/** Puts the endpoints of the API on the server. Invariant: a handler gets what its endpoint's schemas let through. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';

import type { Endpoint } from '../api/endpoint.ts';
import type { RawEndpoint } from '../api/raw-endpoints.ts';

/** A request whose parts have been parsed. */
export interface ParsedRequest<Params, Query, Body> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** Aborted when the client goes away or the answer takes too long. */
  readonly signal: AbortSignal;
}

/**
 * Mounts an endpoint.
 *
 * @param app - the server
 * @param endpoint - what it takes and gives
 * @param handle - carries it out
 */
export function mount<Params, Query, Body, View>(
  app: FastifyInstance,
  endpoint: Endpoint<Params, Query, Body, View>,
  handle: (request: ParsedRequest<Params, Query, Body>) => Promise<View>,
): void {
  const { method, path, params, query, body, view } = endpoint;
  app.route({
    method,
    url: path,
    schema: {
      params,
      querystring: query,
      response: { 200: view },
      // Who has nothing to say need not send a body.
      ...(method !== 'GET' && { body: z.preprocess((value) => value ?? {}, body ?? z.strictObject({})) }),
    },
    handler: async (request, reply) => {
      const parts = parsed<Params, Query, Body>(request, reply);
      try {
        return await handle(parts);
      } catch (error) {
        if (!parts.signal.aborted) throw error;
        // Nobody is there to be told.
        reply.hijack();
        return reply;
      }
    },
  });
}

/**
 * Mounts an endpoint that answers by itself.
 *
 * @param app - the server
 * @param endpoint - what it takes
 * @param handle - carries it out and sends the answer
 */
export function mountRaw<Params, Query>(
  app: FastifyInstance,
  endpoint: RawEndpoint<Params, Query>,
  handle: (
    request: ParsedRequest<Params, Query, undefined>,
    reply: FastifyReply,
    headers: FastifyRequest['headers'],
  ) => Promise<unknown>,
): void {
  app.route({
    method: 'GET',
    url: endpoint.path,
    schema: { params: endpoint.params, querystring: endpoint.query },
    handler: (request, reply) =>
      handle(parsed<Params, Query, undefined>(request, reply), reply, request.headers),
  });
}

/** The validator has parsed the parts with the endpoint's schemas by now. */
function parsed<Params, Query, Body>(
  request: FastifyRequest,
  reply: FastifyReply,
): ParsedRequest<Params, Query, Body> {
  // Not `request.signal`: that of Fastify 5.12 is aborted as soon as the body of a POST has been read.
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort(new Error('the connection was closed')));
  return {
    params: request.params as Params,
    query: request.query as Query,
    body: request.body as Body,
    signal: gone.signal,
  };
}
