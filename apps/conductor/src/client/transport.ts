/** One request of the client. Invariant: what comes back is parsed, or the call fails with a ConductorApiError. */
import { z } from 'zod';

import { ConductorApiError } from './api-error.ts';

/** The part of `fetch` the client uses. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** What makes requests. */
export interface Transport {
  /** Sends a request and resolves with the answer when it is no error. */
  send(request: ApiRequest): Promise<Response>;
  /** Sends a request and resolves with the data of its envelope. */
  call<View>(request: ApiRequest, view: z.ZodType<View>): Promise<View>;
}

/** A request as the client builds it. */
export interface ApiRequest {
  readonly method: string;
  /** With `:name` for each parameter. */
  readonly path: string;
  readonly params: object;
  readonly query: object;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** How a daemon is reached. */
export interface TransportOptions {
  readonly baseUrl: string;
  readonly token: string;
  readonly fetch: Fetch;
}

/** Makes the transport of a client. */
export function createTransport({ baseUrl, token, fetch }: TransportOptions): Transport {
  const root = baseUrl.replace(/\/+$/, '');

  async function send(request: ApiRequest): Promise<Response> {
    const { method, body, headers, signal } = request;
    const url = `${root}${fillPath(request)}`;
    let response: Response;
    try {
      response = await fetch(url, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ...(signal !== undefined && { signal }),
      });
    } catch (error) {
      // Whoever aborts gets the reason back, as from fetch itself.
      if (signal?.aborted === true) throw error;
      throw new ConductorApiError('connection-failed', `Cannot reach "${root}": ${reasonOf(error)}`, {
        cause: error,
      });
    }
    if (response.ok) return response;
    throw await toApiError(response);
  }

  return {
    send,
    async call(request, view) {
      const response = await send(request);
      const requestId = response.headers.get('x-request-id') ?? undefined;
      const envelope = z.object({ ok: z.literal(true), request_id: z.string(), data: view });
      const parsed = envelope.safeParse(await readJson(response));
      if (parsed.success) return parsed.data.data;
      const [issue] = parsed.error.issues;
      throw new ConductorApiError(
        'answer-invalid',
        `Cannot read the answer of "${root}": at "${issue?.path.join('.') ?? ''}" ${issue?.message ?? ''}, expected what this client knows; daemon and client may be of different versions`,
        { status: response.status, requestId, cause: parsed.error },
      );
    },
  };
}

function fillPath({ path, params, query }: ApiRequest): string {
  const values = new Map(Object.entries(params).map(([name, value]) => [name, String(value)]));
  const filled = path.replaceAll(/:(\w+)/g, (_, name: string) => encodeURIComponent(values.get(name) ?? ''));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
  return search.size === 0 ? filled : `${filled}?${search.toString()}`;
}

async function toApiError(response: Response): Promise<ConductorApiError> {
  const { status } = response;
  const parsed = refusal.safeParse(await readJson(response));
  if (!parsed.success) {
    return new ConductorApiError(
      'answer-invalid',
      `Cannot read the answer: status ${status} without an error envelope, expected a conductor daemon`,
      { status },
    );
  }
  const { request_id: requestId, error } = parsed.data;
  return new ConductorApiError(error.code, error.message, { status, requestId, details: error.details });
}

/** What was sent, when it is JSON. */
async function readJson(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    // Not of this API; whoever asked says so with the status.
    return undefined;
  }
}

/** `fetch failed` alone helps nobody: the cause says why. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message;
}

const refusal = z.object({
  ok: z.literal(false),
  request_id: z.string(),
  error: z.object({ code: z.string(), message: z.string(), details: z.record(z.string(), z.unknown()) }),
});
