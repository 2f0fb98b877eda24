/**
 * The HTTP server of a daemon: the envelope, the guard and the limits around the routes it is given.
 * Invariant: a route is behind the token unless it says `config: { isOpen: true }`, and `/healthz` alone does.
 */
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';

import type { Clock } from '@conductor-run/clock';
import type { Logger } from '@conductor-run/logging';
import {
  fastify,
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
  type RouteOptions,
} from 'fastify';

import { ConductorError } from '../errors.ts';
import { type ErrorAnswer, HTTP_STATUS, refuse, succeed, toErrorAnswer } from './envelope.ts';
import type { Guard } from './guard.ts';
import { createRateLimit } from './rate-limit.ts';
import { serializerCompiler, validatorCompiler } from './validation.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answers without a token. */
    readonly isOpen?: boolean;
    /** Sends objects as they are, without the envelope. Texts, buffers and streams never get one. */
    readonly isRaw?: boolean;
  }
}

/** What the server is made of. */
export interface HttpAppOptions {
  readonly guard: Guard;
  /** The routes. Each plugin is encapsulated; hooks it adds are its own. */
  readonly plugins: readonly FastifyPluginAsync[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of each route, those of the plugins and those of the server itself. */
  readonly onRoute?: (route: RouteOptions) => void;
  /** Bounds; those left out keep their default. */
  readonly limits?: Partial<HttpLimits>;
}

/** Bounds of the server. */
export interface HttpLimits {
  /** Bytes of a request's body. @defaultValue 1 MiB */
  readonly bodyBytes: number;
  /** Milliseconds within which all headers must have come, to the second. @defaultValue 10,000 */
  readonly headersTimeoutMs: number;
  /** Milliseconds within which a whole request must have come, to the second. @defaultValue 30,000 */
  readonly requestTimeoutMs: number;
  /** Milliseconds a route has to answer; a stream that took over with `reply.hijack()` has no limit. @defaultValue 30,000 */
  readonly answerTimeoutMs: number;
  /** Connections at once; further ones are closed. @defaultValue 1,000 */
  readonly connections: number;
  /** Requests a second of one address in the long run. @defaultValue 500 */
  readonly requestsPerSecond: number;
  /** Requests at once of one address after a pause. @defaultValue 1,000 */
  readonly requestBurst: number;
}

/** The bounds nobody changed. */
const HTTP_LIMITS: HttpLimits = {
  bodyBytes: 1_048_576,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  answerTimeoutMs: 30_000,
  connections: 1_000,
  requestsPerSecond: 500,
  requestBurst: 1_000,
};

/**
 * Makes the server; it listens once its `listen` is called and is closed by whoever called that. Closing ends every
 * connection: what streams should end itself politely in an `onClose` or `preClose` hook.
 *
 * @param options - guard, routes and bounds
 */
export async function createHttpApp(options: HttpAppOptions): Promise<FastifyInstance> {
  const { guard, logger, clock } = options;
  const limits = { ...HTTP_LIMITS, ...options.limits };
  const app = fastify({
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestTimeoutMs,
    handlerTimeout: limits.answerTimeoutMs,
    forceCloseConnections: true,
    genReqId: () => randomUUID(),
    http: {
      headersTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
    },
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    clientErrorHandler: answerClientError,
    frameworkErrors: (error, request, reply) => sendError(error, request, reply),
  });
  app.server.maxConnections = limits.connections;
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.removeContentTypeParser('text/plain');

  const rate = createRateLimit(limits.requestsPerSecond, limits.requestBurst, clock);
  app.addHook('onRequest', async (request, reply) => {
    void reply.headers({
      'x-request-id': request.id,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    if (!rate.take(request.ip)) {
      void reply.header('retry-after', '1');
      throw new ConductorError(
        'rate-limited',
        `Cannot take the request: more than ${limits.requestsPerSecond} a second came from this address`,
      );
    }
    guard.requireHost(request.headers);
    guard.requireOrigin(request.headers);
    if (request.routeOptions.config.isOpen !== true) guard.requireToken(request.headers);
  });
  app.addHook('preSerialization', async (request, _reply, payload) =>
    request.routeOptions.config.isRaw === true ? payload : succeed(request.id, payload),
  );
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply));
  if (options.onRoute !== undefined) app.addHook('onRoute', options.onRoute);
  answerUnknownRoutes(app);

  app.get('/healthz', { config: { isOpen: true } }, async () => ({ status: 'ok' }));
  for (const plugin of options.plugins) await app.register(plugin);
  await app.ready();
  return app;

  function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const answer = toErrorAnswer(error);
    if (answer.isUnexpected) {
      const { method, url } = request.routeOptions;
      logger.error({ err: error, requestId: request.id, method, route: url }, 'request.failed');
    }
    // A text passes by the hook that wraps what routes return.
    void reply
      .code(answer.status)
      .type('application/json; charset=utf-8')
      .send(JSON.stringify(refuse(request.id, answer)));
  }
}

/** An unknown path is 404; a known one with another method is 405 and says which there are. */
function answerUnknownRoutes(app: FastifyInstance): void {
  const routes: { readonly methods: readonly string[]; readonly pattern: RegExp }[] = [];
  app.addHook('onRoute', ({ url, method }) => {
    routes.push({ methods: [method].flat(), pattern: toPattern(url) });
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const methods = routes.filter(({ pattern }) => pattern.test(path)).flatMap((route) => route.methods);
    if (methods.length === 0) {
      throw new ConductorError('route-unknown', `Cannot find "${path}": there is no such route`, {
        hint: 'GET /openapi.json lists them.',
      });
    }
    const allowed = [...new Set(methods)].join(', ');
    void reply.header('allow', allowed);
    throw new ConductorError('method-refused', `Cannot ${request.method} "${path}": expected ${allowed}`);
  });
}

/** Matches the paths of a route: `:name` is one segment, `*` is the rest. */
function toPattern(url: string): RegExp {
  const source = url
    .replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll(/:\w+/g, '[^/]+')
    .replaceAll('*', '.*');
  return new RegExp(`^${source}$`);
}

/** What the parser of HTTP refuses never becomes a request: the answer is written by hand. */
function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const code = CLIENT_ERRORS[error.code ?? ''] ?? 'request-invalid';
  const answer: ErrorAnswer = toErrorAnswer(
    new ConductorError(code, `Cannot read the request: ${CLIENT_REASONS[code]}`),
  );
  const body = JSON.stringify(refuse(randomUUID(), answer));
  socket.end(
    [
      `HTTP/1.1 ${HTTP_STATUS[code]} Refused`,
      'content-type: application/json; charset=utf-8',
      `content-length: ${Buffer.byteLength(body)}`,
      'connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}

type ClientErrorCode = 'request-invalid' | 'request-timeout' | 'headers-too-large' | 'body-too-large';

const CLIENT_ERRORS: Readonly<Record<string, ClientErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'headers-too-large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'body-too-large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request-timeout',
};

const CLIENT_REASONS: Readonly<Record<ClientErrorCode, string>> = {
  'request-invalid': 'it is not HTTP',
  'request-timeout': 'it did not come whole in time',
  'headers-too-large': 'its headers are too large',
  'body-too-large': 'its chunks carry too much',
};

/** How often Node looks for requests that are late; its own default of 30 s would let them be late by as much. */
const CHECK_INTERVAL_MS = 1_000;
/** Keys of jobs are texts of people; ids are shorter. */
const MAX_PARAM_LENGTH = 1_024;
